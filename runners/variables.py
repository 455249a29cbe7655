"""What a ``make`` target can be told: by flag, or by a variable of the environment, which is how make hands it on."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence

from pipeline.commands.arguments import MAX_PORT, number

Kind = Callable[[str], object]

port: Kind = number(at_least=1, at_most=MAX_PORT, kind=int)


class Variables:
    """A parser whose every flag has a variable: a flag wins, and an empty variable counts as none.

    Args:
        program: how the program is called.
        description: what it does.
        epilog: what is shown after the flags, as it is.
    """

    def __init__(self, program: str, description: str, epilog: str = "") -> None:
        self._parser = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
        if epilog:
            self._parser.epilog = epilog
            self._parser.formatter_class = argparse.RawDescriptionHelpFormatter

    def add(self, flag: str, kind: Kind, default: str | None, text: str, variable: str = "") -> None:
        """Add a flag; its variable has its name, as ``KAFKA_PORT`` for ``--kafka-port``, unless told otherwise."""
        variable = variable or flag.removeprefix("--").upper().replace("-", "_")
        said = f"{text} [env: {variable}]" + ("" if default is None else f" (default: {default})")
        value = os.environ.get(variable) or default
        self._parser.add_argument(flag, type=_named(variable, kind), default=value, metavar="…", help=said)

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return what was given; a wrong one ends the program with its variable and what was expected (exit code 2)."""
        return self._parser.parse_args(argv)

    def refuse(self, text: str) -> None:
        """End the program (exit code 2) because of what was given together."""
        self._parser.error(text)


def one_of(*choices: str) -> Kind:
    """Return a parser of one of these words."""

    def parse_choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"expected {' or '.join(choices)}, got {text!r}")
        return text

    return parse_choice


def words(text: str) -> list[str]:
    """Parse options as in a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected options as in a shell, got {text!r} ({error})") from error


def _named(variable: str, kind: Kind) -> Kind:
    """Return ``kind`` with the variable's name before its complaints: whoever typed to make knows no flag."""

    def parse_named(text: str) -> object:
        try:
            return kind(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{variable}: {error}") from error

    return parse_named
