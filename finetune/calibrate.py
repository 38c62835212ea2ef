"""Chooses when an answer is shown, for a backend that is not trained here, and when a cascade passes on.

    python -m finetune.calibrate --backend whisper --dataset VALIDATION --others OTHER_WORDS --out FOLDER
    python -m finetune.calibrate --backend cascade --dataset VALIDATION --others OTHER_WORDS --out FOLDER

VALIDATION holds words of the vocabulary, OTHER_WORDS recordings of anything else, of speakers that are
in no test set; each is heard as recorded and in noise. Checkpoints that are trained here are calibrated by
their training; where FOLDER is one of them, it is calibrated anew, and its card says so. The split card in
FOLDER keeps which clips were heard, so that nobody tests on them.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    add_backend_arguments,
    chosen_options,
    path_argument,
    reports_user_errors,
    share,
)
from inference.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np

    from finetune.checkpoint.split_card import SplitCard
    from finetune.corpus.clip import Clip, Corpus
    from inference.backends.base import Backend
    from inference.backends.cascade import Thresholds
    from inference.prediction import Prediction

CLIPS_PER_CALL = 32
MAX_FALSE_ACCEPT_RATE = 0.05
#: Share of other sounds that a cascade's small model may take for a word on its own.
MAX_ACCEPTED_OTHERS = 0.03
#: Share of words that it may refuse on its own, and share that it may take for another word.
MAX_REFUSED_WORDS = 0.0025
MAX_WRONG_WORDS = 0.0025


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.calibrate",
        description="Chooses temperature and threshold of a backend on validation speakers, and the "
        "thresholds of a cascade.",
    )
    add_backend_arguments(parser)
    parser.add_argument("--dataset", required=True, help="folder of {label}_{speaker}_{index} files")
    parser.add_argument("--others", required=True, help="folder of audio that holds no such word")
    parser.add_argument(
        "--max-false-accept-rate",
        type=share,
        default=MAX_FALSE_ACCEPT_RATE,
        help="share of other sounds that may be shown as a word, with 95 %% confidence by those of --others "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", required=True, type=path_argument, help="folder to write")
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    from finetune.checkpoint.calibration import calibrate, write_calibration
    from finetune.checkpoint.model_card import tell_operating_point, with_rates_of
    from finetune.checkpoint.split_card import read_split_card
    from finetune.checkpoint.writer import FIGURES_NAME
    from finetune.corpus.in_noise import in_noise
    from finetune.corpus.loading import load_corpus
    from finetune.corpus.non_words import recorded_non_words
    from inference.backends.cascade import THRESHOLDS_FILE, CascadeBackend
    from inference.backends.table import BACKENDS, MEMBERS_FILE, load_backend, member_names
    from inference.files import read_json, write_json, write_text
    from inference.vocabulary import vocabulary

    corpus, other_clips = load_corpus(options.dataset), recorded_non_words([options.others])
    clips, num_recordings = (*corpus.clips, *in_noise(corpus.clips)), len(other_clips)
    words = [clip.waveform() for clip in clips]
    others = [clip.waveform() for clip in (*other_clips, *in_noise(other_clips))]
    backend = load_backend(options.backend, options.checkpoint, options.threads, chosen_options(options))
    options.out.mkdir(parents=True, exist_ok=True)
    heard, earlier = _split_card(options, corpus, other_clips), read_split_card(options.out)
    import numpy as np

    labels = [clip.label for clip in clips]
    label_ids = np.array([vocabulary().label2id[label] for label in labels])
    if isinstance(backend, CascadeBackend):
        thresholds = choose_thresholds(_ask(backend.first, words), labels, _ask(backend.first, others))
        write_json(options.out / THRESHOLDS_FILE, vars(thresholds))
        backend = CascadeBackend(backend.first, backend.second, thresholds)
    # The probabilities are those at the temperature in use now.
    temperature = backend.operating_point.temperature
    logits, other_logits = (temperature * _logarithms(_ask(backend, sounds)) for sounds in (words, others))
    operating_point = calibrate(
        logits, label_ids, other_logits, options.max_false_accept_rate, num_recordings
    )
    write_calibration(options.out, operating_point)
    spec = BACKENDS[options.backend]
    if spec.composite:
        names = member_names(options.checkpoint or spec.default_checkpoint)
        write_json(options.out / MEMBERS_FILE, names)
    (earlier.with_heard_by(heard) if earlier else heard).write(options.out)
    card = options.out / "README.md"
    if card.is_file():
        figures = read_json(options.out / FIGURES_NAME)
        write_text(card, tell_operating_point(card.read_text(encoding="utf-8"), operating_point, figures))
        write_json(options.out / FIGURES_NAME, with_rates_of(operating_point, figures))
    accuracy = np.mean(logits[:, : len(vocabulary().labels)].argmax(axis=1) == label_ids)
    sys.stdout.write(f"{len(words)} words: accuracy {accuracy:.4f}; {operating_point}\nwrote {options.out}\n")
    return EXIT_OK


def _split_card(
    options: argparse.Namespace, corpus: "Corpus", other_clips: "tuple[Clip, ...]"
) -> "SplitCard":
    """Of what is chosen by all of these clips and has learned from none."""
    from finetune.checkpoint.split_card import SplitCard
    from finetune.corpus.clip import CorpusSource
    from finetune.corpus.mixture import read_notice
    from finetune.corpus.splits import Split
    from finetune.training.data import non_word_sources

    sources = (
        CorpusSource("validation", corpus.description, read_notice(options.dataset)),
        *non_word_sources("validation non-words", [options.others]),
    )
    return SplitCard.from_split(
        corpus, Split("official", 0, None, (), corpus.clips, ()), sources, other_clips
    )


def choose_thresholds(
    words: "Sequence[Prediction]", labels: "Sequence[str]", others: "Sequence[Prediction]"
) -> "Thresholds":
    """Chooses when the small model of a cascade answers alone: the most that its mistakes allow.

    Args:
        words: The small model's answers to words.
        labels: The words that were said.
        others: Its answers to other sounds.

    Raises:
        CheckpointError: If it has no class for other sounds.
    """
    import numpy as np

    from inference.backends.cascade import Thresholds

    refusals = [found.none_probability for found in words if found.none_probability is not None]
    if len(refusals) < len(words):
        raise CheckpointError("the small model has no class for other sounds; fit it with --reject.")
    wrong = [found.score or 0.0 for found, label in zip(words, labels, strict=True) if found.label != label]
    least_scores = sorted([0.0, *wrong], reverse=True)
    tolerated = min(int(MAX_WRONG_WORDS * len(words)), len(wrong))
    return Thresholds(
        accept=max(
            float(np.quantile([found.score for found in others], 1 - MAX_ACCEPTED_OTHERS)),
            float(np.nextafter(least_scores[tolerated], 2.0)),
        ),
        refuse=float(np.quantile(refusals, 1 - MAX_REFUSED_WORDS)),
    )


def _ask(backend: "Backend", waveforms: "Sequence[np.ndarray]") -> "list[Prediction]":
    from tqdm import tqdm

    starts = tqdm(range(0, len(waveforms), CLIPS_PER_CALL), desc=type(backend).__name__, disable=None)
    return [found for start in starts for found in backend.predict(waveforms[start : start + CLIPS_PER_CALL])]


def _logarithms(predictions: "Sequence[Prediction]") -> "np.ndarray":
    import numpy as np

    from inference.backends.ensemble import log_probabilities

    return np.stack([log_probabilities(prediction) for prediction in predictions])


if __name__ == "__main__":
    sys.exit(main())
