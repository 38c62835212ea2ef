"""What travels with a checkpoint, so that nobody tests it on clips it has learned from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.corpus.clip import Clip, Corpus, CorpusSource
from finetune.corpus.splits import Split
from inference.audio import waveform_hash
from inference.backends.table import CARD_NAME
from inference.errors import CheckpointError
from inference.files import read_json, write_json, write_text

TRAIN_CLIPS_NAME = "train_clips.txt"
TRAIN_HASHES_NAME = "train_hashes.txt"


@dataclass(frozen=True)
class SplitCard:
    """Provenance of a checkpoint.

    Attributes:
        corpus: ``Corpus.name``.
        protocol: One of ``splits.PROTOCOLS``.
        seed: Seed of the split.
        fold: Held-out speaker, None without folds.
        train_speakers: Speakers learned from.
        validation_speakers: Speakers used for choices.
        test_speakers: Speakers of the test list.
        fingerprint: ``Split.fingerprint`` of the test list.
        train_clips: Ids of the clips learned from or used for choices.
        num_synthetic_clips: Synthetic clips learned from besides.
        train_hashes: ``waveform_hash`` of those clips; empty in cards of older checkpoints.
        sources: All corpora that had a part in it; empty in cards of older checkpoints.
    """

    corpus: str
    protocol: str
    seed: int
    fold: str | None
    train_speakers: tuple[str, ...]
    validation_speakers: tuple[str, ...]
    test_speakers: tuple[str, ...]
    fingerprint: str
    train_clips: frozenset[str]
    num_synthetic_clips: int = 0
    train_hashes: frozenset[str] = frozenset()
    sources: tuple[CorpusSource, ...] = ()

    @classmethod
    def from_split(
        cls,
        corpus: Corpus,
        split: Split,
        sources: Sequence[CorpusSource] = (),
        recorded_non_words: Sequence[Clip] = (),
    ) -> "SplitCard":
        """The card of a model trained on a split's training and validation clips, which are decoded.

        Args:
            corpus: The one that was split.
            split: What was learned from, chosen by and tested on, of all corpora.
            sources: All corpora that had a part in it.
            recorded_non_words: Recordings of the reject class that were learned from or chosen by.
        """
        learned = (*split.train, *split.validation, *recorded_non_words)
        return cls(
            corpus=corpus.name,
            protocol=split.protocol,
            seed=split.seed,
            fold=split.fold,
            train_speakers=_speakers(split.train),
            validation_speakers=_speakers(split.validation),
            test_speakers=_speakers(split.test),
            fingerprint=split.fingerprint,
            train_clips=frozenset(clip.clip_id for clip in learned),
            num_synthetic_clips=len(split.synthetic),
            train_hashes=frozenset(waveform_hash(clip.waveform()) for clip in learned),
            sources=tuple(sources),
        )

    def with_heard_by(self, earlier: "SplitCard") -> "SplitCard":
        """The card of a model that went on from another one's weights or answers: what either has heard."""
        return replace(
            self,
            train_speakers=tuple(sorted({*self.train_speakers, *earlier.train_speakers})),
            validation_speakers=tuple(sorted({*self.validation_speakers, *earlier.validation_speakers})),
            train_clips=self.train_clips | earlier.train_clips,
            num_synthetic_clips=self.num_synthetic_clips + earlier.num_synthetic_clips,
            train_hashes=self.train_hashes | earlier.train_hashes,
            sources=tuple(dict.fromkeys((*self.sources, *earlier.sources))),
        )

    def write(self, folder: Path) -> None:
        """Writes, one a line, ``train_clips.txt`` and ``train_hashes.txt``, and then ``split_card.json``."""
        lists = {TRAIN_CLIPS_NAME: self.train_clips, TRAIN_HASHES_NAME: self.train_hashes}
        for name, entries in lists.items():
            lines = "".join(f"{entry}\n" for entry in sorted(entries))
            write_text(folder / name, lines)
        fields = {key: value for key, value in asdict(self).items() if not isinstance(value, frozenset)}
        write_json(folder / CARD_NAME, {**fields, "num_train_clips": len(self.train_clips)})

    def leaked(
        self,
        corpus: Corpus,
        clips: Iterable[Clip],
        hashes: Mapping[str, str] | None = None,
        held_out_speakers: bool = False,
    ) -> list[str]:
        """Ids among ``clips`` that the checkpoint was trained on.

        Args:
            corpus: Where the clips come from.
            clips: What to look for.
            hashes: Clip id -> hash of its samples, to find a recording under another name, too.
            held_out_speakers: Whether the clips stand for speakers who were not learned from: then
                every recording of a speaker who was is one too many.

        An id that names label, speaker and take means the same recording in any copy or part of a
        corpus; other ids are compared only within the corpus that the card names.
        """
        heard = {*self.train_speakers, *self.validation_speakers} if held_out_speakers else set()
        return sorted(
            clip.clip_id
            for clip in clips
            if (hashes or {}).get(clip.clip_id) in self.train_hashes
            or (
                (clip.clip_id in self.train_clips or clip.speaker in heard)
                and (corpus.name == self.corpus or clip.names_its_recording)
            )
        )


def read_split_card(folder: Path) -> SplitCard | None:
    """Reads the card of a checkpoint folder; None if it has none.

    Raises:
        CheckpointError: If the card is damaged or its clip list is missing.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        return None
    clip_list = folder / TRAIN_CLIPS_NAME
    if not clip_list.is_file():
        raise CheckpointError(f"{folder} has a {CARD_NAME} but no {TRAIN_CLIPS_NAME}; restore it.")
    hash_list = folder / TRAIN_HASHES_NAME
    fields = read_json(path)
    try:
        return SplitCard(
            corpus=fields["corpus"],
            protocol=fields["protocol"],
            seed=fields["seed"],
            fold=fields["fold"],
            train_speakers=tuple(fields["train_speakers"]),
            validation_speakers=tuple(fields["validation_speakers"]),
            test_speakers=tuple(fields["test_speakers"]),
            fingerprint=fields["fingerprint"],
            train_clips=frozenset(clip_list.read_text(encoding="utf-8").splitlines()),
            num_synthetic_clips=fields.get("num_synthetic_clips", 0),
            train_hashes=frozenset(hash_list.read_text().split() if hash_list.is_file() else ()),
            sources=tuple(CorpusSource(**source) for source in fields.get("sources", ())),
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a split card: {error}") from error


def _speakers(clips: Iterable[Clip]) -> tuple[str, ...]:
    return tuple(sorted({clip.speaker for clip in clips}))
