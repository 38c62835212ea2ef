"""The ways of training that ``benchmarks.training_throughput`` compares, each in a process of its own.

Apart, because ours asks the C library to keep freed memory: in one process the usual example would
have it too.
"""

import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, Trainer, Wav2Vec2FeatureExtractor, set_seed
from transformers.utils.logging import set_verbosity_error

from benchmarks.training_throughput.plain_recipe import plain_trainer
from finetune.corpus.clip import Clip
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.training.clip_dataset import ClipDataset, WaveformCollator
from finetune.training.clip_trainer import ClipTrainer
from finetune.training.command_line import Arguments, parse_arguments
from finetune.training.modeling import build_model
from finetune.training.waveform_cache import WaveformCache
from inference.crop import CropContract
from inference.vocabulary import vocabulary

CONFIG = Path(__file__).resolve().parents[2] / "finetune" / "configs" / "wav2vec2-base.yaml"
#: ``facebook/wav2vec2-base`` has the library's default values throughout.
ARCHITECTURE = {"model_type": "wav2vec2"}
PLAIN, DEFAULTS, UNVARIED = "usual example", "defaults", "defaults, --augment false"
CONTENDERS = (PLAIN, DEFAULTS, UNVARIED)
SEED = 0
#: Clips on which all are asked at the end.
VALIDATION_CLIPS = 100


class Contender:
    """One way of training, in a process that waits for its turns.

    Args:
        name: One of ``CONTENDERS``.
        dataset: The corpus, see ``DATASET_HELP``.
    """

    def __init__(self, name: str, dataset: str, threads: int):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, dataset, threads, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def train(self, rows: Sequence[int]) -> dict[str, float]:
        """One epoch over some training clips: ``seconds``, and the ``loss`` that was learnt from."""
        return self._ask(rows)

    def finish(self) -> float:
        """Mean loss on validation clips; ends the process."""
        loss = self._ask(None)
        self._process.join()
        return loss

    def _ask(self, question: Any) -> Any:
        try:
            self._connection.send(question)
            return self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise RuntimeError(f"a training process ended with code {self._process.exitcode}") from error


def _serve(name: str, dataset: str, threads: int, connection: Connection) -> None:
    torch.set_num_threads(threads)
    set_verbosity_error()
    corpus = load_corpus(dataset)
    split = make_split(corpus.clips)
    with tempfile.TemporaryDirectory() as folder, suppress(EOFError):  # where the measuring process died
        arguments = _arguments(Path(folder), augment=name != UNVARIED)
        set_seed(SEED)
        model, extractor = build_model(arguments.model, arguments.data.classes)
        if name == PLAIN:
            trainer_for = partial(plain_trainer, model, extractor, output_dir=Path(folder), seed=SEED)
        else:
            trainer_for = partial(_own_trainer, arguments, model, extractor, WaveformCache(corpus.clips))
        while (rows := connection.recv()) is not None:
            output = trainer_for(clips=[split.train[row] for row in rows]).train()
            connection.send({"seconds": output.metrics["train_runtime"], "loss": output.training_loss})
        connection.send(_loss(model, extractor, split.validation))


def _arguments(scratch: Path, augment: bool) -> Arguments:
    """Our defaults, with random weights for the public ones and nothing but training in a turn."""
    (scratch / "base.json").write_text(json.dumps(ARCHITECTURE))
    words = f"--config {CONFIG} --from_config {scratch / 'base.json'} --freeze_feature_encoder true"
    words += f" --output_dir {scratch} --num_train_epochs 1 --disable_tqdm true --augment {augment}"
    words += " --load_best_model_at_end false --eval_strategy no --save_strategy no --logging_strategy no"
    return parse_arguments(words.split())


def _own_trainer(
    arguments: Arguments,
    model: PreTrainedModel,
    extractor: Wav2Vec2FeatureExtractor,
    waveforms: WaveformCache,
    clips: list[Clip],
) -> Trainer:
    return ClipTrainer(
        model=model,
        args=arguments.training,
        data_collator=WaveformCollator(extractor),
        train_dataset=ClipDataset(clips, waveforms, CropContract(), arguments.augmentation.settings(), SEED),
        processing_class=extractor,
        callbacks=[],
    )


def _loss(model: PreTrainedModel, extractor: Wav2Vec2FeatureExtractor, clips: Sequence[Clip]) -> float:
    """Mean cross-entropy of clips from all over the list, unvaried and alone."""
    places = np.linspace(0, len(clips) - 1, min(VALIDATION_CLIPS, len(clips))).astype(int)
    collate, label2id = WaveformCollator(extractor), vocabulary().label2id
    losses = []
    model.eval()
    for clip in (clips[place] for place in places):
        batch = collate([{"input_values": clip.waveform(), "labels": label2id[clip.label]}])
        with torch.inference_mode():
            losses.append(model(**batch).loss.item())
    return float(np.mean(losses))
