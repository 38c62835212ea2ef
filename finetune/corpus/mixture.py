"""Several corpora in one training: speakers kept apart, no recording on two sides, the notice of each."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from finetune.corpus.clip import Clip, Corpus
from finetune.corpus.loading import load_corpus
from inference.audio import waveform_hash
from inference.errors import CorpusError

#: File of a folder whose text goes into the cards of all models that learned from its recordings.
NOTICE_NAME = "NOTICE"


def load_corpora(datasets: Sequence[str]) -> tuple[Corpus, ...]:
    """Loads corpora in which no two clips and no two speakers bear the same name.

    A speaker who bears the name of one in an earlier corpus is taken for another person and renamed after the
    corpus, as are clips. A recording that is there twice is for ``refuse_shared_recordings`` to find.

    Args:
        datasets: What to load, see ``finetune.corpus.loading.DATASET_HELP``.

    Raises:
        CorpusError: If one cannot be loaded, or two bear the same name.
    """
    speakers: set[str] = set()
    clip_ids: set[str] = set()
    corpora: list[Corpus] = []
    for dataset in datasets:
        corpus = load_corpus(dataset)
        if corpora:
            place = Path(dataset)
            prefix = f"{place.parent.name}-{place.name}".strip("-")
            clips = (_renamed(clip, prefix, speakers, clip_ids) for clip in corpus.clips)
            corpus = replace(corpus, clips=tuple(sorted(clips, key=lambda clip: clip.clip_id)))
        if clip_ids & {clip.clip_id for clip in corpus.clips}:
            raise CorpusError(f"{dataset} is named twice, or bears another one's name: rename its folder.")
        speakers |= set(corpus.speakers)
        clip_ids |= {clip.clip_id for clip in corpus.clips}
        corpora.append(corpus)
    return tuple(corpora)


def _renamed(clip: Clip, prefix: str, speakers: set[str], clip_ids: set[str]) -> Clip:
    """The clip under names that are not taken."""
    speaker = f"{prefix}-{clip.speaker}" if clip.speaker in speakers else clip.speaker
    if clip.names_its_recording:
        clip_id = f"{clip.label}_{speaker}_{clip.index}"
    else:
        clip_id = f"{prefix}/{clip.clip_id}" if clip.clip_id in clip_ids else clip.clip_id
    return replace(clip, speaker=speaker, clip_id=clip_id)


def at_most_per_label(clips: Sequence[Clip], max_clips: int | None, seed: int) -> tuple[Clip, ...]:
    """So many clips of each label at most, of as many speakers as possible.

    Args:
        clips: What to choose from.
        max_clips: Clips of a label that are kept; all of them if None.
        seed: Decides among clips that would serve as well.

    Returns:
        The clips that are kept, in their order.
    """
    if max_clips is None:
        return tuple(clips)
    turns: Counter[tuple[str, str]] = Counter()
    queue: list[tuple[int, Clip]] = []
    for clip in random.Random(seed).sample(clips, len(clips)):
        queue.append((turns[clip.label, clip.speaker], clip))
        turns[clip.label, clip.speaker] += 1
    kept: set[str] = set()
    numbers: Counter[str] = Counter()
    for _, clip in sorted(queue, key=lambda entry: entry[0]):  # everybody's first, then everybody's second
        if numbers[clip.label] < max_clips:
            numbers[clip.label] += 1
            kept.add(clip.clip_id)
    return tuple(clip for clip in clips if clip.clip_id in kept)


def refuse_shared_recordings(learned: Iterable[Clip], measured: Iterable[Clip]) -> None:
    """Finds recordings, under whatever name, that would be both learned from and measured on.

    Raises:
        CorpusError: If there are any; the message names the first.
    """
    known = {waveform_hash(clip.waveform()): clip.clip_id for clip in learned}
    hashes = ((clip.clip_id, waveform_hash(clip.waveform())) for clip in measured)
    shared = [(clip_id, known[found]) for clip_id, found in hashes if found in known]
    if shared:
        first, second = shared[0]
        raise CorpusError(
            f"{len(shared)} recordings are both learned from and measured on; {first} is also {second}. "
            "Remove them from one of the folders, or name other folders."
        )


def read_notice(dataset: str) -> str:
    """The text of ``NOTICE`` in a folder of recordings; empty where there is none."""
    path = Path(dataset, NOTICE_NAME)
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as text ({error}); repair or remove it.") from error
