"""What the command lines share: the parser, the backend options, and how a user's mistake is reported."""

import argparse
import functools
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference.backends.outside import use_backend_modules
from inference.backends.table import BACKENDS, DEFAULT_BACKEND
from inference.errors import UserError
from inference.extras import missing_package
from inference.vocabulary import add_vocabulary_argument, checkpoint_argument

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
#: What ``sys.argv[0]`` begins with when a sub-command of the one command runs, see ``inference.commands``.
COMMAND = "spoken-digits"
#: A word of a command that ends in a path: the path alone, ``NAME=path``, or after a word and a colon.
ABSOLUTE_PATH = re.compile(r"(?P<before>(?:[^/=]+=)?(?:[a-z]{2,}:)?)(?P<path>.+)")
_PROJECT = Path(__file__).resolve().parent.parent


class CommandLineParser(argparse.ArgumentParser):
    """A parser whose options are spelled with hyphens and understood with underscores as well.

    Args:
        prog: The program's name, unless it runs as a sub-command of ``COMMAND``.
        options: Of ``argparse.ArgumentParser``.
    """

    def __init__(self, prog: str | None = None, **options: Any):
        typed = sys.argv[0]
        super().__init__(prog=typed if typed.startswith(f"{COMMAND} ") else prog, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See ``argparse.ArgumentParser``."""
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        spelled = [self._spelled(word) for word in options]
        return super().parse_known_args([*spelled, *words[len(options) :]], namespace)

    def _spelled(self, word: str) -> str:
        option, equals, value = word.partition("=")
        if not option.startswith("--") or option in self._option_string_actions:
            return word
        return f"{option.replace('_', '-')}{equals}{value}"


def add_backend_module_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--backend-module``."""
    parser.add_argument(
        "--backend-module",
        action="append",
        default=[],
        metavar="FILE_OR_MODULE",
        help="a backend of your own: a module or .py file with BACKEND = BackendSpec(...)",
    )


def _named_backend_modules(argv: Sequence[str] | None) -> list[str]:
    parser = CommandLineParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_backend_module_argument(parser)
    try:
        return list(parser.parse_known_args(argv)[0].backend_module)
    except argparse.ArgumentError:  # the option without a value: the command's own parser says so
        return []


def add_backend_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--backend``, ``--checkpoint``, ``--threads`` and the backends' options, all from the table."""
    add_backend_module_argument(parser)
    add_vocabulary_argument(parser)
    rows = "; ".join(f"{spec.name}: {spec.summary}" for spec in BACKENDS.values())
    parser.add_argument(
        "--backend",
        choices=list(BACKENDS),
        default=DEFAULT_BACKEND,
        help=f"{rows} (default: {DEFAULT_BACKEND})",
    )
    parser.add_argument(
        "--checkpoint",
        type=checkpoint_argument,
        help="checkpoint folder, Hub id or Whisper size (default: the backend's own)",
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        default=1,
        help="CPU threads of one prediction, the most that any backend uses (default: 1)",
    )

    for option, values in _backend_options().items():
        owners = ", ".join(spec.name for spec in BACKENDS.values() if option in spec.options)
        parser.add_argument(
            f"--{option}", choices=values, help=f"of {owners} (default: {values[0]})", default=None
        )


def chosen_options(arguments: argparse.Namespace) -> dict[str, str]:
    """The backend options that were typed, for ``load_backend``."""
    values = {option: getattr(arguments, option.replace("-", "_")) for option in _backend_options()}
    return {option: value for option, value in values.items() if value is not None}


def chosen_variant(arguments: argparse.Namespace) -> str:
    """The backend with the options that were typed, as in ``whisper:decode=constrained``."""
    options = ",".join(f"{name}={value}" for name, value in chosen_options(arguments).items())
    return f"{arguments.backend}:{options}" if options else str(arguments.backend)


def _backend_options() -> dict[str, tuple[str, ...]]:
    """Every option of the table with the values that some backend allows."""
    merged: dict[str, tuple[str, ...]] = {}
    for spec in BACKENDS.values():
        for option, values in spec.options.items():
            merged[option] = tuple(dict.fromkeys((*merged.get(option, ()), *values)))
    return merged


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def natural_number(text: str) -> int:
    """An argparse type: a whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is not 0 or more")
    return value


def positive_float(text: str) -> float:
    """An argparse type: a finite number above 0."""
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{value} is not a finite number above 0")
    return value


def share(text: str) -> float:
    """A number above 0 and below 1."""
    value = float(text) if text.replace(".", "", 1).isdigit() else 0.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a share above 0 and below 1, such as 0.05")
    return value


def port_argument(text: str) -> int:
    """An argparse type: a TCP port, or 0 for any free one."""
    value = natural_number(text)
    if value > 65_535:
        raise argparse.ArgumentTypeError(f"{value} is not from 0 to 65535")
    return value


def shareable_command(*words: str) -> str:
    """A command as a card or record shows it to others: an absolute path in it is ``<its last part>``."""
    return " ".join(map(_without_place, words))


def _without_place(word: str) -> str:
    """A word for a shell; ``NAME=/path`` and ``external:/path`` keep what is before the path."""
    found = ABSOLUTE_PATH.match(word)
    if found is None or not Path(found["path"]).is_absolute():
        return shlex.quote(word)
    return f"{found['before']}<{Path(found['path']).name}>"


def path_argument(text: str) -> Path:
    """An argparse type: a path; an empty text, as of an unset shell variable, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def prepare_streams() -> None:
    """Makes the standard streams take any text, also where there are none, as for a service."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Left open, so that no file of ours gets its number and with it what libraries print.
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            # The names of files and devices may be no text, or none that the terminal can show.
            stream.reconfigure(errors="backslashreplace")


def reports_user_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Turns mistakes into one message and exit code 2, Ctrl-C into 130, a closed pipe into 0.

    The command line is built from the table of backends, so that the modules it names are put in use before.
    """

    @functools.wraps(main)
    def wrapper(argv: list[str] | None = None) -> int:
        prepare_streams()
        try:
            use_backend_modules(_named_backend_modules(argv))
            return main(argv)
        except UserError as error:
            sys.stderr.write(f"error: {error}\n")
            return EXIT_USAGE
        except ModuleNotFoundError as error:
            sentence = missing_package(error, _floor_of(main))
            if sentence is None:
                raise
            sys.stderr.write(f"error: {sentence}\n")
            return EXIT_USAGE
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # The reader (head, less) is gone. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OK
        except OSError as error:
            # A full disk, a folder without permission: nothing a traceback would explain better.
            sys.stderr.write(f"error: {error.filename or 'output'}: {error.strerror or error}\n")
            return EXIT_USAGE

    return wrapper


def _floor_of(main: Callable[..., int]) -> str:
    """The top folder of the module with an entry point; its name is ``__main__`` where it was started."""
    path = Path(main.__code__.co_filename).resolve()
    return path.relative_to(_PROJECT).parts[0] if path.is_relative_to(_PROJECT) else ""
