"""Figures through a virtual microphone: a PulseAudio null sink that plays a labelled stream."""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.live.figures import Figure, accuracy_loss, score_figures
from benchmarks.live.listener import Listener
from benchmarks.live.scoring import Label, Scorer
from benchmarks.live.stream import LabelledStream, locate
from benchmarks.live.virtual_microphone import PulseServer
from inference.audio import SAMPLING_RATE, decode_audio
from inference.live.engine.events import Word
from inference.live.engine.timing import percentiles
from inference.live.source.capture import BLOCK_MS, Tap
from inference.live.source.recording import to_int16
from inference.prediction import Answer, Prediction

#: A full-size Wav2Vec2 with random weights: it takes the time of a real one, and knows nothing.
RANDOM_BASE = "wav2vec2-base-random"
#: Backend -> most milliseconds from the end of speech to the printed digit: p50 and p95.
LATENCY_TARGETS_MS = {
    "mfcc": (190.0, 260.0),
    "wav2vec2": (220.0, 320.0),
    RANDOM_BASE: (260.0, 380.0),
}
IDLE_SECONDS = 30.0
STARTS = 3
CALLBACKS = 20_000
#: The stream is found in the recording by this much of its beginning.
LOCATED_SECONDS = 20
#: The recording begins before the stream is played, by less than this.
MOST_DELAY_SECONDS = 60
SETTLE_SECONDS = 2.0


def stream_figures(
    part: str,
    stream: LabelledStream,
    backends: Mapping[str, Sequence[str]],
    accuracies: Mapping[str, tuple[float, float]],
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Plays a stream once to all backends at the same time.

    Args:
        backends: Name -> options of the live command.
        accuracies: Share of right answers to the clips themselves, and to the same words cut out of
            the stream where they truly lie; no accuracy is reported of a backend that is not in it.

    Returns:
        The figures, and every record that the processes wrote, with its backend's name.
    """
    figures: list[Figure] = []
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as resources:
        server = resources.enter_context(PulseServer(Path(folder)))
        listeners = {}
        for name, options in backends.items():
            recording = Path(folder, f"{name}.wav")
            listeners[name] = Listener([*options, "--record", str(recording)], server.environment)
            resources.callback(listeners[name].kill)
        for listener in listeners.values():
            listener.wait_until_ready()
        server.play(to_int16(stream.waveform))
        time.sleep(SETTLE_SECONDS)
        for name, listener in listeners.items():
            summary = listener.stop()
            records += [{"name": name} | record for record in listener.records]
            heard = decode_audio(Path(folder, f"{name}.wav"), max_seconds=1e6)
            labels = _shifted(stream, heard)
            answers = [_word(record) for record in listener.records if record["type"] in ("digit", "reject")]
            if name in accuracies:
                figures += _accuracy_figures(name, labels, answers, *accuracies[name])
            figures += _latency_figures(part, name, labels, answers)
            figures.append(Figure(part, name, "samples lost", summary["lost_samples"], "", 0.0))
            figures.append(Figure(part, name, "overflows of the device", summary["overflows"], "", None))
    return figures, records


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keeps all processor cores but one busy, and one where there is no other."""
    number = max(1, (os.cpu_count() or 1) - 1)
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def idle_figures(name: str) -> list[Figure]:
    """Processor time while nobody speaks, and the time until the command listens."""
    options = ["--backend", name]
    with tempfile.TemporaryDirectory() as folder, PulseServer(Path(folder)) as server:
        listeners = [Listener(options, server.environment)]
        try:
            listeners[0].wait_until_ready()
            time.sleep(SETTLE_SECONDS)
            before, started = listeners[0].cpu_seconds(), time.perf_counter()
            time.sleep(IDLE_SECONDS)
            after, seconds = listeners[0].cpu_seconds(), time.perf_counter() - started
            # The page cache is warm now, and the sink is awake as long as somebody listens.
            for _ in range(STARTS):
                listeners.append(Listener(options, server.environment))
                listeners[-1].wait_until_ready()
                listeners[-1].stop()
        finally:
            for listener in listeners:
                listener.kill()
    shares = {process: 100 * (after[process] - before[process]) / seconds for process in after}
    starts = [listener.ready_seconds for listener in listeners[1:]]
    return [
        Figure("idle", name, "one core while nobody speaks", sum(shares.values()), "%", 3.0),
        *(Figure("idle", name, f"of it {process}", share, "%", None) for process, share in shares.items()),
        Figure("idle", name, "start to ready, median", statistics.median(starts), "s", 1.5, len(starts)),
    ]


def callback_figures() -> list[Figure]:
    """Time that the capture callback takes, while its blocks are sent to another process's pipe."""
    frames = SAMPLING_RATE * BLOCK_MS // 1000
    tap = Tap(SAMPLING_RATE, channels=1)
    receiver, sender = Pipe(duplex=False)

    def drain() -> None:
        for block in tap.blocks():
            sender.send(block)

    def receive() -> None:
        with contextlib.suppress(EOFError):
            while True:
                receiver.recv()

    threads = [threading.Thread(target=task, daemon=True) for task in (drain, receive)]
    for thread in threads:
        thread.start()
    data, status = bytes(2 * frames), SimpleNamespace(input_overflow=False)
    times = SimpleNamespace(currentTime=1.0, inputBufferAdcTime=0.99)
    durations_ms = []
    for _ in range(CALLBACKS):
        started = time.perf_counter()
        tap(data, frames, times, status)
        durations_ms.append(1000 * (time.perf_counter() - started))
        time.sleep(0.0001)
    tap.finish()
    threads[0].join(5)
    sender.close()
    return [
        Figure(
            "callback", "", "capture callback, p99", percentiles(durations_ms)["p99"], "ms", 1.0, CALLBACKS
        )
    ]


def _shifted(stream: LabelledStream, heard: np.ndarray) -> list[Label]:
    """The labels at their places in what a process heard.

    A player on a busy machine falls silent now and then, and what follows comes later: every word is
    looked for anew, around where the one before it lay.
    """
    begin = stream.waveform[: LOCATED_SECONDS * SAMPLING_RATE]
    offset = locate(begin, heard[: begin.size + MOST_DELAY_SECONDS * SAMPLING_RATE])
    margin, labels = SAMPLING_RATE // 4, []
    for label in stream.labels:
        word = stream.waveform[label.start - margin : label.end + margin]
        first = max(0, label.start + offset - 2 * margin)
        offset = first + locate(word, heard[first : first + word.size + 4 * margin]) - (label.start - margin)
        labels.append(Label(label.start + offset, label.end + offset, label.label))
    return labels


def _word(record: dict[str, Any]) -> Word:
    label = None if record["digit"] is None else str(record["digit"])
    answer = Answer(label, record.get("reason"), Prediction(label))
    return Word(
        answer=answer, **{name: record[name] for name in ("id", "start", "end", "latency_ms", "backend")}
    )


def _accuracy_figures(
    name: str, labels: list[Label], heard: list[Word], clips: float, words: float
) -> list[Figure]:
    scorer = Scorer(labels)
    for word in heard:
        scorer.show(word)
    return [
        *score_figures("stream", name, scorer.score(), most_lost=0.5),
        Figure("stream", name, "accuracy of its words, cut where they truly lie", 100 * words, "%", None),
        *accuracy_loss("stream", name, scorer.score(), clips, most=1.0),
    ]


def _latency_figures(part: str, name: str, labels: list[Label], heard: list[Word]) -> list[Figure]:
    """The engine estimates the end of speech by its detector; here the clip's own end takes its place."""
    ends = np.array([label.end for label in labels])
    totals = []
    for word in heard:
        nearest = ends[np.argmin(np.abs(ends - word.end))]
        if word.answer.label is None or abs(nearest - word.end) > SAMPLING_RATE // 4:
            continue
        stages = word.latency_ms
        after_end = {stage: ms for stage, ms in stages.items() if stage not in ("total", "detector_lag")}
        totals.append(sum(after_end.values()) + (word.end - nearest) / SAMPLING_RATE * 1000)
    if not totals:
        return []
    values = percentiles(totals)
    targets = dict(zip(("p50", "p95"), LATENCY_TARGETS_MS.get(name, (None, None)), strict=True))
    return [
        Figure(part, name, f"end of speech to printed digit, {p}", values[p], "ms", most, len(totals))
        for p, most in targets.items()
    ]
