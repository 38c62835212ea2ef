"""Whisper on single words: window, lead of silence and previous text against accuracy and time.

    python -m benchmarks.whisper_windows --dataset FOLDER --out results/whisper-windows

One clip at a time, as a microphone brings them, and beside it the plain library call on the same weights.
What was measured is kept: a second call goes on where the first one was stopped.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.against_libraries.library_calls import PlainWhisper, PlainWhisperGreedy
from benchmarks.records.checked import from_json, to_json
from finetune.corpus.loading import DATASET_HELP
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
    shareable_command,
)
from inference.files import write_bytes, write_text

if TYPE_CHECKING:
    from finetune.corpus.clip import Clip

WINDOWS_S = (1.0, 1.5, 2.0, 3.0, 5.0, 30.0)
LEADS_S = (0.0, 0.1, 0.2, 0.3, 0.5)
#: At 30 s a clip takes a second, and the lead matters little.
STANDARD_S, STANDARD_CLIPS = 30.0, 40
STANDARD_LEADS_S = (0.0, 0.3)
#: What the decoder is told came before: nothing, the list of the words, or one after the other.
PREVIOUS_TEXTS = ("none", "words", "both")
#: In their place: the library's own call, at its defaults or told what a single English word needs.
PLAIN_CALLS = {"transcribe": PlainWhisper, "transcribe, English, greedy": PlainWhisperGreedy}
CELLS_FILE, SUMMARY_FILE, PICTURE_FILE = "cells.jsonl", "summary.md", "windows.png"


@dataclass(frozen=True)
class Cell:
    """One way to ask, and what it got.

    Attributes:
        window_s: What the encoder is given, in seconds.
        lead_s: Silence before the word, in seconds.
        previous_text: One of ``PREVIOUS_TEXTS``, or of ``PLAIN_CALLS``.
        p50_ms: Median time of one clip, decoded audio to answer, in milliseconds.
    """

    window_s: float
    lead_s: float
    previous_text: str
    clips: int
    right: int
    p50_ms: float

    @property
    def key(self) -> "Key":
        """What was asked of how many clips."""
        return self.window_s, self.lead_s, self.previous_text, self.clips


Key = tuple[float, float, str, int]


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m benchmarks.whisper_windows",
        description="Window, lead of silence and previous text of Whisper against accuracy and time.",
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    parser.add_argument("--checkpoint", default="tiny.en", help="Whisper weights (default: %(default)s)")
    parser.add_argument("--clips", type=positive_int, default=200, help="clips drawn (default: %(default)s)")
    parser.add_argument("--threads", type=positive_int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument(
        "--out", type=path_argument, default=Path("results/whisper-windows"), help="folder to write"
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    from tqdm import tqdm

    from benchmarks.measure.environment import describe_environment, environment_line
    from finetune.corpus.loading import load_corpus
    from inference.backends.whisper.backend import load_model
    from inference.backends.whisper.folder import find_folder

    corpus = load_corpus(options.dataset)
    clips = random.Random(0).sample(corpus.clips, min(options.clips, len(corpus.clips)))
    standard = clips[:STANDARD_CLIPS]
    model = load_model(find_folder(options.checkpoint), options.threads)
    caption = (
        f"Whisper {options.checkpoint}, {len(clips)} clips drawn from {corpus.description} "
        f"(seed 0), {len(standard)} of them in 30 s windows and by the plain calls; "
        f"{options.threads} thread(s), one clip at a time."
    )
    cells = read_cells(options.out / CELLS_FILE, caption)
    jobs = list(_jobs(model, clips, standard))
    with tqdm(total=len(jobs), disable=None) as bar:
        for keys, measure in jobs:
            if not keys <= {cell.key for cell in cells}:
                cells = [cell for cell in cells if cell.key not in keys] + measure()
                write_cells(options.out / CELLS_FILE, caption, cells)
            bar.update()
    wanted = {key for keys, _ in jobs for key in keys}
    cells = sorted((cell for cell in cells if cell.key in wanted), key=lambda cell: cell.key)
    environment = environment_line(describe_environment(options.threads))
    command = shareable_command("python", "-m", "benchmarks.whisper_windows", *(argv or sys.argv[1:]))
    text = "\n".join([caption, "", *summary_lines(cells), "", f"`{command}` on {environment}", ""])
    write_text(options.out / SUMMARY_FILE, text)
    write_bytes(options.out / PICTURE_FILE, draw(cells, options.checkpoint))
    sys.stdout.write(text)
    return EXIT_OK


def _jobs(
    model: Any, clips: "Sequence[Clip]", standard: "Sequence[Clip]"
) -> Iterator[tuple[set[Key], Callable[[], list[Cell]]]]:
    """What is to be measured: the keys of the cells of each job, and the call that measures them."""
    for window_s in WINDOWS_S:
        asked = standard if window_s == STANDARD_S else clips
        for lead_s in STANDARD_LEADS_S if window_s == STANDARD_S else LEADS_S:
            if lead_s < window_s:
                keys = {(window_s, lead_s, text, len(asked)) for text in PREVIOUS_TEXTS}
                yield keys, partial(score, model, asked, window_s, lead_s)
    for call in PLAIN_CALLS:
        yield {(STANDARD_S, 0.0, call, len(standard))}, partial(transcribe, model, standard, call)


def score(model: Any, clips: "Sequence[Clip]", window_s: float, lead_s: float) -> list[Cell]:
    """Scores the labels in one window, with each previous text; the encoder's work is counted to each."""
    import numpy as np

    from inference.backends.whisper.label_scorer import LabelScorer, label_list
    from inference.backends.whisper.window import encode, log_mel, place

    texts: dict[str, tuple[str | None, ...]] = {"none": (None,), "words": (label_list(),)}
    texts["both"] = (*texts["none"], *texts["words"])
    scorers = {name: LabelScorer(model, previous) for name, previous in texts.items()}
    num_frames, lead_frames = round(100 * window_s), round(100 * lead_s)
    times_ms: dict[str, list[float]] = {name: [] for name in scorers}
    answers: dict[str, list[Any]] = {name: [] for name in scorers}
    for clip in [clips[0], *clips]:  # the first one once more, to warm up
        waveform = clip.waveform()
        start = time.perf_counter()
        encoded = encode(model, [log_mel(model, place(waveform, num_frames, lead_frames))])
        encoder_ms = 1000 * (time.perf_counter() - start)
        for name, scorer in scorers.items():
            start = time.perf_counter()
            answers[name] += scorer.decode(encoded)
            times_ms[name].append(encoder_ms + 1000 * (time.perf_counter() - start))
    labels = [clip.label for clip in clips]
    return [
        Cell(
            window_s=window_s,
            lead_s=lead_s,
            previous_text=name,
            clips=len(clips),
            right=sum(found.label == label for found, label in zip(answers[name][1:], labels, strict=True)),
            p50_ms=float(np.median(times_ms[name][1:])),
        )
        for name in scorers
    ]


def transcribe(model: Any, clips: "Sequence[Clip]", call: str) -> list[Cell]:
    """The library's own call, its text mapped to a label as ours is."""
    import numpy as np

    backend, times_ms, right = PLAIN_CALLS[call](model), [], 0
    for clip in clips:
        waveform = clip.waveform()
        start = time.perf_counter()
        (found,) = backend.predict([waveform])
        times_ms.append(1000 * (time.perf_counter() - start))
        right += found.label == clip.label
    return [Cell(STANDARD_S, 0.0, call, len(clips), right, float(np.median(times_ms)))]


def read_cells(path: Path, caption: str) -> list[Cell]:
    """What an earlier call measured under the same conditions; nothing if they were others."""
    first, *lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else [""]
    return [from_json(Cell, line) for line in lines] if first == json.dumps(caption) else []


def write_cells(path: Path, caption: str, cells: Sequence[Cell]) -> None:
    """Writes one cell a line in one step, the conditions in the first line."""
    write_text(path, "".join(f"{json.dumps(line)}\n" for line in (caption, *map(to_json, cells))))


def summary_lines(cells: Sequence[Cell]) -> list[str]:
    """The tables for people: a row for each window and lead, columns for previous texts; the plain calls."""
    from benchmarks.text_table import markdown_grid

    rows: dict[tuple[float, float, int], dict[str, Cell]] = {}
    plain = [cell for cell in cells if cell.previous_text in PLAIN_CALLS]
    for cell in cells:
        if cell not in plain:
            rows.setdefault((cell.window_s, cell.lead_s, cell.clips), {})[cell.previous_text] = cell
    accuracies = [f"right %, {text}" for text in PREVIOUS_TEXTS]
    times = [f"ms, {text}" for text in PREVIOUS_TEXTS]
    lines = []
    for (window_s, lead_s, clips), found in rows.items():
        asked = [found[text] for text in PREVIOUS_TEXTS]
        right = [f"{100 * cell.right / cell.clips:.1f}" for cell in asked]
        lines.append(
            [f"{window_s:g}", f"{lead_s:g}", str(clips), *right, *(f"{cell.p50_ms:.0f}" for cell in asked)]
        )
    calls = [
        [cell.previous_text, str(cell.clips), f"{100 * cell.right / cell.clips:.1f}", f"{cell.p50_ms:.0f}"]
        for cell in plain
    ]
    return [
        *markdown_grid(["window s", "lead s", "clips", *accuracies, *times], lines),
        "",
        *markdown_grid(["plain library call", "clips", "right %", "ms"], calls),
    ]


def draw(cells: Sequence[Cell], checkpoint: str) -> bytes:
    """Accuracy over time per clip, as PNG: a line per lead from the shortest window to the longest.

    The lead changes nothing of the work: all leads of a window stand at the least of their times, the one
    that other work on the machine disturbed least.
    """
    from benchmarks.reports.picture import COLOURS, MARKERS, Picture, new_figure

    figure = new_figure(None, width=11.0)
    times_ms: dict[tuple[str, float], float] = {}
    for cell in cells:
        work = (cell.previous_text, cell.window_s)
        times_ms[work] = min(cell.p50_ms, times_ms.get(work, cell.p50_ms))
    panels = figure.subplots(1, len(PREVIOUS_TEXTS), sharey=True, sharex=True)
    for axes, previous_text in zip(panels, PREVIOUS_TEXTS, strict=True):
        for place, lead_s in enumerate(LEADS_S):
            line = [cell for cell in cells if (cell.previous_text, cell.lead_s) == (previous_text, lead_s)]
            axes.plot(
                [times_ms[cell.previous_text, cell.window_s] for cell in line],
                [100 * cell.right / cell.clips for cell in line],
                color=COLOURS[place],
                marker=MARKERS[place],
                label=f"lead {lead_s:g} s",
            )
        for cell in (cell for cell in cells if cell.previous_text in PLAIN_CALLS):
            marker = "x+"[list(PLAIN_CALLS).index(cell.previous_text)]
            axes.plot(cell.p50_ms, 100 * cell.right / cell.clips, f"k{marker}", label=cell.previous_text)
        axes.set(xscale="log", xlabel="ms per clip", title=f"previous text: {previous_text}")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("right answers, %")
    panels[-1].legend(fontsize=8)
    windows = ", ".join(f"{window_s:g}" for window_s in WINDOWS_S)
    figure.suptitle(f"Whisper {checkpoint} on single words; windows of {windows} s from left to right")
    return Picture("windows", "windows", "", figure).png()


if __name__ == "__main__":
    raise SystemExit(main())
