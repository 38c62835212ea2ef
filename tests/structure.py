"""The structure of the project in figures: ``python -m tests.structure [FOLDER]``.

A hall is a folder of the sources, its rooms are the modules and folders in it, and an arrow leads from a
room to another one of the same hall that it imports when it is itself imported. A chain is a way along
imports from module to module; its length is the number of modules.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FLOORS = ("inference", "finetune", "benchmarks")


class Structure:
    """What is counted.

    Args:
        root: A folder with the project's sources.
    """

    def __init__(self, root: Path):
        self.root = root
        self.files = {self._name(path): path for floor in FLOORS for path in (root / floor).rglob("*.py")}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Module -> modules of the project that it imports when it is imported."""
        return {name: set(self._imports_of(tree)) - {name} for name, tree in self.trees.items()}

    def _imports_of(self, tree: ast.Module) -> Iterator[str]:
        for node in tree.body:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module in self.files:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                yield from inner & set(self.files) or {node.module}

    @cached_property
    def halls(self) -> dict[str, set[str]]:
        """Folder -> names of its rooms, faces left out."""
        found: dict[str, set[str]] = {}
        for path in self.files.values():
            parts = path.relative_to(self.root).with_suffix("").parts
            for depth in range(1, len(parts)):
                if parts[depth] != "__init__":
                    found.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
        return found

    def arrows(self, hall: str) -> set[tuple[str, str]]:
        """Pairs of rooms of a hall, the first of which imports the second."""
        inside = f"{hall}."
        pairs = {
            (name.removeprefix(inside).partition(".")[0], target.removeprefix(inside).partition(".")[0])
            for name, targets in self.imports.items()
            for target in targets
            if name.startswith(inside) and target.startswith(inside)
        }
        return {(one, other) for one, other in pairs if one != other}

    @cached_property
    def longest_chain(self) -> tuple[str, ...]:
        """The modules of the longest chain; RecursionError where imports go in a circle."""
        known: dict[str, tuple[str, ...]] = {}

        def chain(name: str) -> tuple[str, ...]:
            if name not in known:
                known[name] = (name, *max(map(chain, sorted(self.imports[name])), key=len, default=()))
            return known[name]

        return max(map(chain, sorted(self.files)), key=len)

    @cached_property
    def circles(self) -> list[str]:
        """Pairs of modules that reach each other, also where imports are for type checkers only."""
        edges = {
            name: {
                target
                for node in ast.walk(tree)
                if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
                for target in self._imports_of(ast.Module(node.body, []))
            }
            | self.imports[name]
            for name, tree in self.trees.items()
        }

        def reached(start: str) -> set[str]:
            found: set[str] = set()
            waiting = [start]
            while waiting:
                new = edges[waiting.pop()] - found
                found |= new
                waiting += new
            return found

        reach = {name: reached(name) for name in self.files}
        return sorted(f"{a} <-> {b}" for a in reach for b in reach[a] if a < b and a in reach[b])

    @cached_property
    def twice_named(self) -> list[str]:
        """Public classes whose name stands for two things."""
        places: dict[str, list[str]] = {}
        for name, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(name)
        return sorted(f"{name} ({', '.join(found)})" for name, found in places.items() if len(found) > 1)

    def num_lines(self) -> int:
        """Lines of the sources."""
        return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in self.files.values())


def count_results(root: Path) -> int:
    """Files in ``results/``; in a clone, those under version control."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "results"], cwd=root, capture_output=True, text=True, check=True
        )
        return len(listed.stdout.splitlines())
    return sum(path.is_file() for path in (root / "results").rglob("*"))


def table(found: Structure) -> str:
    """A Markdown table of the figures, and the names behind those that should be 0 or small."""
    readme = (found.root / "README.md").read_text(encoding="utf-8")
    rows: list[tuple[str, object]] = [
        ("modules", len(found.files)),
        ("lines of source", found.num_lines()),
        ("longest import chain", len(found.longest_chain)),
        ("circles", len(found.circles)),
        ("public class names with two meanings", len(found.twice_named)),
        ("README: lines, bytes", f"{len(readme.splitlines())}, {len(readme.encode())}"),
        ("files in results/", count_results(found.root)),
    ]
    for hall, rooms in sorted(found.halls.items()):
        rows.append((f"{hall}: rooms, arrows", f"{len(rooms)}, {len(found.arrows(hall))}"))
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    lines += ["", f"longest chain: {' -> '.join(found.longest_chain)}"]
    lines += [f"circle: {circle}" for circle in found.circles]
    lines += [f"twice: {name}" for name in found.twice_named]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT, help="sources (default: these)")
    print(table(Structure(parser.parse_args(argv).folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
