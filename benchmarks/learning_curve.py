"""Entry point: how much must be recorded? Accuracy on new voices by clips of each word, and by speakers.

    python -m benchmarks.learning_curve --model mfcc-svm --dataset recordings/ --test voices/ --out runs/curve

Each fit is one line of ``fits.jsonl``; killed and started again, the command goes on with those missing.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.content_hashes import combined_hash
from finetune.baselines.table import SYNTHETIC_SHARES
from finetune.corpus.clip import Clip
from finetune.corpus.loading import DATASET_HELP
from finetune.corpus.splits import Split, fingerprint
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
    shareable_command,
)
from inference.errors import UserError
from inference.files import write_bytes, write_text
from inference.vocabulary import add_vocabulary_argument, vocabulary

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.reports.picture import Picture

FITS_FILE, SUMMARY_FILE, PICTURE_FILE = "fits.jsonl", "summary.md", "learning_curve.png"


@dataclass(frozen=True)
class Fit:
    """One finished fit.

    Attributes:
        asked: Hash of the clips and settings; a folder holds fits of one.
        clips_per_label: Clips of each label that were asked for.
        of_speakers: Speakers that they were drawn from; None: as many as possible.
        draw: Number of the draw, seed of the clips and of the model.
        num_speakers: Speakers among them.
        fewest_clips: Clips of the label with the fewest, where there were no more.
        num_test_clips: How many were asked about.
    """

    asked: str
    model: str
    clips_per_label: int
    of_speakers: int | None
    draw: int
    num_speakers: int
    fewest_clips: int
    accuracy: float
    num_test_clips: int
    seconds: float

    @property
    def place(self) -> tuple[str, int, int | None, int]:
        """What tells it from the others."""
        return self.model, self.clips_per_label, self.of_speakers, self.draw


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.learning_curve",
        description="Fits small models to ever more clips of each word and asks them about voices that they "
        "have not heard: how much must be recorded?",
    )
    parser.add_argument("--model", nargs="+", choices=SYNTHETIC_SHARES, default=["mfcc-svm"])
    parser.add_argument("--dataset", nargs="+", default=["auto"], help=f"learn from clips of: {DATASET_HELP}")
    parser.add_argument(
        "--test",
        nargs="+",
        required=True,
        metavar="DATASET",
        help="ask about these, of other speakers: validation voices while you choose, test voices to report",
    )
    parser.add_argument("--clips-per-label", nargs="+", type=positive_int, default=[5, 10, 20, 50, 100])
    parser.add_argument(
        "--speakers",
        nargs="+",
        type=positive_int,
        default=[None],
        metavar="N",
        help="draw the clips from so many speakers (default: from as many as possible)",
    )
    parser.add_argument("--draws", type=positive_int, default=3, help="of other clips (default: %(default)s)")
    parser.add_argument(
        "--synthetic-share", type=float, help="share of synthetic voices (default: each model's own)"
    )
    parser.add_argument("--steps", type=positive_int, help="optimizer steps of the networks")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder to write")
    add_vocabulary_argument(parser)
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Fits what is missing, then draws the curve and prints the table."""
    from benchmarks.measure.environment import describe_environment, environment_line

    options = build_parser().parse_args(argv)
    pool, test = _load(options)
    settings = f"{options.steps} {options.synthetic_share} {vocabulary().labels}"
    asked = combined_hash(fingerprint(pool), fingerprint(test), settings)
    fits = _read(options.out / FITS_FILE, asked)
    places = [
        (model, clips, speakers, draw)
        for clips in options.clips_per_label
        for speakers in options.speakers
        for draw in range(options.draws)
        for model in dict.fromkeys(options.model)
    ]
    done = {fit.place for fit in fits}
    for number, place in enumerate(places, start=1):
        if place not in done:
            fit = _fit(asked, place, pool, test, options)
            fits.append(fit)
            lines = "".join(json.dumps(asdict(one)) + "\n" for one in fits)
            write_text(options.out / FITS_FILE, lines)
            sys.stderr.write(
                f"[{number}/{len(places)}] {fit.model}, {fit.clips_per_label} clips per word of "
                f"{fit.num_speakers} speakers: {100 * fit.accuracy:.1f} % ({fit.seconds:.1f} s)\n"
            )
    asked_for = set(places)
    chosen = [fit for fit in fits if fit.place in asked_for]
    text = "\n".join(table_lines(chosen))
    command = shareable_command("python", "-m", "benchmarks.learning_curve", *(argv or sys.argv[1:]))
    made = f"`{command}` on {environment_line(describe_environment(1))}"
    summary = f"# How much must be recorded?\n\n{text}\n\n![]({PICTURE_FILE})\n\n{made}\n"
    write_text(options.out / SUMMARY_FILE, summary)
    write_bytes(options.out / PICTURE_FILE, draw_curve(chosen).png())
    sys.stdout.write(f"{text}\n")
    sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_OK


def _load(options: argparse.Namespace) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Clips to draw from, and those to ask about; no recording is in both."""
    from finetune.corpus.mixture import load_corpora, refuse_shared_recordings

    corpora = load_corpora([*options.dataset, *options.test])
    parts = [clip for corpus in corpora[: len(options.dataset)] for clip in corpus.clips]
    asked = [clip for corpus in corpora[len(options.dataset) :] for clip in corpus.clips]
    refuse_shared_recordings(parts, asked)
    return tuple(parts), tuple(asked)


def _read(path: Path, asked: str) -> list[Fit]:
    """The fits of an earlier call.

    Raises:
        UserError: If they are of other clips or settings.
    """
    if not path.is_file():
        return []
    try:
        fits = [Fit(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} holds no fits of this program ({error}): choose another --out.") from error
    if any(fit.asked != asked for fit in fits):
        raise UserError(f"{path} holds fits of other clips or settings: choose another --out, or remove it.")
    return fits


def draw_clips(pool: Sequence[Clip], clips_per_label: int, speakers: int | None, seed: int) -> list[Clip]:
    """So many clips of each label, of so many speakers.

    Raises:
        UserError: If there are fewer speakers, or a label is left without a clip.
    """
    from finetune.corpus.mixture import at_most_per_label

    names = sorted({clip.speaker for clip in pool})
    if speakers is not None:
        if speakers > len(names):
            raise UserError(f"--speakers {speakers}: the recordings are of {len(names)}.")
        kept = set(random.Random(seed).sample(names, speakers))
        pool = [clip for clip in pool if clip.speaker in kept]
    drawn = list(at_most_per_label(pool, clips_per_label, seed))
    absent = set(vocabulary().labels) - {clip.label for clip in drawn}
    if absent:
        raise UserError(
            f"{speakers or len(names)} speakers said no {', '.join(sorted(absent))} (draw {seed}): record "
            "those, or ask for more --speakers."
        )
    return drawn


def _fit(
    asked: str,
    place: tuple[str, int, int | None, int],
    pool: Sequence[Clip],
    test: Sequence[Clip],
    options: argparse.Namespace,
) -> Fit:
    """Fits as ``finetune.fit_baseline`` does, without validation clips: nothing is chosen here."""
    from finetune.baselines.table import find_baseline
    from finetune.corpus.synthetic import with_synthetic
    from finetune.metrics import accuracy

    model, clips_per_label, speakers, seed = place
    drawn = draw_clips(pool, clips_per_label, speakers, seed)
    share = SYNTHETIC_SHARES[model] if options.synthetic_share is None else options.synthetic_share
    split = with_synthetic(Split("learning curve", seed, None, tuple(drawn), (), ()), share, "recordings")
    started = time.perf_counter()
    fitted = find_baseline(model, seed, options.steps).fit(split.training_clips, ())
    seconds = time.perf_counter() - started
    labels = vocabulary().labels
    answers = [labels[row.argmax()] for row in fitted.probabilities(test)[:, : len(labels)]]
    return Fit(
        asked,
        *place,
        num_speakers=len({clip.speaker for clip in drawn}),
        fewest_clips=min(Counter(clip.label for clip in drawn).values()),
        accuracy=accuracy(answers, [clip.label for clip in test]),
        num_test_clips=len(test),
        seconds=seconds,
    )


def points(fits: Sequence[Fit]) -> "pd.DataFrame":
    """Mean accuracy in % of each point of the curve, with Student's 95 % interval over its draws.

    Of draws that do not vary, and of one, the interval is the mean.
    """
    import numpy as np
    import pandas as pd

    from finetune.intervals import speaker_interval

    rows = []
    order = ["clips_per_label", "of_speakers", "model"]
    for place, draws in pd.DataFrame(fits).groupby(order, sort=False, dropna=False):
        values = draws["accuracy"].tolist()
        mean = float(np.mean(values))
        low, high = speaker_interval(values)[:2] if np.ptp(values) > 1e-12 else (mean, mean)
        few, many = draws["num_speakers"].min(), draws["num_speakers"].max()
        rows.append(
            dict(zip(order, place, strict=True))
            | {"mean": 100 * mean, "low": 100 * low, "high": 100 * high}
            | {"speakers": f"{few}" if few == many else f"{few} to {many}"}
            | {"fewest": draws["fewest_clips"].min()}
        )
    return pd.DataFrame(rows)


def table_lines(fits: Sequence[Fit]) -> list[str]:
    """A row for each number of clips, a column for each model."""
    from benchmarks.text_table import markdown_grid

    found = points(fits)
    models = found["model"].unique().tolist()
    rows = []
    for (clips, _), row in found.groupby(["clips_per_label", "of_speakers"], sort=False, dropna=False):
        cells = {
            one.model: f"{one.mean:.1f}" + (f" [{one.low:.1f}, {one.high:.1f}]" if one.low < one.high else "")
            for one in row.itertuples()
        }
        few = row["fewest"].min()
        words = f"{clips} clips per word" + (f" ({few} of some)" if few < clips else "")
        rows.append([words, row["speakers"].iloc[0], *(cells[model] for model in models)])
    num_draws = len({fit.draw for fit in fits})
    return [
        *markdown_grid(["recorded", "speakers", *(f"{name} %" for name in models)], rows),
        "",
        f"Right answers to {fits[0].num_test_clips} clips of voices that were not learned from; means of "
        f"{num_draws} draws of other clips, in brackets Student's 95 % interval over draws.",
    ]


def draw_curve(fits: Sequence[Fit]) -> "Picture":
    """Accuracy against clips per word: a colour per model, a line style per number of speakers."""
    from benchmarks.reports.picture import Picture, new_figure, styles

    figure = new_figure(None)
    axes = figure.add_subplot()
    found = points(fits)
    style = styles(found["model"].unique().tolist())
    dashes = dict(zip(found["of_speakers"].unique(), ("-", "--", ":", "-.") * len(found), strict=False))
    for (model, speakers), curve in found.groupby(["model", "of_speakers"], sort=False, dropna=False):
        curve = curve.sort_values("clips_per_label")
        name = f"{model}, {speakers:.0f} speakers" if speakers == speakers else model
        axes.errorbar(
            curve["clips_per_label"],
            curve["mean"],
            yerr=[curve["mean"] - curve["low"], curve["high"] - curve["mean"]],
            **style[model],
            linestyle=dashes.get(speakers, "-"),
            capsize=3,
            label=name,
        )
    ticks = sorted(found["clips_per_label"].unique())
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("recorded clips of each word")
    axes.set_ylabel("% right, new voices")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize="small")
    return Picture("learning_curve", "How much must be recorded?", "Accuracy by clips per word.", figure)


if __name__ == "__main__":
    raise SystemExit(main())
