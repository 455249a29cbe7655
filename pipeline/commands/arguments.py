"""What the subcommands' parsers have in common.

A flag wins over the environment (``BEAM_RTLS_`` and the flag's name), the environment over the file of ``--config``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import difflib
import importlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import configargparse

from pipeline.commands import COMMANDS, module_of

ENVIRONMENT_PREFIX = "BEAM_RTLS_"
OTHER_VARIABLES = frozenset({"BEAM_RTLS_LOGS", "BEAM_RTLS_TOOLS"})
"""Variables with the prefix that are not settings of a command."""
_HOST = r"(?:[^\s,:/?#@\[\]]+|\[[0-9a-fA-F:]+\])"
_ADDRESS = re.compile(rf"{_HOST}:(?P<port>\d{{1,9}})")
MAX_PORT = 65535


class _HelpFormatter(argparse.HelpFormatter):
    """Says variable and default where there are any, fills paragraphs, and leaves examples (indented) as written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        variable = getattr(action, "env_var", None)
        if variable:
            text = f"{text} [env: {variable}]"
        has_default = action.default not in (None, [], argparse.SUPPRESS) and action.default is not False
        return f"{text} (default: %(default)s)" if has_default and action.option_strings else text

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            paragraph if re.search(r"^ ", paragraph, re.MULTILINE) else fill(paragraph, width, indent)
            for paragraph in paragraphs
        )


def new_parser(command: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls COMMAND``; every long option can also be set by environment and file."""
    parser: argparse.ArgumentParser = configargparse.ArgumentParser(
        prog=f"beam-rtls {command}",
        description=description,
        epilog=epilog,
        auto_env_var_prefix=ENVIRONMENT_PREFIX,
        config_file_parser_class=configargparse.YAMLConfigFileParser,
        args_for_setting_config_path=["--config"],
        config_arg_help_message="a YAML file with any of these settings, without the leading dashes (as in mode: "
        "three); a flag wins over the environment, the environment over this file",
        add_config_file_help=False,
        add_env_var_help=False,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    return parser


# The environment


def refuse_unknown_variables(parser: argparse.ArgumentParser) -> None:
    """End the program (exit code 2) where the environment holds a setting that no command has: a slip of the pen."""
    unknown = {name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)} - OTHER_VARIABLES - variables(parser)
    if not unknown:
        return
    known = frozenset().union(*(variables(parser_of(command)) for command in COMMANDS))
    names = [variable.removeprefix(ENVIRONMENT_PREFIX) for variable in sorted(known)]
    for name in sorted(unknown - known):
        near = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), names, n=1)
        hint = f"; did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else ""
        parser.error(f"unknown variable {name} in the environment{hint}")


def variables(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Return the variables of the environment that set an option of this parser."""
    return frozenset(
        ENVIRONMENT_PREFIX + flag.removeprefix("--").upper().replace("-", "_")
        for action in parser._actions  # noqa: SLF001
        for flag in action.option_strings
        if flag.startswith("--") and flag not in {"--help", "--config"}
    )


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return a new parser of any subcommand; loaded by name, for the subcommands' modules import this one."""
    module = importlib.import_module(f"pipeline.commands.{module_of(command)}_arguments")
    parser: argparse.ArgumentParser = module.new_argument_parser()
    return parser


# Types of arguments


def number(
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    kind: Callable[[str], float] = float,
) -> Callable[[str], float]:
    """Return a parser of finite numbers within bounds, for argparse; ``kind`` is ``float`` or ``int``."""
    what = "a whole number" if kind is int else "a number"
    bounds = [f"{word} {bound:g}" for word, bound in (("above", above), ("of at least", at_least)) if bound > -math.inf]
    bounds += [f"at most {at_most:g}"] if at_most < math.inf else []
    expected = " ".join([what, " and ".join(bounds)]).strip()

    def parse_number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (value > above and at_least <= value <= at_most and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse_number


def servers(text: str) -> str:
    """Parse a list of ``HOST:PORT``.

    Raises:
        argparse.ArgumentTypeError: where it is none.
    """
    for address in text.split(","):
        _check_address(address, f"expected HOST:PORT[,HOST:PORT …], got {text!r}")
    return text


def server(text: str) -> str:
    """Parse one ``HOST:PORT``.

    Raises:
        argparse.ArgumentTypeError: where it is none.
    """
    _check_address(text, f"expected HOST:PORT, got {text!r}")
    return text


def web_address(text: str) -> str:
    """Parse ``http://HOST:PORT`` or ``https://HOST``, with a path or without; a plain ``HOST:PORT`` is taken for http.

    Raises:
        argparse.ArgumentTypeError: where it is none.
    """
    scheme, separator, rest = text.rpartition("://")
    address = rest.rstrip("/")
    if separator and scheme not in {"http", "https"}:
        raise argparse.ArgumentTypeError(f"expected http://HOST:PORT, got {text!r}")
    host = address.partition("/")[0]
    if re.search(r"[\s?#]", address):
        raise argparse.ArgumentTypeError(f"expected http://HOST:PORT, got {text!r}")
    if not (scheme == "https" and re.fullmatch(_HOST, host)):
        _check_address(host, f"expected http://HOST:PORT, got {text!r}")
    return f"{scheme or 'http'}://{address}"


def _check_address(address: str, problem: str) -> None:
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise argparse.ArgumentTypeError(problem)
    if not 1 <= int(found["port"]) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"expected a port of 1 to {MAX_PORT}, got {address!r}")


def existing_file(text: str) -> str:
    """Return the path of a file that is there.

    Raises:
        argparse.ArgumentTypeError: where it is not.
    """
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"expected a file that exists, got {text!r}")
    return text


def kafka_property(text: str) -> tuple[str, str]:
    """Parse ``key=value``.

    Raises:
        argparse.ArgumentTypeError: where there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return key.strip(), value.strip()


def instant_us(text: str) -> int:
    """Parse a time in ISO 8601, UTC where it names no zone, to microseconds since 1970.

    Raises:
        argparse.ArgumentTypeError: where it is none.
    """
    try:
        instant = dt.datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a time as in 2024-05-01T08:00:00Z, got {text!r}") from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=dt.timezone.utc)
    epoch = dt.datetime.fromtimestamp(0, dt.timezone.utc)
    return (instant - epoch) // dt.timedelta(microseconds=1)
