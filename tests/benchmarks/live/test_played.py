"""Live figures: streams whose labels are true, sounds without speech, and verdicts."""

import numpy as np
import pytest

from benchmarks.live import played
from benchmarks.live.figures import Figure, figure_table, summary, write_part
from benchmarks.live.scoring import Label
from benchmarks.live.sounds import SCENE_DBFS, SCENE_SECONDS, noise_minutes
from benchmarks.live.stream import GAP_SECONDS, SPEECH_DBFS, build_stream, locate, trim
from inference.audio import SAMPLING_RATE, rms_dbfs
from inference.live.engine.events import Word
from inference.prediction import Answer, Prediction


def tone(seconds: float) -> np.ndarray:
    return np.sin(np.arange(round(seconds * SAMPLING_RATE)) / 5).astype(np.float32) * 0.2


def test_silence_around_a_clip_is_cut_off():
    clip = np.pad(tone(0.5), (1600, 3200))
    assert trim(clip).size == 8000


def test_labels_lie_on_the_words_and_pauses_are_as_long_as_promised():
    stream = build_stream([(label, np.pad(tone(0.3), 800)) for label in "01234567"], 20.0, 1e9, seed=1)
    assert [label.label for label in stream.labels] == list("01234567")
    for label in stream.labels:
        assert rms_dbfs(stream.waveform[label.start : label.end]) == pytest.approx(SPEECH_DBFS, abs=0.5)
    gaps = [b.start - a.end for a, b in zip(stream.labels, stream.labels[1:], strict=False)]
    assert all(GAP_SECONDS[0] <= gap / SAMPLING_RATE <= GAP_SECONDS[1] for gap in gaps)
    first = stream.waveform[: stream.labels[0].start]
    assert rms_dbfs(first) == pytest.approx(SPEECH_DBFS - 20.0, abs=0.5)


def test_a_stream_ends_with_the_clip_that_fills_it():
    stream = build_stream([("7", tone(0.4))] * 100, 20.0, 10.0, seed=1)
    assert 10 <= stream.waveform.size / SAMPLING_RATE < 15


def test_a_part_is_found_where_it_was_taken():
    whole = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    assert locate(whole[1234:5000], whole + 0.1) == 1234


def test_an_hour_of_noise_has_the_levels_it_promises():
    scenes = list(noise_minutes(7))
    assert [scene.size for scene in scenes] == [SCENE_SECONDS * SAMPLING_RATE] * 7
    assert rms_dbfs(scenes[0]) == pytest.approx(SCENE_DBFS[0], abs=0.2)
    assert rms_dbfs(scenes[6]) == pytest.approx(SCENE_DBFS[1], abs=0.2)


def test_latency_counts_from_the_true_end_and_leaves_strangers_out():
    def word(end: int) -> Word:
        stages = {"detector_lag": 99.0, "hangover": 128.0, "infer": 5.0, "total": 232.0}
        return Word(1, Answer("7", None, Prediction("7")), end - 4000, end, stages, "mfcc")

    labels = [Label(10_000, 16_000, "7"), Label(40_000, 48_000, "1")]
    figures = played._latency_figures("stream", "mfcc", labels, [word(16_320), word(60_000)])
    assert {figure.count for figure in figures} == {1}
    assert figures[0].value == pytest.approx(128 + 5 + 20)  # the engine ended the word 20 ms late
    assert figures[0].most == 190


def test_each_figure_has_its_verdict():
    figures = [
        Figure("a", "mfcc", "met", 0.5, "%", 0.5),
        Figure("a", "mfcc", "missed", 3.0, "ms", 2.0, 7),
        Figure("b", "mfcc", "untargeted", 1.0, "", None),
    ]
    assert [figure.is_met for figure in figures] == [True, False, None]
    table = figure_table(figures[:2])
    assert "**3 ms** (n 7)" in table[3]
    assert "<= 2 ms" in table[3]
    assert "**" not in table[2]


def test_a_table_has_a_column_for_each_backend_and_a_dash_where_nothing_was_measured():
    figures = [
        Figure("a", "mfcc", "p50", 5.0, "ms", 9.0),
        Figure("a", "whisper", "p50", 50.0, "ms", 99.0),
        Figure("a", "whisper", "idle", 1.0, "%", None),
    ]
    head, _, first, second = figure_table(figures)
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["a", "target", "mfcc", "whisper"]
    assert [cell.strip() for cell in first.split("|")[2:-1]] == ["<= 9 mfcc, <= 99 whisper", "5 ms", "50 ms"]
    assert [cell.strip() for cell in second.split("|")[2:-1]] == ["-", "-", "1 %"]


def test_parts_are_kept_with_their_machine_and_shown_together(tmp_path):
    write_part(
        tmp_path, "idle", [Figure("idle", "mfcc", "processor", 2.5, "%", 3.0)], "the command", "a machine"
    )
    write_part(
        tmp_path, "stream", [Figure("stream", "mfcc", "missed", 0.7, "%", 0.5)], "another", "a machine"
    )
    text, figures = summary(tmp_path, ("stream", "timing", "idle"))
    assert [figure.is_met for figure in figures] == [False, True]
    assert text.index("missed") < text.index("processor") < text.index("- idle: `the command` on a machine")
    assert "timing" not in text


def test_words_are_found_after_the_player_fell_silent():
    clips = [(str(digit), np.pad(tone(0.2 + 0.05 * digit), 800)) for digit in range(10)] * 3
    stream = build_stream(clips, 20.0, 1e9, seed=2)
    cut = (stream.labels[12].end + stream.labels[13].start) // 2
    before, after = np.split(stream.waveform, [cut])
    heard = np.concatenate([np.zeros(5000, np.float32), before, np.zeros(3200, np.float32), after])
    shifts = [
        found.start - label.start
        for found, label in zip(played._shifted(stream, heard), stream.labels, strict=True)
    ]
    assert shifts == [5000] * 13 + [8200] * 17
