"""What is taught, where in a word, and that neither padding nor accumulation changes it."""

import numpy as np
import torch

from finetune.augmentation import SpeedDraw
from finetune.corpus.loading import load_corpus
from finetune.training.clip_dataset import WaveformCollator
from finetune.training.distillation import (
    UNTAUGHT,
    FrameCollator,
    Student,
    TaughtClips,
    hear_all,
    regression_loss,
)
from finetune.training.modeling import random_encoder
from finetune.training.teacher import FrameGrid, frame_grid


class Clock:
    """A teacher that hears the time: in the middle of each frame, the sample's number."""

    grid = FrameGrid(-2400.0, 1280)

    def hear(self, waveform: np.ndarray) -> np.ndarray:
        return self.grid.middles(1 + (waveform.size + 4800) // 1280).astype(np.float32)[:, None]


def test_a_frame_is_taught_what_was_heard_at_its_place_of_the_word(spoken_corpus, monkeypatch) -> None:
    """Padding shifts the word, speed stretches it; the clock tells the place in the word as it was."""
    clips = load_corpus(str(spoken_corpus)).clips[:3]
    words = {clip.clip_id: clip.waveform() for clip in clips}
    clock, grid = Clock(), FrameGrid.of_convolutions([400, 4, 4, 4], [40, 2, 2, 2])
    heard = {clip_id: clock.hear(waveform) for clip_id, waveform in words.items()}
    taught = TaughtClips(clips, words, heard, clock.grid, grid, seed=3)
    for row, clip in enumerate(clips):
        drawn, example = taught.draw_speed(row), taught[row]
        assert isinstance(drawn, SpeedDraw)
        assert len(example["labels"]) == grid.num_frames(len(example["input_values"]))
        middles = grid.middles(len(example["labels"]))
        wanted = np.clip((middles - drawn.samples_before) * drawn.speed, -2400, heard[clip.clip_id][-1])
        np.testing.assert_allclose(example["labels"][:, 0], wanted, atol=0.01)


def test_what_is_heard_is_standardised_over_all_frames() -> None:
    words = {str(size): np.zeros(size, np.float32) for size in (4000, 16_000)}
    frames = np.concatenate(list(hear_all(Clock(), words).values()))
    np.testing.assert_allclose((frames.mean(), frames.std()), (0.0, 1.0), atol=1e-3)


def test_padding_does_not_change_what_is_told(architecture) -> None:
    torch.manual_seed(0)
    encoder, feature_extractor = random_encoder(architecture)
    student, grid = Student(encoder, 6).eval(), frame_grid(encoder)
    examples = [
        {
            "input_values": np.random.default_rng(size).standard_normal(size).astype(np.float32),
            "labels": np.zeros((grid.num_frames(size), 6), np.float32),
        }
        for size in (6000, 10_000)
    ]
    collate = FrameCollator(WaveformCollator(feature_extractor))
    alone, together = collate(examples[:1]), collate(examples)
    num_frames = len(examples[0]["labels"])
    labels = together.pop("labels")
    assert (labels[0, num_frames:] == UNTAUGHT).all()
    assert (labels == UNTAUGHT).sum() == 6 * (len(examples[1]["labels"]) - num_frames)
    alone.pop("labels")
    with torch.no_grad():
        torch.testing.assert_close(
            student(**alone)["logits"][0], student(**together)["logits"][0, :num_frames], atol=1e-4, rtol=1e-4
        )


def test_accumulated_losses_add_up_to_that_of_the_whole_batch() -> None:
    told, wanted = torch.randn(8, 3, 5), torch.randn(8, 3, 5)
    whole = regression_loss({"logits": told}, wanted, None)
    torch.testing.assert_close(whole, torch.nn.functional.mse_loss(told, wanted))
    wanted[5, 1:] = UNTAUGHT
    count = (wanted != UNTAUGHT).sum()
    whole = regression_loss({"logits": told}, wanted, None)
    halves = [
        regression_loss({"logits": told[rows]}, wanted[rows], count) for rows in (slice(4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(halves), whole)
