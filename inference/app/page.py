"""The page: a clip or a live stream to one or all backends, the session's history, the benchmark."""

import csv
import html
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from inference.app.microphone_tabs import live_tab, record_tab
from inference.app.pictures import draw_recording
from inference.app.recogniser import ClipAnswer, ClipRecogniser
from inference.app.results import newest_run
from inference.audio import SAMPLING_RATE, collect_warnings
from inference.backends.table import BACKENDS
from inference.errors import AudioError, UserError
from inference.live.engine.events import TOP
from inference.vocabulary import vocabulary

EXAMPLES = Path(__file__).parent / "examples"
HISTORY_COLUMNS = ("backend", "digit", "score", "reason", "total ms", "source")

STYLE = """
.answers { display: flex; flex-wrap: wrap; gap: 12px; }
.answer { flex: 1 1 220px; border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 12px; }
.answer .digit { font-size: 3.2rem; line-height: 1; font-weight: 600; font-variant-numeric: tabular-nums; }
.answer .none { color: var(--body-text-color-subdued); }
.answer small { color: var(--body-text-color-subdued); }
.bar { display: grid; grid-template-columns: 1.5em 1fr 3.5em; gap: 8px; align-items: center; }
.bar span { height: 8px; border-radius: 4px; background: var(--color-accent); min-width: 1px; }
.recording svg { width: 100%; height: 210px; display: block; }
.recording .wave { fill: var(--color-accent); }
.recording .crop { fill: none; stroke: #e69f00; stroke-width: 2; vector-effect: non-scaling-stroke; }
.recording .ticks { position: relative; height: 1.2em; font-size: .75rem; }
.recording .ticks { color: var(--body-text-color-subdued); }
.recording .ticks span { position: absolute; }
#benchmark table { display: block; overflow-x: auto; white-space: nowrap; word-break: normal; }
"""


def build_theme() -> gr.themes.Base:
    """Gradio's plain look with the fonts of the visitor's system: nothing is fetched."""
    return gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def build_page(recogniser: ClipRecogniser, default: str, results: Path, records: bool = False) -> gr.Blocks:
    """Builds the page.

    Args:
        recogniser: Answers.
        default: Backend that is chosen at first.
        results: Folder of benchmark runs.
        records: Whether visitors may record words.
    """
    names = list(dict.fromkeys((default, *BACKENDS)))

    def recognise(path: str | None, chosen: list[str], history: list[list[Any]]) -> tuple[str, str, Any, Any]:
        """One recording to the chosen backends."""
        if not path:
            return "", "", history, history
        try:
            with collect_warnings() as notes:
                waveform = recogniser.decode(path)
        except AudioError as error:
            # Named by the path of the server's copy, it would tell a visitor nothing.
            message = html.escape(str(error).replace(path, Path(path).name))
            return f'<div class="answer" role="alert">{message}</div>', "", history, history
        answers = [_ask(recogniser, waveform, name) for name in chosen or [default]]
        rows = [_history_row(answer, Path(path).name) for answer in answers if isinstance(answer, ClipAnswer)]
        history = [*rows, *history]
        first = next((answer for answer in answers if isinstance(answer, ClipAnswer)), None)
        span = (first.start_s, first.end_s) if first else (0.0, waveform.size / SAMPLING_RATE)
        cards = "".join(map(format_answer, answers))
        said = "".join(f'<p role="note">{html.escape(note)}</p>' for note in notes)
        return f'<div class="answers">{cards}</div>{said}', draw_recording(waveform, *span), history, history

    words = ", ".join(forms[0] for forms in vocabulary().spoken_forms.values())
    with gr.Blocks(title="Spoken Digits", analytics_enabled=False) as page:
        gr.Markdown(f"# Spoken Digits\nSay one of {words}, or open a recording of one.")
        history = gr.State([])
        with gr.Tab("Clip"):
            with gr.Row():
                chosen = gr.CheckboxGroup(
                    names, value=[default], label="Backends", scale=4, elem_id="backends"
                )
                everybody = gr.Button("Ask all", scale=1, elem_id="ask-all")
            audio = gr.Audio(
                sources=["microphone", "upload"], type="filepath", label="One spoken word", elem_id="clip"
            )
            answers = gr.HTML(elem_id="answers")
            picture = gr.HTML(elem_id="picture")
            if vocabulary().is_digits:
                examples = [[str(path)] for path in sorted(EXAMPLES.glob("*.flac"))]
                gr.Examples(examples, [audio], label="Synthetic voices")
        with gr.Tab("Live"):
            gr.HTML(**live_tab(names))
        if records:
            with gr.Tab("Record"):
                gr.HTML(**record_tab())
        with gr.Tab("History"):
            table = gr.Dataframe(headers=list(HISTORY_COLUMNS), interactive=False, elem_id="history")
            gr.DownloadButton("Download as CSV", value=_write_history, inputs=[history])
        with gr.Tab("Benchmark"):
            _show_benchmark(results)
        given, shown = [audio, chosen, history], [answers, picture, history, table]
        audio.change(recognise, given, shown)
        chosen.input(recognise, given, shown)
        everybody.click(lambda: names, outputs=chosen).then(recognise, given, shown)
    return page


def _ask(recogniser: ClipRecogniser, waveform: np.ndarray, name: str) -> "ClipAnswer | tuple[str, str]":
    """The answer, or the backend's name with the reason why it has none."""
    try:
        return recogniser.answer(waveform, name)
    except UserError as error:
        return name, str(error)


def format_answer(answer: "ClipAnswer | tuple[str, str]") -> str:
    """One card: the label, the best labels as bars, where the time went."""
    if isinstance(answer, tuple):
        name, problem = map(html.escape, answer)
        return (
            f'<div class="answer"><b>{name}</b><div class="digit none">-</div><small>{problem}</small></div>'
        )
    shown = html.escape(answer.label or "·")
    best = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])[:TOP]
    bars = "".join(
        f'<div class="bar">{html.escape(label)}<span style="width:{share:.1%}"></span>{share:.3f}</div>'
        for label, share in best
    )
    notes = [
        answer.reason and answer.reason.replace("_", " "),
        answer.hypothesis and f"heard: {answer.hypothesis}",
    ]
    stages = " + ".join(f"{name} {ms:.1f}" for name, ms in answer.latency_ms.items() if name != "total")
    return (
        f'<div class="answer"><b>{html.escape(answer.backend)}</b>'
        f'<div class="digit{"" if answer.label else " none"}">{shown}</div>{bars}'
        f"<small>{html.escape('; '.join(note for note in notes if note))}</small><br>"
        f"<small>{answer.latency_ms['total']:.1f} ms ({stages})</small></div>"
    )


def _history_row(answer: ClipAnswer, source: str) -> list[Any]:
    score = None if answer.score is None else round(answer.score, 3)
    return [answer.backend, answer.label, score, answer.reason, answer.latency_ms["total"], source]


def _write_history(history: list[list[Any]]) -> str:
    """The table as a file for the visitor's download."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="spoken-digits-", suffix=".csv", delete=False, newline="", encoding="utf-8"
    ) as file:
        writer = csv.writer(file)
        writer.writerow(HISTORY_COLUMNS)
        writer.writerows(history)
    return file.name


def _show_benchmark(results: Path) -> None:
    run = newest_run(results)
    if run is None:
        gr.Markdown(f"No benchmark run in `{results}`. Make one: `python -m benchmarks.run`")
        return
    gr.Markdown(f"## {run.name}\n\n{run.summary}", elem_id="benchmark")
    for picture in run.pictures:
        gr.Image(str(picture), label=picture.stem.replace("_", " "), interactive=False)
