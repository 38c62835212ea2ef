"""Conditions do what they say, by measurement of the result, and depend on nothing but clip and name."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.conditions import distortions as channels
from benchmarks.conditions import table as robustness
from benchmarks.conditions.rejection_sounds import rejection_sounds
from benchmarks.conditions.table import CONDITIONS, SNR_UNIT, conditions_of, corrupt
from benchmarks.records.measurements import Corruption
from benchmarks.records.run_record import CLEAN
from finetune.corpus.clip import Clip
from finetune.corpus.loading import load_corpus
from inference.audio import SAMPLING_RATE, check_waveform, rms_dbfs


@pytest.fixture(scope="module")
def talkers(corpus_folder: Path) -> tuple[Clip, ...]:
    clips = load_corpus(str(corpus_folder)).clips
    return tuple(clip for clip in clips if clip.index >= 5 and clip.label != "0")


def word(level: float, seconds: float = 0.42) -> np.ndarray:
    """Something like a word: two tones that swell and fade, a pause, band-limited."""
    times = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    tone = np.sin(2 * np.pi * 440 * times) + 0.5 * np.sin(2 * np.pi * 1300 * times)
    envelope = np.sin(np.pi * times / seconds) ** 2
    envelope[times > 0.8 * seconds] = 0.0
    return (level * tone * envelope).astype(np.float32)


Heard = tuple[np.ndarray, Corruption]


def heard(name: str, talkers: tuple[Clip, ...], level: float = 0.3, clip_id: str = "7_dan_0") -> Heard:
    return corrupt(word(level), CONDITIONS[name], clip_id, "dan", talkers)


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=lambda condition: condition.name)
def test_every_condition_gives_the_same_valid_waveform_again(
    condition: robustness.Condition, talkers: tuple[Clip, ...]
) -> None:
    first, _ = heard(condition.name, talkers)
    check_waveform(first)
    assert np.array_equal(first, heard(condition.name, talkers[::-1])[0])


@pytest.mark.parametrize("level", [0.008, 0.9])
@pytest.mark.parametrize(
    "name", [condition.name for condition in CONDITIONS.values() if condition.family.unit == SNR_UNIT]
)
def test_the_realised_ratio_is_the_one_asked_for(name: str, level: float, talkers: tuple[Clip, ...]) -> None:
    """From about theo's level in FSDD to full scale, where the sum must be scaled."""
    _, corrupted = heard(name, talkers, level)
    assert corrupted.realised_snr_db == pytest.approx(CONDITIONS[name].level, abs=0.1)
    assert corrupted.clipped_share == 0.0
    assert corrupted.gain_db <= 0.0


def test_ratio_by_an_independent_measurement(talkers: tuple[Clip, ...]) -> None:
    steady = (0.1 * np.sin(np.arange(8000) * 0.4)).astype(np.float32)
    clean = corrupt(steady, CONDITIONS[CLEAN], "c", "dan", talkers)[0]
    noisy = corrupt(steady, CONDITIONS["white@5"], "c", "dan", talkers)[0]
    # The noise next to 4 kHz does not come through the resampling.
    assert rms_dbfs(clean) - rms_dbfs(noisy - clean) == pytest.approx(5.2, abs=0.1)


def test_clips_and_levels_get_noise_of_their_own(talkers: tuple[Clip, ...]) -> None:
    assert not np.array_equal(heard("white@10", talkers)[0], heard("white@10", talkers, clip_id="7_dan_1")[0])


@pytest.mark.parametrize(("name", "change_db"), [("gain@-20", -20.0), ("gain@-10", -10.0), ("polarity", 0.0)])
def test_levels(name: str, change_db: float, talkers: tuple[Clip, ...]) -> None:
    change = rms_dbfs(heard(name, talkers)[0]) - rms_dbfs(heard(CLEAN, talkers)[0])
    assert change == pytest.approx(change_db, abs=0.05)


def test_polarity_is_nothing_but_the_sign(talkers: tuple[Clip, ...]) -> None:
    turned = heard("polarity", talkers)[0]
    assert np.allclose(-turned, heard(CLEAN, talkers)[0], atol=2 / 32768)


def test_a_fixed_floor_hits_a_quiet_voice_harder(talkers: tuple[Clip, ...]) -> None:
    loud, quiet = (heard("floor@-50", talkers, level)[1].realised_snr_db for level in (0.3, 0.03))
    assert loud is not None
    assert quiet is not None
    assert loud - quiet == pytest.approx(20.0, abs=0.2)


@pytest.mark.parametrize(
    ("name", "factor", "added_s"),
    [("speed@1.25", 0.8, 0), ("speed@0.8", 1.25, 0), ("silence-around@1", 1, 2)],
)
def test_durations(name: str, factor: float, added_s: float, talkers: tuple[Clip, ...]) -> None:
    expected = factor * word(0.3).size + added_s * SAMPLING_RATE
    assert heard(name, talkers)[0].size == pytest.approx(expected, abs=4)


def test_clipping_reaches_the_share(talkers: tuple[Clip, ...]) -> None:
    draw = robustness.Draw(robustness.condition_generator("c", "x"), "dan", talkers)
    speech = channels.clipped(word(0.3), 25.0, draw).waveform
    assert np.mean(np.abs(speech) == np.abs(speech).max()) == pytest.approx(0.25, abs=0.01)
    assert heard("gain@10", talkers, level=0.6)[1].clipped_share > 0.02


def test_a_codec_is_heard_and_keeps_the_word(talkers: tuple[Clip, ...]) -> None:
    clean, coded = heard(CLEAN, talkers)[0], heard("mu-law", talkers)[0]
    assert coded.size == clean.size
    assert not np.array_equal(coded, clean)
    assert np.corrcoef(coded, clean)[0, 1] > 0.99


def test_suites_grow_and_begin_with_clean() -> None:
    suites = [[condition.name for condition in conditions_of(suite)] for suite in robustness.SUITES]
    assert all(names[0] == CLEAN for names in suites)
    assert set(suites[0]) < set(suites[1]) < set(suites[2])


def test_babble_is_made_of_others(talkers: tuple[Clip, ...]) -> None:
    draw = robustness.Draw(robustness.condition_generator("c", "x"), "ann", talkers)
    own = {clip.waveform().size // 2 for clip in talkers if clip.speaker == "ann"}
    others = {clip.waveform().size // 2 for clip in talkers if clip.speaker != "ann"}
    sizes = {word.size for word in draw.words(20)}
    assert sizes <= {size + more for size in others for more in (0, 1)}
    assert not sizes & own


def test_a_short_clip_stays_long_enough(talkers: tuple[Clip, ...]) -> None:
    short, _ = corrupt(word(0.3, 0.11), CONDITIONS["speed@1.25"], "c", "dan", talkers)
    check_waveform(short)


def test_non_words_are_valid_and_the_same_again(corpus_folder: Path) -> None:
    clips = load_corpus(str(corpus_folder)).clips
    first, second = (list(rejection_sounds(order, per_kind=3)) for order in (clips, clips[::-1]))
    assert len({sound.clip_id for sound in first}) == len(first) == 1 + 5 * 3
    for sound, again in zip(first, second, strict=True):
        check_waveform(sound.waveform)
        assert sound.clip_id == again.clip_id
        assert np.array_equal(sound.waveform, again.waveform)
