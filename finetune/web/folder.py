"""Writes the page beside a recogniser: its own files, ONNX Runtime for browsers, and the rules of listening.

The rules are those of the live engine with its energy detector; the page reads them from
``recogniser.json``, so that they are written down once.
"""

import json
import os
import shutil
import tarfile
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import onnxruntime

from inference.errors import BackendUnavailableError, UserError
from inference.files import cache_folder, write_json
from inference.live.engine import live_engine
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.voice_activity import SILENCE_DBFS, EnergyDetector, NoiseFloor
from inference.vocabulary import vocabulary
from inference.weights.download import DownloadError, RemoteFile, download, may_fetch

PAGE_FILES = ("index.html", "recogniser.js", "worklet.js")
SETTINGS_FILE = "recogniser.json"
#: What a page needs of onnxruntime-web for its CPU, one thread: threads would need headers of a server.
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
RUNTIME_VERSION = "1.30.0"
#: As https://registry.npmjs.org/onnxruntime-web/1.30.0 has it; "integrity" there is the same hash in base64.
_PACKAGE = RemoteFile(
    f"onnxruntime-web-{RUNTIME_VERSION}.tgz",
    33_106_585,
    sha512="ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61",
)
#: The package carries no licence file; the one of the same project for Python does, and it is the same.
_LICENCES = {"LICENSE": "onnxruntime-LICENSE.txt", "ThirdPartyNotices.txt": "onnxruntime-notices.txt"}


def find_runtime(folder: Path | None = None) -> Path:
    """The folder with ``RUNTIME_FILES``: the one that is named, or one in the user's cache, fetched once.

    Args:
        folder: The npm package unpacked, or its ``dist``; None to fetch it from the npm registry
            (``NPM_CONFIG_REGISTRY``, as npm has it).

    Raises:
        UserError: If the folder lacks a file.
        BackendUnavailableError: If it cannot be fetched.
    """
    if folder is not None:
        for place in (folder, folder / "dist", folder / "package" / "dist"):
            if all((place / name).is_file() for name in RUNTIME_FILES):
                return place
        raise UserError(
            f"--onnxruntime-web {folder} lacks {' or '.join(RUNTIME_FILES)}; name the unpacked npm package "
            f"onnxruntime-web {RUNTIME_VERSION}, or its folder dist."
        )
    cached = cache_folder() / f"onnxruntime-web-{RUNTIME_VERSION}"
    if not cached.is_dir():
        try:
            _fetch(cached)
        except DownloadError as error:
            raise BackendUnavailableError(
                f"onnxruntime-web could not be fetched: {error}",
                f"On a connected machine: npm pack onnxruntime-web@{RUNTIME_VERSION}; unpack it here and "
                "pass --onnxruntime-web FOLDER.",
            ) from error
    return cached


def _fetch(target: Path) -> None:
    if not may_fetch():
        raise DownloadError("SPOKEN_DIGITS_OFFLINE forbids it.")
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or "https://registry.npmjs.org"
    url = f"{registry.rstrip('/')}/onnxruntime-web/-/{_PACKAGE.name}"
    staging = target.with_name(f"{target.name}.partial")
    package = download(url, _PACKAGE, staging, f"{_PACKAGE.name} (MIT)")
    with tarfile.open(package) as archive:
        for name in RUNTIME_FILES:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None
            with member, (staging / name).open("wb") as out:
                shutil.copyfileobj(member, out)
    package.unlink()
    staging.rename(target)


def write_page(folder: Path, metadata: dict[str, str], runtime: Path) -> None:
    """Adds all that the page needs to a folder that holds the recogniser.

    Args:
        folder: Where to write.
        metadata: Of the recogniser's file.
        runtime: What ``find_runtime`` gave.
    """
    here = files("finetune.web")
    for name in PAGE_FILES:
        (folder / name).write_bytes(here.joinpath(name).read_bytes())
    for name in RUNTIME_FILES:
        shutil.copyfile(runtime / name, folder / name)
    for name, copy in _LICENCES.items():
        shutil.copyfile(Path(onnxruntime.__file__).parent / name, folder / copy)
    write_json(folder / SETTINGS_FILE, page_settings(metadata))


def page_settings(metadata: dict[str, str]) -> dict[str, object]:
    """What the page knows of the model and of listening."""
    words = vocabulary()
    return {
        "title": words.title,
        "labels": [{"label": label, "word": forms[0]} for label, forms in words.spoken_forms.items()],
        "sampling_rate": int(metadata["sampling_rate"]),
        "threshold": float(metadata["threshold"]) if metadata["threshold"] else None,
        "crop_ms": json.loads(metadata["crop_ms"]),
        "endpointing": asdict(PROFILES["isolated"]),
        "detector": _constants(EnergyDetector, "frame_samples", "score_at_enter", "enter_db", "db_per_score"),
        "noise_floor": _constants(
            NoiseFloor, "initial_dbfs", "rise_db_per_s", "fall_ms", "learning_ms", "learning_factor"
        ),
        "limits": {
            "silence_dbfs": SILENCE_DBFS,
            "least_peak_dbfs": live_engine.LEAST_PEAK_DBFS,
            "least_rise_db": live_engine.LEAST_RISE_DB,
            "clipped_share": live_engine.CLIPPED_SHARE,
            "full_scale": live_engine.FULL_SCALE,
            "digital_silence": live_engine.DIGITAL_SILENCE,
            "digital_silence_ms": live_engine.DIGITAL_SILENCE_MS,
            "idle_reset_seconds": live_engine.IDLE_RESET_SECONDS,
        },
    }


def _constants(owner: type, *names: str) -> dict[str, float]:
    return {name: getattr(owner, name) for name in names}
