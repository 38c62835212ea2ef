"""One optimizer step is the same however its clips are divided."""

import json
from pathlib import Path

import pytest

from finetune import train
from tests.finetune.training.test_batches import MICRO

#: Without anything random in the network.
STILL = {
    name: 0.0 for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
} | {"final_dropout": 0.0, "layerdrop": 0.0, "apply_spec_augment": False}


@pytest.fixture
def losses_of(config: Path, tmp_path: Path):
    """Trains three steps and returns the loss of each."""
    network = {"model_type": "wav2vec2", "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    (tmp_path / "still.json").write_text(json.dumps(network | MICRO | STILL))

    def losses(name: str, *options: str) -> list[float]:
        words = ["--config", str(config), "--from_config", str(tmp_path / "still.json")]
        words += ["--output_dir", str(tmp_path / name), "--max_steps", "3"]
        words += ["--logging_strategy", "steps", "--logging_steps", "1"]
        assert train.main([*words, *options]) == 0
        history = json.loads((tmp_path / name / "history.json").read_text())
        return [record["loss"] for record in history if "loss" in record]

    return losses


def test_accumulated_and_checkpointed_gradients_take_the_same_steps(losses_of) -> None:
    whole = losses_of("whole", "--per_device_train_batch_size", "8")
    halves = ("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2")
    assert len(whole) == 3
    assert losses_of("halves", *halves) == pytest.approx(whole, rel=1e-3)
    checkpointed = losses_of("checkpointed", *halves, "--activation_checkpointing", "true")
    assert checkpointed == pytest.approx(whole, rel=1e-3)
