"""Fixtures that several tests of the backends share."""

from pathlib import Path

import pytest

from tests.random_whisper import build_tiny_whisper


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CTranslate2 folder with a tiny multilingual Whisper of random weights."""
    return build_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")
