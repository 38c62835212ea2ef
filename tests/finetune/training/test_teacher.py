"""Each kind of teacher: what it hears, and where."""

from pathlib import Path

import numpy as np
import pytest
from transformers import ASTFeatureExtractor, AutoConfig, AutoModelForAudioClassification

from finetune.corpus.loading import load_corpus
from finetune.training.teacher import SPEECH_EMBEDDING, FrameGrid, load_teacher
from inference.errors import CheckpointError, UserError


def test_frames_of_convolutions() -> None:
    grid = FrameGrid.of_convolutions([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])  # wav2vec2-base
    assert (grid.hop, grid.width, grid.middle) == (320, 400, 199.5)
    assert [grid.num_frames(size) for size in (399, 400, 719, 720)] == [0, 1, 1, 2]


def test_between_two_frames_a_mixture_of_both_is_read() -> None:
    frames = np.array([[0.0], [10.0], [30.0]])
    read = FrameGrid(100.0, 50).read_at(frames, np.array([-1000.0, 100.0, 125.0, 175.0, 200.0, 1000.0]))
    assert read[:, 0].tolist() == [0.0, 0.0, 5.0, 20.0, 30.0, 30.0]


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", SPEECH_EMBEDDING])
def test_a_gap_is_heard_where_it_is(name: str, speech_encoders: dict[str, Path]) -> None:
    """What a gap changes most lies around it, whichever window the teacher looks through."""
    teacher = load_teacher(str(speech_encoders.get(name, name)), 1 if name in speech_encoders else None)
    waveform = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    before = teacher.hear(waveform)
    waveform[11_600:12_400] = 0.0
    after = teacher.hear(waveform)
    assert before.shape == after.shape
    assert before.dtype == np.float32
    places = teacher.grid.middles(len(after))
    assert -2400 <= places[0] < 0
    assert 16_000 < places[-1] <= 16_000 + 2400
    weights = np.square(after - before).sum(axis=1)
    # Attention and the standardised window carry some of it everywhere.
    weights = np.maximum(weights - np.median(weights), 0.0)
    assert abs(places @ weights / weights.sum() - 12_000) < 1600


def test_the_embedding_tells_words_apart_whoever_speaks(spoken_corpus: Path) -> None:
    """The nearest other voice's clip mostly says the same word, though nothing was fitted."""
    clips = load_corpus(str(spoken_corpus)).clips[::3]
    teacher = load_teacher(SPEECH_EMBEDDING)
    places = [clip.waveform().size * np.array([0.25, 0.5, 0.75]) for clip in clips]
    matrix = np.stack(
        [
            teacher.grid.read_at(teacher.hear(clip.waveform()), place).ravel()
            for clip, place in zip(clips, places, strict=True)
        ]
    )
    matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    distances = np.linalg.norm(matrix[:, None] - matrix[None], axis=2)
    speakers = np.array([clip.speaker for clip in clips])
    distances[speakers[:, None] == speakers[None]] = np.inf
    hits = [clips[row].label == clips[nearest].label for row, nearest in enumerate(distances.argmin(axis=1))]
    assert np.mean(hits) > 0.4  # chance is 0.1


def test_layers(speech_encoders: dict[str, Path]) -> None:
    folder = str(speech_encoders["wav2vec2"])
    waveform = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    first, last = load_teacher(folder, 1).hear(waveform), load_teacher(folder, 2).hear(waveform)
    assert first.shape == last.shape
    assert not np.allclose(first, last)
    with pytest.raises(UserError, match="layers 1 to 2"):
        load_teacher(folder, 3)
    with pytest.raises(UserError, match="goes with a Hugging Face encoder"):
        load_teacher(SPEECH_EMBEDDING, 1)


def test_what_is_no_teacher_is_told(speech_encoders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"--teacher .*nowhere does not exist"):
        load_teacher(str(tmp_path / "nowhere"))
    folder = tmp_path / "spectrogram"
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = AutoConfig.for_model("audio-spectrogram-transformer", **small)
    AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    ASTFeatureExtractor().save_pretrained(folder)
    with pytest.raises(CheckpointError, match="no convolutions over the waveform"):
        load_teacher(str(folder))
