"""The whole path on a labelled stream of synthetic or real digits."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.scoring import Score, Scorer
from benchmarks.live.stream import build_stream
from inference.audio import decode_audio
from inference.backends.base import Backend
from inference.backends.table import DEFAULT_BACKEND, load_backend
from inference.live.recognition import UtteranceRecogniser, build_engine
from inference.live.session import Session
from tests.inference.live.fakes import ConstantBackend, MemorySource, blocks, opening
from tests.inference.live.speech import spoken

SEED = 0


def score(
    clips: list[tuple[str, np.ndarray]], snr_db: float, backend: Backend, detector: str | None = None
) -> Score:
    stream = build_stream(clips, snr_db, float("inf"), SEED)
    scorer = Scorer(stream.labels)
    session = Session(build_engine(backend, detector=detector), UtteranceRecogniser(backend, "any"), scorer)
    session.run(MemorySource(opening(), *blocks(stream.waveform)))
    return scorer.score()


@pytest.mark.parametrize("detector", ["silero", "energy"])
def test_every_spoken_word_of_a_synthetic_stream_is_found_once(tmp_path: Path, detector: str) -> None:
    words = ("zero", "one", "two", "three", "four")
    clips = [(str(digit), spoken(word, tmp_path)) for digit, word in enumerate(words)]
    found = score(clips * 4, 30, ConstantBackend("7"), detector)
    assert found == Score(20, hits=0, wrong=20, rejected=0, merged=0, missed=0, false_digits=0, duplicates=0)


def test_real_digits_in_a_stream_are_recognised_as_well_as_clips(recordings: Path) -> None:
    paths = sorted(recordings.glob("[0-9]_*_[0-4].wav"))
    assert paths, "no test clips {digit}_{speaker}_{0-4}.wav in SPOKEN_DIGITS_DATA"
    np.random.default_rng(SEED).shuffle(paths)
    clips = [(path.name[0], decode_audio(path)) for path in paths[:60]]
    backend = load_backend(DEFAULT_BACKEND)
    alone = [backend.operating_point.decide(backend.predict([clip])[0]).label for _, clip in clips]
    right = np.mean([label == answer for (label, _), answer in zip(clips, alone, strict=True)])
    found = score(clips, 20, backend)
    assert right >= 0.93
    assert found.hits >= (right - 0.04) * len(clips)
    assert (found.merged, found.missed, found.false_digits, found.duplicates) == (0, 0, 0, 0)
