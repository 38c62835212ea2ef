"""What is taught, and that neither padding nor accumulation changes it."""

from pathlib import Path

import numpy as np
import torch

from finetune.baselines.speech_embedding import EMBEDDING_SIZE
from finetune.corpus.loading import load_corpus
from finetune.training.distillation import (
    SHIFTS,
    EmbeddingStudent,
    embeddings,
    load_teacher,
    regression_loss,
)
from finetune.training.modeling import random_encoder


def test_embeddings_tell_words_apart_whoever_speaks(spoken_corpus: Path) -> None:
    """The nearest other voice's clip mostly says the same word, though nothing was fitted."""
    clips = load_corpus(str(spoken_corpus)).clips[::3]
    matrix = embeddings(load_teacher(), [clip.waveform() for clip in clips])
    assert matrix.shape == (len(clips), EMBEDDING_SIZE * len(SHIFTS))
    np.testing.assert_allclose(matrix.mean(axis=0), 0.0, atol=1e-3)
    distances = np.linalg.norm(matrix[:, None] - matrix[None], axis=2)
    speakers = np.array([clip.speaker for clip in clips])
    distances[speakers[:, None] == speakers[None]] = np.inf
    hits = [clips[row].label == clips[nearest].label for row, nearest in enumerate(distances.argmin(axis=1))]
    assert np.mean(hits) > 0.4  # chance is 0.1


def test_padding_does_not_change_what_is_told(architecture: Path) -> None:
    torch.manual_seed(0)
    encoder, _ = random_encoder(architecture)
    student = EmbeddingStudent(encoder, 6).eval()
    short = torch.randn(1, 6000)
    padded = torch.nn.functional.pad(short, (0, 4000))
    mask = torch.arange(10_000)[None] < 6000
    with torch.no_grad():
        alone = student(short, torch.ones(1, 6000, dtype=torch.long))["logits"]
        together = student(padded, mask.long())["logits"]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_accumulated_losses_add_up_to_that_of_the_whole_batch() -> None:
    told, wanted = torch.randn(8, 5), torch.randn(8, 5)
    whole = regression_loss({"logits": told}, wanted, None)
    halves = [regression_loss({"logits": told[rows]}, wanted[rows], 40) for rows in (slice(4), slice(4, 8))]
    torch.testing.assert_close(sum(halves), whole)
    torch.testing.assert_close(whole, torch.nn.functional.mse_loss(told, wanted))
