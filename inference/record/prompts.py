"""What a speaker is still to be asked for, and the file that each take becomes."""

import random
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from inference.audio_files import list_audio
from inference.errors import UserError
from inference.live.source.recording import check_folder
from inference.vocabulary import REJECT_LABEL, vocabulary

#: Of each word, by one speaker, on the page: what a visitor asks for must not fill memory.
MAX_TAKES = 100
#: File systems take names of 255 bytes, and a label stands before the speaker.
MAX_SPEAKER_LENGTH = 64


@dataclass(frozen=True)
class Prompt:
    """One thing to be recorded.

    Attributes:
        text: What the speaker is told.
        path: The file that keeps it, named ``{label}_{speaker}_{index}.wav``.
        is_silence: Whether nothing is to be said: the sound of the room.
    """

    text: str
    path: Path
    is_silence: bool = False


def missing_prompts(
    speaker: str, num_takes: int, folder: Path, non_words: Path | None = None, seed: int = 0
) -> list[Prompt]:
    """What is not in the folders yet: take after take, the words of each in an order of their own.

    Words in an order that does not change are said like a list, with the voice falling at its end.

    Args:
        speaker: Who speaks, as part of the file names.
        num_takes: How often each word is wanted.
        folder: Where the words are kept.
        non_words: Where the sound of the room and other words are kept, None if they are not wanted.
        seed: Of the order.
    """
    labels = list(vocabulary().labels)
    prompts = (
        [Prompt("be quiet: the room is recorded", non_words / f"room_{speaker}_0.wav", True)]
        if (non_words)
        else []
    )
    for index in range(num_takes):
        random.Random(f"{seed} {index}").shuffle(labels)
        for label in labels:
            prompts.append(Prompt(f"say: {_spoken(label)}", folder / f"{label}_{speaker}_{index}.wav"))
    if non_words:
        told = f"say another word: none of {', '.join(map(_spoken, vocabulary().labels))}"
        names = (f"{REJECT_LABEL}_{speaker}_{index}.wav" for index in range(num_takes))
        prompts += [Prompt(told, non_words / name) for name in names]
    kept = {path.stem for place in (folder, non_words) if place for path in list_audio(place).files}
    return [prompt for prompt in prompts if prompt.path.stem not in kept]


def check_speaker(text: str) -> str:
    """Returns the name as it is, if it can be part of a file name.

    Raises:
        UserError: With a name that can.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9-]*", text) and len(text) <= MAX_SPEAKER_LENGTH:
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    likely = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SPEAKER_LENGTH] or "anna"
    raise UserError(
        f"the speaker {text!r} is to be part of file names: use lower-case letters, digits and '-', "
        f"{MAX_SPEAKER_LENGTH} at most, as in {likely}"
    )


def check_folders(folder: Path, non_words: Path | None, option: str) -> None:
    """Makes the folders.

    Args:
        folder: Where the words are kept.
        non_words: Where the sound of the room and other words are kept, None if they are not wanted.
        option: What named ``folder``, for messages.

    Raises:
        UserError: If they cannot be used, or share files.
    """
    if non_words:
        one, other = folder.resolve(), non_words.resolve()
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise UserError(
                f"--non-words {non_words} and {option} {folder} share files: name two folders side by side, "
                "or a training would take the one for the other."
            )
        check_folder(non_words, f"--non-words {non_words}")
    check_folder(folder, f"{option} {folder}")


def _spoken(label: str) -> str:
    return vocabulary().spoken_forms[label][0]
