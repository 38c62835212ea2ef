"""A network of some thousand weights and a recipe that trains it in seconds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune import pretrain
from tests.finetune.training.test_clip_dataset import MICRO

NUM_EPOCHS = 2
BATCH = 4


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded audio goes into a folder that is thrown away, not into the user's cache."""
    folder = tmp_path_factory.mktemp("user-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, spoken_corpus: Path) -> Path:
    """A YAML file for ``finetune.train``: synthetic voices, fp32, two epochs."""
    folder = tmp_path_factory.mktemp("config")
    network = {"model_type": "wav2vec2", "feat_extract_norm": "layer", "do_stable_layer_norm": True, **MICRO}
    (folder / "micro.json").write_text(json.dumps(network))
    options = (
        f"dataset: {spoken_corpus}\nfrom_config: {folder / 'micro.json'}\nnum_train_epochs: {NUM_EPOCHS}\n"
        f"per_device_train_batch_size: {BATCH}\nlearning_rate: 2.0e-3\nbf16: false\n"
    )
    (folder / "micro.yaml").write_text(options)
    return folder / "micro.yaml"


@pytest.fixture(scope="session")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields = json.loads(pretrain.CONFIG.read_text()) | {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "intermediate_size": 32,
        "classifier_proj_size": 16,
        "conv_dim": [16, 16, 16, 32],
    }
    path = tmp_path_factory.mktemp("architecture") / "tiny.json"
    path.write_text(json.dumps(fields))
    return path
