"""The loop: prompts in order, what is kept, and what each key does."""

import time
import wave
from pathlib import Path

import numpy as np
import pytest

from inference.audio import SAMPLING_RATE, decode_audio
from inference.errors import UserError
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.events import Asked, Hint, Lost, Recovered, Taken
from inference.live.engine.voice_activity import EnergyDetector
from inference.live.source.items import Loss, Source
from inference.record.prompts import Prompt
from inference.record.session import GuidedRecording
from inference.record.take import DOUBLED, TakeListener
from tests.inference.live.conftest import fake_sound  # noqa: F401 (a fixture)
from tests.inference.live.fakes import Memory, block, blocks, opening
from tests.inference.record.test_take import sound

WORD = sound(0.6, 0.4, 0.8)
PAIR = sound(0.6, 0.4, 0.3, 0.4, 0.8)


class Walk(Source):
    """A recording of the words a, b and c; ``parts`` are waveforms, source items and keys, in order."""

    def __init__(self, folder: Path, *parts):
        self.folder, self.output, self.keys = folder, Memory(), ""
        self.prompts = [Prompt(f"say: {label}", folder / f"{label}_anna_0.wav") for label in "abc"]
        self.session = GuidedRecording(
            self.prompts, TakeListener(PROFILES["isolated"], EnergyDetector()), [self.output], self._pressed
        )
        self.parts = parts
        self.session.run(self)

    def stream(self):
        yield opening()
        for part in self.parts:
            if isinstance(part, str):
                self.keys = part
            else:
                yield from blocks(part, 512) if isinstance(part, np.ndarray) else [part]

    def _pressed(self) -> str:
        keys, self.keys = self.keys, ""
        return keys

    @property
    def asked(self) -> str:
        """The words in the order in which they were asked for."""
        return "".join(event.text[-1] for event in self.output.of(Asked))

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def test_each_word_becomes_a_file_of_16_bits_and_a_refusal_asks_again(tmp_path: Path) -> None:
    walk = Walk(tmp_path, WORD, PAIR, WORD, WORD, WORD)
    assert walk.asked == "abbc"
    assert walk.files == ["a_anna_0.wav", "b_anna_0.wav", "c_anna_0.wav"]
    with wave.open(str(tmp_path / "a_anna_0.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLING_RATE)
    assert decode_audio(tmp_path / "a_anna_0.wav").size == pytest.approx(12_800, abs=640)
    takes = walk.output.of(Taken)
    assert [take.problem for take in takes] == [None, DOUBLED, None, None]
    assert takes[0].peak_dbfs == pytest.approx(-10.5, abs=0.5)
    assert walk.output.of(Asked)[1].text == "[2 of 3] say: b"


def test_again_takes_back_the_last_takes_one_by_one(tmp_path: Path) -> None:
    walk = Walk(tmp_path, WORD, WORD, "a", sound(0.3), "a", sound(0.3), WORD, "q", WORD)
    assert walk.asked == "abcbab"
    assert walk.files == ["a_anna_0.wav"]


def test_again_in_the_middle_of_a_word_drops_only_that(tmp_path: Path) -> None:
    walk = Walk(tmp_path, WORD, WORD[:13_000], "a", WORD[13_000:], WORD, "q", WORD)
    assert walk.asked == "abbbc"
    assert walk.files == ["a_anna_0.wav", "b_anna_0.wav"]


def test_a_skipped_word_is_left_for_another_time(tmp_path: Path) -> None:
    walk = Walk(tmp_path, WORD, "s", sound(0.3), WORD, WORD)
    assert walk.asked == "abc"
    assert walk.files == ["a_anna_0.wav", "c_anna_0.wav"]


def test_a_lost_microphone_asks_for_the_word_again(tmp_path: Path) -> None:
    walk = Walk(tmp_path, WORD, WORD[:12_000], Loss("unplugged"), opening(8_000), "q", sound(0.1))
    assert walk.asked == "abb"
    assert [len(walk.output.of(kind)) for kind in (Lost, Recovered)] == [1, 1]


def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(tmp_path: Path, monkeypatch) -> None:
    def fill(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(UserError, match=r"a_anna_0.wav cannot be written: No space left on device\."):
        Walk(tmp_path, WORD)
    assert not list(tmp_path.iterdir())


class Playing(Source):
    """A word, then the key that plays it, then sound until it was played."""

    def __init__(self, played: Path | None):
        self.keys, self.played = "", played

    def stream(self):
        yield opening()
        yield from blocks(WORD, 512)
        self.keys = "p"
        while self.keys or not (self.played is None or self.played.exists()):
            yield block(sound(0.0, 0.032))
            time.sleep(0.01)
        for _ in range(200):
            yield block(sound(0.032))
            time.sleep(0.01)
        self.keys = "q"
        yield block(sound(0.032))

    def pressed(self) -> str:
        keys, self.keys = self.keys, ""
        return keys


@pytest.mark.parametrize("has_output", [True, False])
def test_the_last_take_is_played_while_nothing_is_heard(
    tmp_path: Path,
    fake_sound,  # noqa: F811
    has_output: bool,
) -> None:
    fake_sound({"no_output": not has_output})
    kept = tmp_path / "kept"
    kept.mkdir()
    prompts = [Prompt(f"say: {label}", kept / f"{label}_anna_0.wav") for label in "ab"]
    source, output = Playing(tmp_path / "played" if has_output else None), Memory()
    listener = TakeListener(PROFILES["isolated"], EnergyDetector())
    GuidedRecording(prompts, listener, [output], source.pressed).run(source)
    assert [event.problem for event in output.of(Taken)] == [None]
    if has_output:
        with wave.open(str(kept / "a_anna_0.wav")) as file:
            assert (tmp_path / "played").read_bytes() == file.readframes(file.getnframes())
        asked = [event.text for event in output.of(Asked)]
        assert [text[-1] for text in (asked[0], asked[1], asked[3])] == ["a", "b", "b"]
        assert asked[2:3] == ["playing a_anna_0.wav: wait for the end"]
    else:
        assert "Error querying device" in output.of(Hint)[0].text
