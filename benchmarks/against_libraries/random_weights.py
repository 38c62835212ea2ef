"""Stand-in checkpoints: the architecture and size of public weights, filled with random numbers.

Speed and memory do not depend on what the weights say. They are made once into the user's cache, and
marked there: their answers mean nothing.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from inference.files import cache_folder
from inference.vocabulary import vocabulary

#: Raise it when a builder below changes.
REVISION = 1


def stand_in(name: str) -> Path:
    """The folder of a stand-in, made if it is not in the cache yet."""
    folder = cache_folder() / "stand-ins" / f"{name}-{REVISION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and renamed: nobody finds half of one.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            made = Path(scratch) / name
            STAND_INS[name](made)
            note = f"architecture of {name} with random weights, for timing only: its answers mean nothing."
            (made / "fixture.json").write_text(json.dumps({"fixture": note}, indent=2) + "\n")
            shutil.move(made, folder)
    return folder


def make_wav2vec2_base(folder: Path) -> None:
    """The architecture of ``facebook/wav2vec2-base`` (94.6 M parameters) with a head of ten labels."""
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


def make_whisper_tiny(folder: Path) -> None:
    """The architecture of multilingual ``openai/whisper-tiny`` (38 M parameters), 8 bits, with one answer."""
    from benchmarks.against_libraries.random_whisper import (
        TINY_SIZES,
        TINY_VOCABULARY,
        answer_one_word,
        make_model,
        make_tokenizer,
        usual_words,
        write_ctranslate2,
    )

    tokenizer = make_tokenizer(size=TINY_VOCABULARY)
    model = make_model(tokenizer, sizes=TINY_SIZES)
    answer_one_word(model, tokenizer, usual_words()[-1])
    write_ctranslate2(model, tokenizer, folder, "stand-in", quantization="int8")


STAND_INS: dict[str, Callable[[Path], None]] = {
    "wav2vec2-base": make_wav2vec2_base,
    "whisper-tiny": make_whisper_tiny,
}
