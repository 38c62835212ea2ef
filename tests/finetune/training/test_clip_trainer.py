"""Dropout drawn in bulk, and batches of clips of like lengths."""

import numpy as np
import pytest
import torch
from torch import nn

from finetune.augmentation import AugmentationSettings
from finetune.corpus.loading import load_corpus
from finetune.training.clip_dataset import ClipDataset
from finetune.training.clip_trainer import BulkDropout, LengthSampler, replace_dropout
from finetune.training.waveform_cache import WaveformCache
from inference.crop import CropContract
from tests.finetune.training.test_clip_dataset import micro_model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ones = torch.ones(97, 1001, dtype=dtype, requires_grad=True)
    dropped = BulkDropout(share)(ones)
    dropped.sum().backward()
    assert dropped.dtype == dtype
    assert torch.equal(ones.grad, dropped.detach())  # the same elements, by the same factor
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.detach().float().mean().item() == pytest.approx(1.0, abs=0.01)
    # Four decisions share a draw of 64 bits, and must not follow each other.
    pairs = (dropped.detach().float().flatten()[:-1] == 0) & (dropped.detach().float().flatten()[1:] == 0)
    assert pairs.float().mean().item() == pytest.approx(share**2, abs=0.01)


def test_dropout_follows_the_generator_and_rests_outside_training() -> None:
    ones, dropout = torch.ones(1000), BulkDropout(0.3)
    torch.manual_seed(5)
    first = dropout(ones)
    torch.manual_seed(5)
    assert torch.equal(dropout(ones), first)
    assert torch.equal(dropout.eval()(ones), ones)


def test_every_dropout_of_a_model_is_replaced() -> None:
    model, _ = micro_model("group")
    names = list(model.state_dict())
    replace_dropout(model)
    assert list(model.state_dict()) == names
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert found
    assert all(isinstance(module, BulkDropout) for module in found)


def test_batches_are_of_equal_lengths_after_augmentation(spoken_corpus) -> None:
    clips = load_corpus(str(spoken_corpus)).clips
    dataset = ClipDataset(clips, WaveformCache(clips), CropContract(), AugmentationSettings(), seed=3)
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        lengths = np.array([example["input_values"].size for example in dataset])
        assert np.abs(lengths - dataset.lengths).max() <= 2
        batches = lengths[list(LengthSampler(dataset, 8, seed=0))][: len(clips) // 8 * 8].reshape(-1, 8)
        random = np.random.default_rng(0).permutation(lengths)[: batches.size].reshape(-1, 8)
        waste, random_waste = (1 - b.mean() / b.max(axis=1).mean() for b in (batches, random))
        assert waste < 0.5 * random_waste


def test_batches_come_in_no_order_of_length_and_miss_no_clip(spoken_corpus) -> None:
    clips = load_corpus(str(spoken_corpus)).clips[:50]
    dataset = ClipDataset(clips, WaveformCache(clips), CropContract(), AugmentationSettings(), seed=3)
    orders = [list(LengthSampler(dataset, 8, seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(50))
    means = np.array(dataset.lengths)[orders[0]][:48].reshape(-1, 8).mean(axis=1)
    assert not np.array_equal(means, np.sort(means)[::-1])
