"""The command itself: options, outputs, exit codes, interruption."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

import inference.live.__main__ as live
from inference.backends.table import DEFAULT_BACKEND
from inference.errors import CheckpointError
from tests.conftest import PROJECT
from tests.inference.live.fakes import BrokenBackend, ConstantBackend

#: Runs the command in a new interpreter with a backend that always hears a seven.
PROGRAM = (
    "import runpy, inference.backends.table as backends\n"
    "from tests.inference.live.fakes import ConstantBackend\n"
    "backends.load_backend = lambda *arguments: ConstantBackend()\n"
    "runpy.run_module('inference.live', run_name='__main__')"
)


def start(*arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": PROJECT}
    return subprocess.Popen(command, **pipes | options)


@pytest.fixture
def backend(monkeypatch):
    constant = ConstantBackend()
    monkeypatch.setattr(live, "load_backend", lambda *arguments: constant)
    return constant


@pytest.fixture
def three_words(tmp_path):
    """A recording that the energy detector hears as three words."""
    rate = 8_000
    rng = np.random.default_rng(0)
    gate = np.concatenate(
        [np.full(n, on) for n, on in zip([6000, 3200] * 3 + [4000], [0, 1] * 4, strict=False)]
    )
    samples = (gate * 6000 + 30) * rng.uniform(-1, 1, gate.size)
    path = tmp_path / "three.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return str(path)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['live', '--help']\n"
        "try: runpy.run_module('inference.live', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(sorted({'torch', 'sounddevice', 'onnxruntime', 'av', 'rich', 'numpy'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_pipe_gets_clean_digits_and_the_rest_goes_to_stderr(backend, three_words, capsys):
    assert live.main(["--replay", three_words, "--detector", "energy"]) == 0
    output = capsys.readouterr()
    assert output.out == "7\n7\n7\n"
    assert "listening to" in output.err
    assert "3 digits, 0 rejects" in output.err


def test_json_lines_replace_the_digits_on_stdout(backend, three_words, capsys):
    assert live.main(["--replay", three_words, "--detector", "energy", "--jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["type"] for record in records] == [
        "ready", *["state", "digit", "state"] * 3, "summary",
    ]  # fmt: skip
    assert {record["v"] for record in records} == {1}
    digit = records[2]
    assert (digit["id"], digit["digit"], digit["score"], digit["backend"]) == (1, 7, 0.91, DEFAULT_BACKEND)
    assert digit["end"] > digit["start"] > 0
    stages = sum(ms for stage, ms in digit["latency_ms"].items() if stage != "total")
    assert stages == pytest.approx(digit["latency_ms"]["total"], abs=0.01)


def test_json_lines_in_a_file_leave_the_digits_on_stdout(backend, three_words, capsys, tmp_path):
    path = tmp_path / "events.jsonl"
    assert live.main(["--replay", three_words, "--detector", "energy", "--jsonl", str(path)]) == 0
    assert capsys.readouterr().out == "7\n7\n7\n"
    assert json.loads(path.read_text().splitlines()[-1])["type"] == "summary"


def test_rejects_keep_out_of_stdout(backend, three_words, capsys):
    assert live.main(["--replay", three_words, "--detector", "energy", "--min-score", "0.99"]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("low_score") >= 3


def test_real_time_replay_takes_as_long_as_the_recording(backend, three_words, tmp_path, capsys):
    samples, rate = soundfile.read(three_words)
    soundfile.write(tmp_path / "one.wav", samples[: rate * 3 // 2], rate)
    started = time.perf_counter()
    assert live.main(["--replay", str(tmp_path / "one.wav"), "--detector", "energy", "--speed", "1"]) == 0
    assert time.perf_counter() - started >= 1.5
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize("content", [None, b"", b"this is no audio at all"])
def test_a_file_that_cannot_be_replayed_is_a_usage_error(backend, tmp_path, capsys, content):
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    assert live.main(["--replay", str(path)]) == 2
    assert "broken.wav" in capsys.readouterr().err


def test_an_unwritable_output_is_a_usage_error(backend, three_words, capsys):
    assert live.main(["--replay", three_words, "--jsonl", "/nowhere/events.jsonl"]) == 2
    assert "/nowhere/events.jsonl" in capsys.readouterr().err


def test_a_backend_that_cannot_be_loaded_exits_with_5(monkeypatch, three_words, capsys):
    def fail(*arguments):
        raise CheckpointError("no weights here")

    monkeypatch.setattr(live, "load_backend", fail)
    assert live.main(["--replay", three_words]) == 5
    assert "no weights here" in capsys.readouterr().err


def test_a_backend_that_keeps_failing_exits_with_5_after_the_summary(monkeypatch, three_words, capsys):
    monkeypatch.setattr(live, "load_backend", lambda *arguments: BrokenBackend())
    assert live.main(["--replay", three_words, "--detector", "energy"]) == 5
    error = capsys.readouterr().err
    assert "weights on fire" in error
    assert "0 digits" in error


def test_no_microphone_exits_with_3(backend, fake_sound, capsys):
    fake_sound({"no_devices": True})
    assert live.main([]) == 3
    assert live.main(["--list-devices"]) == 3
    assert "no microphone was found" in capsys.readouterr().err


def test_an_unknown_microphone_exits_with_3_and_the_list(backend, fake_sound, capsys):
    fake_sound()
    assert live.main(["--device", "headset"]) == 3
    assert "Desk webcam" in capsys.readouterr().err


def test_devices_are_listed_on_stdout(fake_sound, capsys):
    fake_sound()
    assert live.main(["--list-devices"]) == 0
    assert "*   1  Desk microphone" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_the_summary(fake_sound, stop):
    fake_sound()
    process = start("--detector", "energy")
    assert "listening" in process.stderr.readline()
    process.send_signal(stop)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "0 digits" in error
    assert "Traceback" not in error


def test_a_closed_pipe_is_a_clean_exit(three_words):
    process = start("--replay", three_words, "--detector", "energy", "--jsonl", "--speed", "1")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


@pytest.mark.parametrize("option", ["--jsonl", "--record"])
@pytest.mark.parametrize("linked", [False, True])
def test_an_output_never_overwrites_what_is_replayed(backend, three_words, tmp_path, capsys, option, linked):
    other = three_words
    if linked:
        other = str(tmp_path / "link")
        (tmp_path / "link").symlink_to(three_words)
    before = Path(three_words).read_bytes()
    with pytest.raises(SystemExit) as ended:
        live.main(["--replay", three_words, "--detector", "energy", option, other])
    assert ended.value.code == 2
    assert f"--replay and {option} are the same file" in capsys.readouterr().err
    assert Path(three_words).read_bytes() == before


def test_two_outputs_cannot_share_a_file_that_is_not_there_yet(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        live.main(["--record", str(tmp_path / "new"), "--jsonl", str(tmp_path / "." / "x" / ".." / "new")])
    assert ended.value.code == 2
    assert "--record and --jsonl are the same file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["--device", "1"], ["--list-devices"], ["--mic-check"],
])  # fmt: skip
def test_a_replay_and_a_microphone_exclude_each_other(three_words, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        live.main(["--replay", three_words, *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "--replay" in error.splitlines()[-1]
    assert arguments[0] in error.splitlines()[-1]


def test_the_microphone_of_the_environment_does_not_hinder_a_replay(
    backend, three_words, monkeypatch, capsys
):
    monkeypatch.setenv("DIGITS_MIC", "Desk")
    assert live.main(["--replay", three_words, "--detector", "energy"]) == 0


def test_the_microphone_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("DIGITS_MIC", "Desk")
    assert live.parse_arguments([]).device == "Desk"
    assert live.parse_arguments(["--device", "1"]).device == "1"


@pytest.mark.parametrize("option", ["--replay", "--jsonl", "--record"])
def test_an_empty_path_is_a_usage_error(backend, fake_sound, capsys, option):
    fake_sound({"no_devices": True})
    with pytest.raises(SystemExit) as ended:
        live.main([option, ""])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_a_path_that_cannot_be_looked_at_is_a_usage_error(backend, capsys):
    assert live.main(["--replay", "x" * 5000]) == 2
    assert "cannot be read: File name too long" in capsys.readouterr().err


def test_a_file_with_a_damaged_sampling_rate_is_refused(backend, tmp_path, capsys):
    soundfile.write(tmp_path / "odd.wav", np.zeros(8000), 50)
    assert live.main(["--replay", str(tmp_path / "odd.wav"), "--detector", "energy"]) == 2
    error = capsys.readouterr().err
    assert "is damaged: it gives 50 Hz" in error
    assert "listening" not in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [[], ["--jsonl"], ["--jsonl", "/dev/full"]])
def test_a_full_disk_is_one_sentence(three_words, arguments):
    with open("/dev/full", "w") as full:
        process = start("--replay", three_words, "--detector", "energy", *arguments, stdout=full)
        _, error = process.communicate(timeout=300)
    assert process.returncode == 2
    assert error.count("No space left on device") == 1
    assert "Traceback" not in error
    assert "Exception ignored" not in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_list_of_devices_that_cannot_be_written_is_one_sentence(fake_sound):
    fake_sound()
    with open("/dev/full", "w") as full:
        process = start("--list-devices", stdout=full)
        _, error = process.communicate(timeout=300)
    assert process.returncode == 2
    assert error.splitlines() == ["error: <stdout> cannot be written: No space left on device."]


def test_what_ends_a_word_is_set_by_name_in_milliseconds(backend, three_words, capsys):
    options = ["--replay", three_words, "--detector", "energy"]
    # Words of 0.4 s with 0.75 s between them.
    assert live.main([*options, "--hangover-ms", "900"]) == 0
    assert capsys.readouterr().err.count("too_long") >= 1
    assert live.main([*options, "--min-speech-ms", "500"]) == 0
    assert "3 too_short" in capsys.readouterr().err
    settings = live.parse_arguments([*options, "--enter-threshold", "0.2"]).endpoint
    assert (settings.enter_threshold, settings.leave_threshold) == (0.2, 0.2)
    sizes = []
    for more in ([], ["--pre-roll-ms", "40"]):
        assert live.main([*options, *more]) == 0
        sizes.append(backend.heard[-1].size)
    assert sizes[0] - sizes[1] == (160 - 40) * 16


@pytest.mark.parametrize(("options", "message"), [
    (["--hangover-ms", "0"], "0 is not 1 or more"),
    (["--hangover-ms", "9000"], "9000 is more than 3000 ms"),
    (["--enter-threshold", "1.5"], "1.5 is not between 0 and 1"),
    (["--enter-threshold", "0"], "expected 0 < leave <= enter < 1"),
    (["--min-speech-ms", "1200"], "expected less than the longest word, 1200 ms"),
])  # fmt: skip
def test_settings_that_cannot_be_are_a_sentence(three_words, capsys, options, message):
    with contextlib.suppress(SystemExit):
        assert live.main(["--replay", three_words, *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_as_many_candidates_are_shown_as_asked_for(backend, three_words, capsys):
    options = ["--replay", three_words, "--detector", "energy"]
    for more, count in (([], 3), (["--top-k", "5"], 5)):
        assert live.main([*options, *more, "--jsonl"]) == 0
        records = map(json.loads, capsys.readouterr().out.splitlines())
        digits = [record for record in records if record["type"] == "digit"]
        assert {len(digit["top"]) for digit in digits} == {count}
