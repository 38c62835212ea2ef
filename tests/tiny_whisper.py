"""The tiny Whisper with random weights that the tests of plumbing and refusals load."""

from pathlib import Path

from benchmarks.against_libraries.random_whisper import make_model, make_tokenizer, write_ctranslate2


def build_tiny_whisper(folder: Path, multilingual: bool = True) -> Path:
    """Writes the tiny Whisper with random weights in CTranslate2 format; returns its folder."""
    tokenizer = make_tokenizer(multilingual=multilingual)
    note = "Whisper architecture with random weights, for tests of the plumbing: its answers mean nothing."
    return write_ctranslate2(make_model(tokenizer), tokenizer, folder, note)
