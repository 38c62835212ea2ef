"""JSON schemas of what a run writes and of what a report says, and the check against them."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@lru_cache
def validator(file: str, definition: str | None = None) -> Callable[[Any], Any]:
    """A function that raises ``fastjsonschema.JsonSchemaValueException`` where a document is not as said.

    Args:
        file: Name of a schema of this folder without its ending.
        definition: One of its definitions; None for the whole.
    """
    import fastjsonschema  # Compiles the schema: not needed for --help.

    schema = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    return fastjsonschema.compile(schema if definition is None else schema["definitions"][definition])
