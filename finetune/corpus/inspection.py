"""Measures every clip of a corpus, and finds copies and labels that look wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from finetune.corpus.clip import Clip
from finetune.corpus.splits import grouped_folds, speaker_groups
from inference.audio import SAMPLING_RATE, open_recording, rms_dbfs, waveform_hash
from inference.errors import AudioError, CorpusError
from inference.features import FRAME_SAMPLES, HOP_SAMPLES, FeatureSettings, mfcc_statistics
from inference.live.source.mic_check import CLIPPED

#: A clip whose first or last 25 ms are less than this below its loudest begins or ends within a word.
CUT_DB = 6.0
#: Root mean square distance of standardised MFCC statistics below which two clips count as one recording.
#: Most copies that were made louder, resampled or stored as MP3 lie below, padded or trimmed ones in part; no
#: two takes of a speaker of the Free Spoken Digit Dataset do.
NEAR = 0.25


def measure_clips(clips: Sequence[Clip]) -> tuple[pd.DataFrame, np.ndarray]:
    """Decodes every clip once.

    Returns:
        A row for each clip: its names, or the ``problem`` that made it unreadable; duration in seconds;
        level, peak and noise floor in dBFS (the floor is the tenth percentile of frames of 25 ms),
        share of clipped samples, sampling rate in Hz, whether it is cut at its start or end, and the hash of
        its samples. MFCC statistics ``(num_readable, num_statistics)`` of the readable ones, in order.
    """
    rows, statistics = [], []
    for clip in tqdm(clips, desc="clips", unit="clip", disable=None):
        source = clip.read()
        row: dict[str, Any] = {
            "clip": clip.clip_id,
            "file": str(source) if isinstance(source, Path) else "",
            "label": clip.label,
            "speaker": clip.speaker,
            "split": _split_name(clip),
            "problem": "",
        }
        try:
            waveform = clip.waveform()
            with open_recording(source) as (rate, _):
                row["sampling_rate_hz"] = rate
        except (CorpusError, AudioError) as error:
            rows.append(row | {"problem": str(error)})
            continue
        rows.append(row | _measures(waveform))
        statistics.append(mfcc_statistics(waveform, FeatureSettings()))
    return pd.DataFrame(rows), np.array(statistics)


def find_copies(table: pd.DataFrame, statistics: np.ndarray) -> pd.DataFrame:
    """Adds ``copy_of``, the first clip of the very same samples, and ``near``, another that sounds the same.

    Args:
        table: The readable clips of ``measure_clips``.
        statistics: Theirs.
    """
    first = table.groupby("hash")["clip"].transform("first")
    table = table.assign(copy_of=first.where(first != table["clip"], ""), near="")
    distinct = np.flatnonzero(table["copy_of"] == "")
    if len(distinct) > 1:
        points = StandardScaler().fit_transform(statistics)[distinct]
        distances, neighbours = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(points)
        is_near = distances[:, 1] < NEAR * np.sqrt(points.shape[1])
        names = table["clip"].to_numpy()[distinct]
        table.loc[table.index[distinct[is_near]], "near"] = names[neighbours[is_near, 1]]
    return table


def find_label_errors(table: pd.DataFrame, statistics: np.ndarray) -> pd.DataFrame:
    """Adds ``suggested_label`` where a label looks wrong, and ``label_probability`` of the one it has.

    The probabilities are those of a linear discriminant analysis of MFCC statistics that has not heard the
    speaker (nor the clip, where not every label has two speakers). The rule is confident learning (Northcutt,
    Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068, section 3.1): a label is likely for a clip that
    has at least the mean probability which the label reaches among the clips that bear it; a clip is an error
    if the most probable of its likely labels is not its own.

    Args:
        table: The readable clips of ``measure_clips``.
        statistics: Theirs.
    """
    table = table.assign(suggested_label="", label_probability=np.nan)
    usual = table["label"].map(table["label"].value_counts()) > 1  # a single clip cannot be asked about
    labels, label_ids = np.unique(table["label"][usual], return_inverse=True)
    if len(labels) < 2:
        return table
    groups = speaker_groups(table["speaker"][usual].to_numpy(), label_ids)
    probabilities = cross_val_predict(
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        StandardScaler().fit_transform(statistics[usual]),
        label_ids,
        groups=groups,
        cv=grouped_folds(label_ids, groups),
        method="predict_proba",
    )
    own = probabilities[np.arange(len(label_ids)), label_ids]
    thresholds = np.bincount(label_ids, own) / np.bincount(label_ids)
    likely = np.where(probabilities >= thresholds, probabilities, 0.0)
    best = likely.argmax(axis=1)
    is_error = (likely.max(axis=1) > 0.0) & (best != label_ids)
    table.loc[usual, "suggested_label"] = np.where(is_error, labels[best], "")
    table.loc[usual, "label_probability"] = own
    return table


def _measures(waveform: np.ndarray) -> dict[str, Any]:
    frames = np.lib.stride_tricks.sliding_window_view(waveform, FRAME_SAMPLES)[::HOP_SAMPLES]
    levels = 10.0 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    return {
        "seconds": waveform.size / SAMPLING_RATE,
        "level_dbfs": max(rms_dbfs(waveform), -120.0),
        "peak_dbfs": 20.0 * float(np.log10(max(np.abs(waveform).max(), 1e-6))),
        "noise_dbfs": float(np.percentile(levels, 10)),
        "clipped_share": float(np.mean(np.abs(waveform) >= CLIPPED)),
        "cut_at_start": bool(levels[0] > levels.max() - CUT_DB),
        "cut_at_end": bool(levels[-1] > levels.max() - CUT_DB),
        "hash": waveform_hash(waveform),
    }


def _split_name(clip: Clip) -> str:
    return "test" if clip.official_test else "validation" if clip.official_validation else "train"
