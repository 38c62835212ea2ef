"""The capture child and its supervision, on a fake sound library in a real child process."""

import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inference.live.source.capture import BACKLOG_SECONDS, BLOCK_MS, Tap
from inference.live.source.devices import InputDevice, MicrophoneError, choose_device
from inference.live.source.items import Block, Loss, Opening, Waiting
from inference.live.source.microphone import Microphone, list_devices

#: Samples of a block at 16 kHz.
BLOCK = 16 * BLOCK_MS


def listen(seconds: float = 0.2, **options):
    """The first items of a microphone, up to the given amount of audio; idle waiting is left out."""
    items, heard = [], 0
    stream = Microphone(**options).stream()
    for item in stream:
        if not isinstance(item, Waiting):
            items.append(item)
        heard += item.waveform.size if isinstance(item, Block) else 0
        if heard >= seconds * 16_000:
            break
    stream.close()
    return items


def counter(items) -> np.ndarray:
    """The samples as the integers that the fake microphone counted."""
    return np.concatenate([item.waveform for item in items if isinstance(item, Block)]) * 32768


def test_audio_arrives_complete_and_in_order(fake_sound):
    fake_sound()
    items = listen()
    assert items[0] == Opening("Desk microphone", 16_000)
    assert items[1].waveform.dtype == np.float32
    assert np.array_equal(counter(items), np.arange(counter(items).size))
    assert all(item.missing == 0 for item in items[1:])


def test_a_rest_gathers_audio_and_loses_none(fake_sound):
    fake_sound()
    microphone, items, moments = Microphone(), [], []
    stream = microphone.stream()
    for item in itertools.islice(stream, 40):
        items.append(item)
        moments.append(time.perf_counter())
        microphone.rest()
    stream.close()
    assert np.array_equal(counter(items), np.arange(counter(items).size))
    rests = [later - earlier for earlier, later in itertools.pairwise(moments) if later - earlier > 0.05]
    assert 8 <= len(rests) <= 16  # of 40 items; most come in threes


def test_times_of_a_block_are_in_order(fake_sound):
    fake_sound()
    last = listen(0.3)[-1]
    assert last.captured_at <= last.delivered_at + 1e-6
    assert last.delivered_at <= time.perf_counter()


def test_a_refused_rate_falls_back_to_the_devices_own(fake_sound):
    fake_sound({"refused_rates": [16_000]})
    items = listen()
    assert items[0].sampling_rate == 44_100
    assert items[1].waveform.size % (44_100 * BLOCK_MS // 1000) == 0


def test_a_stereo_only_device_is_averaged(fake_sound):
    fake_sound({"least_channels": 2})
    items = listen()
    assert items[0].sampling_rate == 16_000
    assert np.array_equal(counter(items), np.arange(counter(items).size))


def test_a_first_block_two_seconds_late_is_waited_for(fake_sound):
    fake_sound({"first_block_after": 2.0})
    assert isinstance(listen(0.01)[0], Opening)


def test_overflow_flags_reach_the_block(fake_sound):
    fake_sound({"overflow_at": 5})
    (flagged,) = (item for item in listen()[1:] if item.overflowed)
    assert 4 * BLOCK in flagged.waveform * 32768  # the first sample of the fifth callback


@pytest.mark.parametrize(("then", "reason"), [
    ("stall", "Desk microphone delivers no audio"),
    ("finish", "Desk microphone stopped"),
])  # fmt: skip
def test_a_lost_microphone_comes_back(fake_sound, then, reason):
    # The fake's abort and close never return: recovery must not need them.
    fake_sound({"blocks": 10, "then": then}, {"no_devices": True}, {})
    items = listen(0.3)
    rest = [item for item in items if not isinstance(item, Block)]
    assert [type(item) for item in rest] == [Opening, Loss, Opening]
    assert rest[1].reason == reason
    first = next(item for item in itertools.islice(items, items.index(rest[2]) + 1, None))
    assert first.missing == 0


def test_no_microphone_is_an_error_with_the_next_step(fake_sound):
    fake_sound({"no_devices": True})
    with pytest.raises(MicrophoneError, match="--list-devices"):
        listen()
    assert list_devices() == []


def test_a_missing_sound_library_names_the_package_to_install(fake_sound):
    fake_sound({"library_missing": True})
    with pytest.raises(MicrophoneError, match="apt-get install libportaudio2"):
        listen()


def test_every_rate_refused_names_the_rates_and_the_reason(fake_sound):
    fake_sound({"refused_rates": [16_000, 44_100, 48_000, 32_000, 8_000]})
    with pytest.raises(MicrophoneError, match=r"16000.*Invalid sample rate"):
        listen()


def test_devices_are_listed_without_outputs(fake_sound):
    fake_sound()
    devices = list_devices()
    assert [(device.index, device.name, device.is_default) for device in devices] == [
        (1, "Desk microphone", True),
        (2, "Desk webcam", False),
    ]


DEVICES = [
    InputDevice(0, "Desk microphone", "API", 1, 48_000, False),
    InputDevice(3, "Webcam", "API", 1, 48_000, True),
    InputDevice(4, "Desk", "API", 1, 48_000, False),
]


@pytest.mark.parametrize(("wanted", "index"), [
    (None, 3), ("0", 0), ("micro", 0), ("WEB", 3), ("desk", 4),
])  # fmt: skip
def test_a_device_is_chosen_by_index_name_or_part(wanted, index):
    assert choose_device(DEVICES, wanted).index == index


@pytest.mark.parametrize(("wanted", "problem"), [
    ("9", "no microphone matches"), ("headset", "no microphone matches"), ("e", "3 microphones match"),
])  # fmt: skip
def test_a_wrong_choice_lists_the_devices(wanted, problem):
    with pytest.raises(MicrophoneError, match=problem) as raised:
        choose_device(DEVICES, wanted)
    assert all(device.name in str(raised.value) for device in DEVICES)


def call(tap: Tap, num_blocks: int) -> None:
    """Calls the audio callback as PortAudio would."""
    data = memoryview(bytes(2 * BLOCK))
    times = SimpleNamespace(currentTime=1.0, inputBufferAdcTime=0.99)
    status = SimpleNamespace(input_overflow=False)
    for _ in range(num_blocks):
        tap(data, BLOCK, times, status)


def test_the_callback_copies_and_returns():
    """It runs in the sound library's thread: whatever else it called would be seen here."""
    tap, files = Tap(16_000, 1), set()
    sys.setprofile(lambda frame, event, _: files.add(Path(frame.f_code.co_filename).name))
    try:
        call(tap, 50)
    finally:
        sys.setprofile(None)
    assert files == {"capture.py", "threading.py", "<string>", Path(__file__).name}


def test_a_full_backlog_overwrites_the_oldest_and_positions_tell():
    tap = Tap(16_000, 1)
    backlog = BACKLOG_SECONDS * 1000 // BLOCK_MS
    call(tap, backlog + 7)
    tap.finish()
    assert tap._pending[0].first_sample == 7 * BLOCK
    assert len(tap._pending) == backlog


def test_blocks_are_handed_over_by_frames_of_the_detector_and_none_is_kept_back():
    tap = Tap(16_000, 1)
    blocks = tap.blocks()
    call(tap, 3)  # 48 ms: the second block has completed the first 32
    first = next(blocks)
    assert (first.first_sample, len(first.samples)) == (0, 2 * 3 * BLOCK)
    call(tap, 1)  # 64 ms complete the second 32
    assert tap.arrived.is_set()
    second = next(blocks)
    assert (second.first_sample, len(second.samples)) == (3 * BLOCK, 2 * BLOCK)
    call(tap, 1)
    assert not tap.arrived.is_set()
    tap.finish()
    last = next(blocks)
    assert (last.first_sample, len(last.samples)) == (4 * BLOCK, 2 * BLOCK)
    assert next(blocks, None) is None


def test_a_name_that_is_no_utf8_hides_no_other_device(fake_sound):
    fake_sound({"undecodable": 1})
    assert [device.name for device in list_devices()] == ["Desk webcam"]
    assert listen(device="webcam")[0] == Opening("Desk webcam", 16_000)


@pytest.mark.parametrize("ask", [list_devices, listen])
def test_what_breaks_the_child_is_told(fake_sound, ask):
    fake_sound({"broken": "no such thing"})
    with pytest.raises(MicrophoneError, match="the sound library failed with RuntimeError: no such thing"):
        ask()


def test_inverted_channels_do_not_cancel(fake_sound, caplog):
    fake_sound({"inverted": True, "least_channels": 2})
    heard = counter(listen())
    assert np.array_equal(np.abs(heard), np.arange(heard.size))
    assert "Desk microphone: its channels cancel each other" in caplog.text
