"""One recorded word and the corpus it belongs to."""

import io
import re
import wave
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from inference.audio import SAMPLING_RATE, AudioSource, decode_audio
from inference.errors import AudioError, CorpusError
from inference.vocabulary import vocabulary

#: ``{label}_{speaker}_{index}``, the naming of FSDD and AudioMNIST; speaker names may hold "_".
CLIP_NAME = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)")
#: FSDD's own rule: recordings 0 to 4 of each digit and speaker are the test set.
NUM_OFFICIAL_TEST_TAKES = 5
#: A corpus without a split of its own gives every fifth clip of a label to its test set.
TEST_EVERY = 5
UNKNOWN_SPEAKER = "unknown"
#: By its speakers FSDD is known under any name, so that split cards agree however it was fetched.
FSDD_SPEAKERS = frozenset({"george", "jackson", "lucas", "nicolas", "theo", "yweweler"})


@dataclass(frozen=True)
class Clip:
    """One recording of one word; its audio is read on demand.

    Attributes:
        clip_id: Unique in its corpus and the same for every copy of it, "7_jackson_32".
        label: A label of the vocabulary.
        speaker: Who speaks; ``UNKNOWN_SPEAKER`` where the corpus does not say.
        index: Number of the recording among those of the same label and speaker.
        official_test: Whether the corpus itself puts this clip into its test set.
        read: Gives the encoded audio: a path or bytes.
        official_validation: Whether the corpus itself puts this clip into its validation set.
    """

    clip_id: str
    label: str
    speaker: str
    index: int
    official_test: bool
    read: Callable[[], AudioSource] = field(repr=False, compare=False)
    official_validation: bool = False

    @property
    def names_its_recording(self) -> bool:
        """Whether the id says label, speaker and take, and so means one recording in any copy."""
        return self.clip_id == f"{self.label}_{self.speaker}_{self.index}"

    def waveform(self) -> np.ndarray:
        """Decodes the clip to a float32 waveform of shape ``(num_samples,)`` at 16 kHz.

        Raises:
            CorpusError: If the audio cannot be used; the message names the clip.
        """
        try:
            return decode_audio(self.read())
        except AudioError as error:
            raise CorpusError(f"clip {self.clip_id}: {error} Repair or remove it.") from error


@dataclass(frozen=True)
class Corpus:
    """All clips of one source.

    Attributes:
        name: Short name for records: "fsdd", "hub", "synthetic", ...
        description: One sentence for the screen and the tables.
        clips: Sorted by clip id.
    """

    name: str
    description: str
    clips: tuple[Clip, ...]

    def __post_init__(self) -> None:
        if not self.clips:
            raise CorpusError(f"{self.description} holds no clips.")
        labels = vocabulary().labels
        seen: set[str] = set()
        for clip in self.clips:
            if clip.label not in labels:
                raise CorpusError(
                    f"clip {clip.clip_id} has the label {clip.label!r}, which is not in the vocabulary "
                    f"{', '.join(labels)}: rename or remove it, or name other words with --vocabulary FILE."
                )
            if clip.clip_id in seen:
                raise CorpusError(f"two clips are called {clip.clip_id}: rename one of them.")
            seen.add(clip.clip_id)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers' names, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))


@dataclass(frozen=True)
class CorpusSource:
    """What a model was made with, recordings or weights, as its cards name it.

    Attributes:
        use: What they served for: "split", "learned from", "validation", "non-words", "validation non-words",
            "synthetic", "soft labels", "weights".
        description: One sentence.
        notice: Licence and attribution, the text of ``NOTICE``; empty where the folder has none.
    """

    use: str
    description: str
    notice: str = ""


def corpus_name(clips: Iterable[Clip], otherwise: str) -> str:
    """ "fsdd" for clips of FSDD's six speakers, else the name given."""
    return "fsdd" if {clip.speaker for clip in clips} == FSDD_SPEAKERS else otherwise


def clip_from_path(path: Path) -> Clip | None:
    """The clip a file is by its name ``{label}_{speaker}_{index}``; None if it is named otherwise."""
    match = CLIP_NAME.fullmatch(path.stem)
    if match is None:
        return None
    index = int(match["index"])
    return Clip(
        clip_id=path.stem,
        label=match["label"],
        speaker=match["speaker"],
        index=index,
        official_test=index < NUM_OFFICIAL_TEST_TAKES,
        read=lambda: path,
    )


def labelled_clip(
    path: Path,
    label: str,
    speaker: str | None,
    part: str,
    name: str,
    takes: Counter[tuple[str, str]],
    read: Callable[[], AudioSource],
) -> Clip:
    """The clip of a recording whose label is known from elsewhere than its name.

    Args:
        path: What it is called; a name ``{label}_{speaker}_{index}`` tells the speaker and the take.
        label: Its label.
        speaker: Who speaks, None where nobody says.
        part: Part of the corpus's own split: "train", "validation" or "test".
        name: What tells it from others of its part and label, if its path does not.
        takes: Clips so far of each label and speaker; counts this one, if its path does not.
        read: Gives the encoded audio.

    Raises:
        CorpusError: If the path says another label of the vocabulary.
    """
    clip = clip_from_path(path)
    if clip and clip.label != label and clip.label in vocabulary().labels:
        raise CorpusError(
            f"{path}: the file name says {clip.label}, its folder or label column says {label}. Rename one; "
            "folders named after speakers must not look like labels."
        )
    if not clip or clip.label != label:
        speaker = speaker or UNKNOWN_SPEAKER
        clip = Clip(f"{part}/{label}/{name}", label, speaker, takes[label, speaker], False, read)
        takes[label, speaker] += 1
    return in_part(replace(clip, read=read), part)


def in_part(clip: Clip, part: str) -> Clip:
    """The clip in a part of the corpus's own split: "train", "validation" or "test"."""
    return replace(clip, official_test=part == "test", official_validation=part == "validation")


def with_test_set(clips: Iterable[Clip]) -> list[Clip]:
    """The clips of a corpus without a test set: every fifth of a label and speaker becomes one."""
    takes: Counter[tuple[str, str]] = Counter()
    marked = []
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        position = takes[clip.label, clip.speaker]
        takes[clip.label, clip.speaker] += not clip.official_validation
        is_test = position % TEST_EVERY == 0 and not clip.official_validation
        marked.append(replace(clip, official_test=is_test))
    return marked


def wav_bytes(waveform: np.ndarray) -> bytes:
    """A waveform ``(num_samples,)`` at 16 kHz as a WAV file of 16 bits: what ``Clip.read`` may give."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes((np.clip(waveform, -1.0, 1.0) * 32767).astype(np.int16).tobytes())
    return buffer.getvalue()
