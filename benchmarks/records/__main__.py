"""Entry point: ``python -m benchmarks.records`` prints the layout of the records, as Markdown or JSON schema.

``results/README.md`` holds the Markdown between two markers; a test keeps them in step.
"""

import argparse
import json
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.records import files, measurements, run_record
from benchmarks.records.checked import descriptions, json_schema, summary_of
from benchmarks.text_table import markdown_grid
from inference.command_line import EXIT_OK, CommandLineParser, reports_user_errors

#: File -> what a line of it, or the whole of it, is.
FILES: Mapping[str, type] = {
    files.RUN_FILE: run_record.RunRecord,
    files.ANSWERS_FILE: measurements.AnswerRecord,
    files.LATENCY_FILE: measurements.TimedCall,
    files.LOADS_FILE: measurements.LoadRecord,
    files.COLD_FILE: measurements.ColdStart,
    files.FOOTPRINT_FILE: measurements.Footprint,
}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.records",
        description="Prints what every field of the records means, as in results/README.md.",
    )
    parser.add_argument("--schema", action="store_true", help="print a JSON schema instead")
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Prints the layout."""
    options = build_parser().parse_args(argv)
    sys.stdout.write(json.dumps(schema(), indent=1) + "\n" if options.schema else markdown())
    return EXIT_OK


def schema() -> dict[str, Any]:
    """All kinds of records as the definitions of one JSON schema (draft 7)."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Records of a run, layout version {files.RECORD_VERSION}",
        "definitions": json_schema(_kinds()),
        "files": {name: {"$ref": f"#/definitions/{kind.__name__}"} for name, kind in FILES.items()},
    }


def markdown() -> str:
    """A table for each file, and one for each kind of value inside."""
    names = {kind: name for name, kind in FILES.items()}
    sections = []
    for kind in _kinds():
        heading = f"`{names[kind]}`: `{kind.__name__}`" if kind in names else f"`{kind.__name__}`"
        told = descriptions(kind)
        rows = [(f"`{name}`", _type_name(hint), _markdown(told[name])) for name, hint in _hints(kind).items()]
        grid = markdown_grid(("field", "type", "meaning"), rows, (False, False, False))
        sections.append("\n".join([f"### {heading}", "", _markdown(summary_of(kind)), "", *grid]))
    return "\n\n".join(sections) + "\n"


def _kinds() -> list[type]:
    """The classes of the files, each followed by those inside it that were not met before."""
    met: list[type] = []

    def meet(hint: Any) -> None:
        if isinstance(hint, type) and hint.__module__ in (run_record.__name__, measurements.__name__):
            if hint not in met:
                met.append(hint)
                for inner in _hints(hint).values():
                    meet(inner)
            return
        for argument in typing.get_args(hint):
            meet(argument)

    for kind in FILES.values():
        meet(kind)
    return met


def _markdown(docstring: str) -> str:
    return docstring.replace("``", "`")


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _type_name(hint: Any) -> str:
    """An annotation in the words of JSON."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is not None and hasattr(origin, "keys"):
        return f"object of {_type_name(arguments[1])}"
    if arguments:
        return " or ".join(_type_name(argument) for argument in arguments)
    plain = {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return plain.get(hint) or f"`{hint.__name__}`"


if __name__ == "__main__":
    raise SystemExit(main())
