"""A batch must say the same of a clip as the clip alone, in training and in use."""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

from finetune.augmentation import AugmentationSettings
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.training.clip_dataset import ClipDataset, WaveformCollator
from finetune.training.clip_trainer import classification_loss
from finetune.training.command_line import parse_arguments
from finetune.training.fine_tuning import fine_tune
from finetune.training.waveform_cache import WaveformCache
from inference.backends.table import load_backend
from inference.crop import CropContract
from inference.vocabulary import DIGITS

MICRO = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "classifier_proj_size": 32,
    "conv_dim": [16, 16, 32],
    "conv_stride": [10, 8, 4],
    "conv_kernel": [20, 16, 8],
    "num_conv_pos_embeddings": 15,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_length": 2,
    "mask_feature_length": 4,
}


def micro_model(norm: str):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "wav2vec2",
        **MICRO,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        num_labels=len(DIGITS.labels),
        id2label=DIGITS.id2label,
        label2id=DIGITS.label2id,
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")
    return AutoModelForAudioClassification.from_config(config).eval(), extractor


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(num_samples).uniform(-0.5, 0.5, num_samples).astype(np.float32)


def test_padded_training_batch_equals_clips_alone() -> None:
    model, extractor = micro_model("layer")
    examples = [{"input_values": noise(num_samples), "labels": 0} for num_samples in (5000, 12_000)]
    collate = WaveformCollator(extractor)
    batch = collate(examples)
    assert batch["input_values"].shape == (2, 12_000)
    assert batch["attention_mask"].sum(dim=1).tolist() == [5000, 12_000]
    with torch.inference_mode():
        together = model(**batch).logits
        alone = torch.cat([model(**collate([example])).logits for example in examples])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_group_norm_encoders_get_no_mask() -> None:
    _, extractor = micro_model("group")
    assert "attention_mask" not in WaveformCollator(extractor)([{"input_values": noise(4000), "labels": 3}])


def test_group_norm_models_are_validated_one_clip_at_a_time(spoken_corpus: Path, tmp_path: Path) -> None:
    """Padding without a mask changes answers; validation must see what a user will see."""
    (tmp_path / "group.json").write_text(json.dumps({"model_type": "wav2vec2", **MICRO}))
    options = ["--dataset", spoken_corpus, "--from_config", tmp_path / "group.json", "--num_train_epochs", 1]
    options += ["--output_dir", tmp_path / "out", "--bf16", "false"]
    arguments = parse_arguments([str(word) for word in options])
    fine_tune(arguments, command="test")
    assert arguments.training.per_device_eval_batch_size == 1
    corpus = load_corpus(str(spoken_corpus))
    validation = make_split(corpus.clips).validation
    backend = load_backend("wav2vec2", str(tmp_path / "out"), options={"runtime": "torch"})
    predictions = backend.predict([c.waveform() for c in validation])
    accuracy = np.mean([p.label == c.label for p, c in zip(predictions, validation, strict=True)])
    assert f"| validation accuracy | {accuracy:.4g} |" in (tmp_path / "out" / "README.md").read_text()


def test_dataset_varies_by_epoch_and_serves_validation_as_it_is(spoken_corpus: Path) -> None:
    clips = load_corpus(str(spoken_corpus)).clips[:3]
    waveforms = WaveformCache(clips)
    training = ClipDataset(clips, waveforms, CropContract(), AugmentationSettings(), seed=1)
    first = training[0]["input_values"]
    np.testing.assert_array_equal(training[0]["input_values"], first)
    training.set_epoch(1)
    assert training[0]["input_values"].shape != first.shape or (training[0]["input_values"] != first).any()
    plain = ClipDataset(clips, waveforms, CropContract(min_ms=0))
    np.testing.assert_array_equal(plain[1]["input_values"], clips[1].waveform())
    assert [example["labels"] for example in plain] == [DIGITS.label2id[clip.label] for clip in clips]


def test_loss_does_not_depend_on_how_a_step_is_divided() -> None:
    """Two halves of a step, summed, weigh as much as the whole step."""
    logits, labels = torch.randn(8, len(DIGITS.labels)), torch.arange(8)
    whole = classification_loss({"logits": logits}, labels, torch.tensor(8), 0.1)
    halves = [
        classification_loss({"logits": logits[part]}, labels[part], torch.tensor(8), 0.1)
        for part in (slice(0, 3), slice(3, 8))
    ]
    torch.testing.assert_close(sum(halves), whole)
    torch.testing.assert_close(whole, torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1))
