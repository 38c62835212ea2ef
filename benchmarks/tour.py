# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # From recordings to a decision
#
# Data -> fine-tune -> compare -> listen, with the commands you would type. Open it as a notebook
# (VS Code, PyCharm and Jupytext read this format) or run it: `python -m benchmarks.tour [FOLDER]`.
#
# It works on a few synthetic voices, so that it needs no network, no recordings and no patience. The
# figures say that the machinery works, not how well a recogniser does on people: put a folder of
# recordings in the place of `DATASET` for that.

# %%
"""The way from a corpus to a decision, cell by cell; ``python -m benchmarks.tour [FOLDER]``."""

import csv
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.corpus.synthetic import load_synthetic
from inference.audio import SAMPLING_RATE

arguments = [word for word in sys.argv[1:] if not word.startswith("-")]
WORK = Path(arguments[0] if arguments else "runs/tour")


def run(*words: str | Path) -> None:
    """Runs ``python -m`` with these words and shows what it prints."""
    line = shlex.join(map(str, words))
    print(f"\n$ python -m {line}", flush=True)
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)


# %% [markdown]
# ## Data
# A corpus is a list of clips with label and speaker. The split `speaker-disjoint` keeps the
# speakers of training, validation and test apart: the question is how a *new* speaker fares.

# %%
voices = load_synthetic(num_voices=4, num_takes=6)
DATASET = Path(str(voices.clips[0].read())).parent  # files such as 7_en-gb-m3_2.wav
corpus = load_corpus(str(DATASET))
split = make_split(corpus.clips, "speaker-disjoint")
print(corpus.description)
print(f"{len(split.train)} to learn from, {len(split.validation)} to choose, {len(split.test)} to judge")
SPLIT = ("--dataset", DATASET, "--protocol", "speaker-disjoint")

# %% [markdown]
# ## Two candidates
# A baseline that fits in seconds, and a small Wav2Vec2 from random weights. Five steps are a taste;
# `finetune/configs/wav2vec2-base.yaml` is the recipe with public weights.

# %%
run("finetune.fit_baseline", "--model", "mfcc-svm", *SPLIT, "--out", WORK / "mfcc")

# %%
RECIPE = ("--config", "finetune/configs/wav2vec2-small.yaml", "--max_steps", "5")
run("finetune.train", *RECIPE, *SPLIT, "--output_dir", WORK / "wav2vec2")

# %% [markdown]
# ## Compare
# Same clips, interleaved timing, intervals, every answer kept. What cannot run here says why.

# %%
run(
    "benchmarks.run",
    *SPLIT,
    *("--backends", "mfcc", "wav2vec2", "pocketsphinx"),
    *("--checkpoint", f"mfcc={WORK / 'mfcc'}", "--checkpoint", f"wav2vec2={WORK / 'wav2vec2'}"),
    *("--limit", "12", "--rounds", "12", "--phases", "accuracy", "latency", "--out", WORK / "results"),
)

# %% [markdown]
# ## Listen
# The live engine hears a stream as from a microphone; here a recording with known words, so that
# it can be scored. Without `--replay` it listens to you.

# %%
silence = np.zeros(SAMPLING_RATE // 2, np.float32)
stream, rows = [silence], []
for clip in split.test[::7][:8]:
    start_s = sum(map(len, stream)) / SAMPLING_RATE
    stream += [clip.waveform(), silence]
    rows.append((start_s, start_s + len(clip.waveform()) / SAMPLING_RATE, clip.label))
soundfile.write(WORK / "stream.wav", np.concatenate(stream), SAMPLING_RATE)
with (WORK / "labels.csv").open("w", newline="") as labels:
    csv.writer(labels).writerows([("start_s", "end_s", "digit"), *rows])
run(
    "inference.live",
    *("--backend", "mfcc", "--checkpoint", WORK / "mfcc"),
    *("--replay", WORK / "stream.wav", "--labels", WORK / "labels.csv"),
)
