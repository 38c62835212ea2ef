"""Entry point: what each part of the MFCC models is worth, on speakers that they have not heard.

    python -m benchmarks.ablation --dataset recordings/ --out runs/ablation

Training clips only: cross-validated over speakers, and beside it over clips drawn at random.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.text_table import markdown_grid
from finetune.baselines.table import STATISTICS_TITLES, class_ids, find_baseline
from finetune.corpus.clip import Clip
from finetune.corpus.loading import DATASET_HELP
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
)
from inference.crop import prepare
from inference.errors import UserError
from inference.features import (
    FeatureSettings,
    band_statistics,
    cut_floor,
    deltas,
    frame_statistics,
    level_and_mfcc,
    word_log_mel,
)
from inference.files import write_text
from inference.vocabulary import add_vocabulary_argument

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = FeatureSettings()
AS_SHIPPED = "as shipped"
NUM_SHUFFLES = 5


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.ablation",
        description="Leaves out, adds and replaces parts of the MFCC models: accuracy on new speakers, and "
        "what shuffling a group of statistics costs.",
    )
    parser.add_argument("--dataset", nargs="+", default=["auto"], help=f"training clips of: {DATASET_HELP}")
    parser.add_argument("--model", nargs="+", choices=STATISTICS_TITLES, default=list(STATISTICS_TITLES))
    parser.add_argument("--max-clips-per-label", type=positive_int, metavar="N", help="of each dataset")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder to write")
    add_vocabulary_argument(parser)
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Cross-validates every variant, then writes and prints the tables."""
    from finetune.corpus.mixture import at_most_per_label, load_corpora

    options = build_parser().parse_args(argv)
    parts = [[c for c in corpus.clips if not c.official_test] for corpus in load_corpora(options.dataset)]
    clips = [clip for part in parts for clip in at_most_per_label(part, options.max_clips_per_label, seed=0)]
    variants, importance = ablate(clips, options.model)
    text = "\n".join(table_lines(variants, importance, clips))
    write_text(options.out / "variants.csv", variants.to_csv(index=False))
    write_text(options.out / "importance.csv", importance.to_csv(index=False))
    write_text(options.out / "summary.md", f"# What each part is worth\n\n{text}\n")
    sys.stdout.write(f"{text}\n")
    sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_OK


def pcen(energies: np.ndarray) -> np.ndarray:
    """Per-channel energy normalisation, in place of the logarithm.

    Equations 1 and 2 of Wang et al. 2017, "Trainable frontend for robust and far-field keyword spotting",
    with its constants (smoothing 0.025, alpha 0.98, delta 2, r 0.5), which are for samples of 16 bits.

    Args:
        energies: Of samples in [-1, 1], ``(num_frames, n_mels)``; the result has the same shape.
    """
    from scipy.signal import lfilter

    energies = energies * 2.0**30
    smooth, _ = lfilter([0.025], [1.0, -0.975], energies, axis=0, zi=0.975 * energies[:1])
    return np.sqrt(energies / (1e-6 + smooth) ** 0.98 + 2.0) - np.sqrt(2.0)


def feature_variants(bands: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics ``(num_statistics,)`` by name, of a word's log-mel matrix without a floor."""
    pool = partial(frame_statistics, num_segments=SETTINGS.num_segments)
    shipped = band_statistics(cut_floor(bands, SETTINGS), SETTINGS)
    static = level_and_mfcc(cut_floor(bands, SETTINGS), SETTINGS)
    frames = np.hstack([static, deltas(static)])
    normalised = (static - static.mean(axis=0)) / (static.std(axis=0) + 1e-3)
    compressed = level_and_mfcc(pcen(np.exp(bands)), SETTINGS)
    return {
        AS_SHIPPED: shipped,
        "without slopes": pool(static),
        "without segment means": np.append(shipped[: 4 * frames.shape[1]], shipped[-1]),
        "with second differences": pool(np.hstack([frames, deltas(deltas(static))])),
        "with percentiles 10, 50, 90": np.append(shipped, np.percentile(frames, (10, 50, 90), axis=0)),
        "mean and variance normalised (CMVN)": pool(np.hstack([normalised, deltas(normalised)])),
        "PCEN in place of the logarithm": pool(np.hstack([compressed, deltas(compressed)])),
    }


def groups_of_statistics() -> dict[str, np.ndarray]:
    """Places in the shipped statistics that belong together, by name; a coefficient goes with its slope."""
    names = ["level", *(f"c{number}" for number in range(1, SETTINGS.n_mfcc + 1))]
    kinds = ["mean", "deviation", "least", "greatest", *["segment means"] * SETTINGS.num_segments]
    kind, is_slope, name = np.indices((len(kinds), 2, len(names))).reshape(3, -1)
    return {
        **{label: np.flatnonzero(name == place) for place, label in enumerate(names)},
        "all slopes": np.flatnonzero(is_slope),
        **{
            f"every {label}": np.flatnonzero(np.array(kinds)[kind] == label) for label in dict.fromkeys(kinds)
        },
        "duration": np.array([kind.size]),
    }


def other_pitch(waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Another pitch and rate; the resonances stay."""
    from finetune.effects import change_speed, shift_formants

    speed = generator.uniform(0.85, 1.18)
    return shift_formants(change_speed(waveform, speed), 1.0 / speed)


def as_it_is(waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """No other pitch, speed or noise."""
    return waveform


def statistics_of(clips: Sequence[Clip], vary: Callable[..., np.ndarray] = as_it_is) -> dict[str, np.ndarray]:
    """``feature_variants`` of a varied copy of each clip: ``(num_clips, num_statistics)`` by name."""
    from tqdm import tqdm

    from finetune.augmentation import clip_generator

    contract, settings = find_baseline("mfcc-svm", 0).contract, replace(SETTINGS, floor_db=np.inf)
    rows = []
    for clip in tqdm(clips, desc="statistics", unit="clip", disable=None):
        waveform = vary(clip.waveform(), generator=clip_generator(0, 0, clip.clip_id))
        rows.append(feature_variants(word_log_mel(prepare(waveform, contract), settings)))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def variants_of(clips: Sequence[Clip]) -> dict[str, list[np.ndarray]]:
    """Statistics of the clips, and of the copies that are learned from beside them, by name."""
    from finetune.augmentation import AugmentationSettings, augment
    from finetune.baselines.statistics_models import VARIATIONS

    def varied(settings: AugmentationSettings) -> np.ndarray:
        return statistics_of(clips, partial(augment, settings=settings))[AS_SHIPPED]

    variants = {name: [rows] for name, rows in statistics_of(clips).items()}
    (plain,) = variants[AS_SHIPPED]
    speed, noise = map(varied, VARIATIONS)
    return {
        **variants,
        "and copies at another pitch": [plain, statistics_of(clips, other_pitch)[AS_SHIPPED]],
        "and copies at another speed": [plain, speed],
        "and copies in noise": [plain, noise],
        "and copies at another speed and in noise (as fit)": [plain, speed, noise],
    }


def ablate(clips: Sequence[Clip], models: Sequence[str]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Cross-validates every variant of every model.

    Returns:
        Variants: share of right answers on speakers that were not learned from, mean over speakers with
        Student's 95 % interval, the same of its difference to the first variant, and the share on other clips
        of the same speakers. Importance: see ``lost_by_shuffling``.

    Raises:
        UserError: If a label is spoken by one speaker only.
    """
    import pandas as pd
    from scipy.stats import ttest_1samp
    from sklearn.model_selection import StratifiedKFold
    from tqdm import tqdm

    from finetune.baselines.statistics_models import GAMMAS, REGULARISATION, GridPoint, statistics_pipeline
    from finetune.corpus.splits import grouped_folds, speaker_groups
    from finetune.intervals import speaker_interval

    ids, speakers = class_ids(), np.array([clip.speaker for clip in clips])
    label_ids = np.array([ids[clip.label] for clip in clips])
    if speaker_groups(speakers, label_ids) is not speakers:
        raise UserError("a label is spoken by one speaker only; name a --dataset where two say each of them.")
    by_speaker = list(grouped_folds(label_ids, speakers).split(label_ids, label_ids, speakers))
    by_clip = StratifiedKFold(len(by_speaker), shuffle=True, random_state=0).split(label_ids, label_ids)
    both = (by_speaker, list(by_clip))
    variants, found, lost = variants_of(clips), [], []
    for model in models:
        point = GridPoint(SETTINGS, REGULARISATION[model][0], GAMMAS[model][0])
        first = None
        for name, parts in tqdm(variants.items(), desc=model, unit="variant", disable=None):
            right = np.empty((2, len(clips)))
            for row, folds in zip(right, both, strict=True):
                for train, test in folds:
                    fitted = statistics_pipeline(model, point, parts[0].shape[1])
                    rows = np.concatenate([part[train] for part in parts])
                    fitted.fit(rows, np.tile(label_ids[train], len(parts)))
                    row[test] = fitted.predict(parts[0][test]) == label_ids[test]
                    if name == AS_SHIPPED and folds is by_speaker:
                        shares = lost_by_shuffling(fitted, parts[0][test], label_ids[test])
                        lost += [{"group": group, "model": model, "lost": share} for group, share in shares]
            of_speakers = pd.Series(right[0]).groupby(speakers).mean()
            first = of_speakers if first is None else first
            low, high, _ = speaker_interval(of_speakers.tolist())
            change = ttest_1samp(of_speakers - first, 0.0).confidence_interval()
            found.append(
                {"variant": name, "model": model, "statistics": parts[0].shape[1]}
                | {"new_speakers": of_speakers.mean(), "low": low, "high": high}
                | {
                    "change": (of_speakers - first).mean(),
                    "change_low": change.low,
                    "change_high": change.high,
                }
                | {"same_speakers": right[1].mean()}
            )
    importance = pd.DataFrame(lost).groupby(["group", "model"], sort=False, as_index=False).mean()
    return pd.DataFrame(found), importance


def lost_by_shuffling(fitted: Any, rows: np.ndarray, label_ids: np.ndarray) -> Iterator[tuple[str, float]]:
    """Permutation importance (Breiman 2001, "Random forests", section 10), of whole groups at once.

    Args:
        fitted: A model of scikit-learn.
        rows: Shipped statistics that it has not learned from, ``(num_rows, num_statistics)``.
        label_ids: Their classes.

    Yields:
        Name of a group, and the share of right answers lost where its statistics are shuffled among the rows.
    """
    generator = np.random.default_rng(0)
    for name, places in groups_of_statistics().items():
        scores = []
        for _ in range(NUM_SHUFFLES):
            shuffled = rows.copy()
            shuffled[:, places] = generator.permutation(rows[:, places])
            scores.append(fitted.score(shuffled, label_ids))
        yield name, fitted.score(rows, label_ids) - float(np.mean(scores))


def table_lines(variants: "pd.DataFrame", importance: "pd.DataFrame", clips: Sequence[Clip]) -> list[str]:
    """Both tables in Markdown: a row for each variant or group, columns for each model."""
    models = variants["model"].unique().tolist()
    rows = [
        [str(name), str(group["statistics"].iloc[0])]
        + [cell for row in group.itertuples() for cell in (_cell(row), f"{100 * row.same_speakers:.1f}")]
        for name, group in variants.groupby("variant", sort=False)
    ]
    shuffled = [
        [str(name), *(f"{100 * lost:.1f}" for lost in group["lost"])]
        for name, group in importance.groupby("group", sort=False)
    ]
    columns = [f"{model}: {who} speakers %" for model in models for who in ("new", "same")]
    return [
        *markdown_grid(["statistics of a word", "number", *columns], rows),
        "",
        f"{len(clips)} training clips of {len({clip.speaker for clip in clips})} speakers, cross-validated. "
        "New: speakers who were not learned from, mean over them; in brackets Student's 95 % interval over "
        "speakers, below the first row of the difference to it. Same: a random stratified split, other clips "
        "of the speakers who were learned from; saturated, as the official split is.",
        "",
        *markdown_grid(["shuffled", *(f"{model}: points lost" for model in models)], shuffled),
        "",
        "What new speakers lose where these statistics are shuffled among the clips (permutation "
        "importance). Groups overlap, and another may tell the same: a small loss does not mean that one can "
        "go.",
    ]


def _cell(row: Any) -> str:
    if row.variant == AS_SHIPPED:
        return f"{100 * row.new_speakers:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    low, high = 100 * row.change_low, 100 * row.change_high
    return f"{100 * row.new_speakers:.1f} ({100 * row.change:+.1f} [{low:+.1f}, {high:+.1f}])"


if __name__ == "__main__":
    raise SystemExit(main())
