"""What a speaker is still to be asked for, and the file that each take becomes."""

import random
from dataclasses import dataclass
from pathlib import Path

from inference.audio_files import list_audio
from inference.vocabulary import REJECT_LABEL, vocabulary


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


def _spoken(label: str) -> str:
    return vocabulary().spoken_forms[label][0]
