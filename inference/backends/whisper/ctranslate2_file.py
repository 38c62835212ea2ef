"""The weights in a CTranslate2 ``model.bin``, by name and shape; the library itself does not say.

The layout is the one written by ``ctranslate2.specs.model_spec.ModelSpec``: version, name of the
architecture, revision, then each variable with name, shape, type and bytes. Equal arrays are stored
once, the others follow as aliases; they are counted once.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

#: Layout versions in which a variable is laid out as read below.
_KNOWN_VERSIONS = (4, 5, 6)
#: Factors that undo the quantisation; they are no parameters of the network.
_SCALE_SUFFIX = "_scale"


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
            (version,) = _read(file, "I")
            if version not in _KNOWN_VERSIONS:
                return None
            _read_string(file)  # architecture
            _, num_variables = _read(file, "II")
            variables = dict(_skip_variable(file) for _ in range(num_variables))
    except struct.error:  # the file ends early
        return None
    # Settings have no dimension.
    return {name: shape for name, shape in variables.items() if shape and not name.endswith(_SCALE_SUFFIX)}


def _skip_variable(file: BinaryIO) -> tuple[str, tuple[int, ...]]:
    """Moves past one variable; returns its name and shape."""
    name = _read_string(file)
    (rank,) = _read(file, "B")
    shape = _read(file, f"{rank}I")
    _, num_bytes = _read(file, "BI")
    file.seek(num_bytes, 1)
    return name, shape


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    layout = f"<{layout}"
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _read_string(file: BinaryIO) -> str:
    (length,) = _read(file, "H")
    return file.read(length).rstrip(b"\0").decode()
