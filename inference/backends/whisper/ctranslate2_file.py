"""The weights in a CTranslate2 ``model.bin``, by name; the library itself does not say.

The layout is the one written by ``ctranslate2.specs.model_spec.ModelSpec``: version, name of the
architecture, revision, then each variable with name, shape, type and bytes. Equal arrays are stored
once, the others follow as aliases; they are counted once.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Layout versions in which a variable is laid out as read below.
_KNOWN_VERSIONS = (4, 5, 6)
#: Factors that undo the quantisation; they are no parameters of the network.
_SCALE_SUFFIX = "_scale"
#: Number of a type in the file -> what numpy calls it; bfloat16 is not known to numpy.
_FLOATS = {0: "<f4", 4: "<f2"}


def count_parameters(path: Path) -> int | None:
    """Counts the values of all weight arrays in a ``model.bin``; None if its layout is not known here."""
    shapes = read_shapes(path)
    return None if shapes is None else sum(map(math.prod, shapes.values()))


def read_shapes(path: Path) -> dict[str, tuple[int, ...]] | None:
    """The weight arrays in a ``model.bin``.

    Args:
        path: The file; only its headers are read.

    Returns:
        Name, such as ``encoder/layer_0/ffn/linear_0/weight``, -> shape; None if the file has a layout
        that is not known here.
    """
    try:
        with path.open("rb") as file:
            variables = {name: shape for name, shape, _, _ in _variables(file)}
    except (struct.error, ValueError):  # the file ends early, or is none of these
        return None
    # Settings have no dimension.
    return {name: shape for name, shape in variables.items() if shape and not name.endswith(_SCALE_SUFFIX)}


def read_arrays(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """The weights whose names begin alike, in float32.

    Args:
        path: A ``model.bin`` whose weights are no integers.
        prefix: Such as ``encoder/``.

    Raises:
        ValueError: If the layout is not known here, or a weight is neither float32 nor float16.
    """
    arrays = {}
    with path.open("rb") as file:
        for name, shape, kind, num_bytes in _variables(file):
            if not shape or not name.startswith(prefix):
                continue
            if kind not in _FLOATS:
                raise ValueError(f"{path}: {name} is neither float32 nor float16")
            values = np.frombuffer(file.read(num_bytes), _FLOATS[kind])
            arrays[name] = values.reshape(shape).astype(np.float32)
    return arrays


def _variables(file: BinaryIO) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """Name, shape, type and bytes of each variable, the file standing before its values."""
    (version,) = _read(file, "I")
    if version not in _KNOWN_VERSIONS:
        raise ValueError(f"{file.name}: layout {version} is not one of {_KNOWN_VERSIONS}")
    _read_string(file)  # architecture
    _, num_variables = _read(file, "II")
    for _ in range(num_variables):
        name = _read_string(file)
        (rank,) = _read(file, "B")
        shape = _read(file, f"{rank}I")
        kind, num_bytes = _read(file, "BI")
        end = file.tell() + num_bytes
        yield name, shape, kind, num_bytes
        file.seek(end)


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    layout = f"<{layout}"
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _read_string(file: BinaryIO) -> str:
    (length,) = _read(file, "H")
    return file.read(length).rstrip(b"\0").decode()
