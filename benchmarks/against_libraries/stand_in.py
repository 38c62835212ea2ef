"""A stand-in for ``facebook/wav2vec2-base``: its architecture and size, filled with random numbers.

Speed and memory do not depend on what the weights say. It is made once into the user's cache, and
marked there: its answers mean nothing.
"""

import json
import shutil
import tempfile
from pathlib import Path

from inference.files import cache_folder
from inference.vocabulary import vocabulary

#: Raise it when what is made changes.
REVISION = 1
NAME = "wav2vec2-base"


def stand_in() -> Path:
    """The folder of the stand-in, made if it is not in the cache yet."""
    folder = cache_folder() / "stand-ins" / f"{NAME}-{REVISION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and renamed: nobody finds half of one.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            made = Path(scratch) / NAME
            _make(made)
            note = f"architecture of {NAME} with random weights, for timing only: its answers mean nothing."
            (made / "fixture.json").write_text(json.dumps({"fixture": note}, indent=2) + "\n")
            shutil.move(made, folder)
    return folder


def _make(folder: Path) -> None:
    """94.6 M parameters and a head of ten labels."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        # The defaults of the configuration class are those of the base model.
        model = Wav2Vec2ForSequenceClassification(
            Wav2Vec2Config(
                num_labels=len(vocabulary().labels),
                id2label=vocabulary().id2label,
                label2id=vocabulary().label2id,
            )
        )
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
