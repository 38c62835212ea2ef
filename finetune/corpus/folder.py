"""A folder, flat or nested, of audio files named ``{label}_{speaker}_{index}``."""

from pathlib import Path

from finetune.corpus.clip import Clip, Corpus, clip_from_path, corpus_name
from inference.errors import CorpusError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"})


def load_folder(folder: Path) -> Corpus:
    """Lists the clips below a folder; no audio is read.

    Raises:
        CorpusError: If an audio file is named otherwise, or there is none.
    """
    clips: list[Clip] = []
    misnamed: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        clip = clip_from_path(path)
        if clip is None:
            misnamed.append(path)
        else:
            clips.append(clip)
    if misnamed:
        raise CorpusError(
            f"{len(misnamed)} files in {folder} are not named {{label}}_{{speaker}}_{{index}}, "
            f"the first is {misnamed[0].name}. Rename them, or put each clip into a sub-folder named "
            "after its label."
        )
    if not clips:
        raise CorpusError(
            f"{folder} holds no audio files; expected files such as 7_jackson_32.wav, "
            "or one sub-folder per label."
        )
    clips.sort(key=lambda clip: clip.clip_id)
    name = corpus_name(clips, "folder")
    num_speakers = len({clip.speaker for clip in clips})
    description = f"{len(clips)} clips of {num_speakers} speakers from the folder {folder.name}"
    if name == "fsdd":
        description += " (Free Spoken Digit Dataset)"
    return Corpus(name, description, tuple(clips))
