"""What the subcommands' parsers have in common.

A flag wins over the environment (``BEAM_RTLS_`` and the flag's name), the environment over the file of ``--config``.
"""

from __future__ import annotations

import argparse
import difflib
import os

import configargparse

ENVIRONMENT_PREFIX = "BEAM_RTLS_"


OTHER_VARIABLES = frozenset({"BEAM_RTLS_LOGS", "BEAM_RTLS_TOOLS"})
"""Variables with the prefix that are not settings of a command."""


def refuse_unknown_variables(parser: configargparse.ArgumentParser) -> None:
    """End the program (exit code 2) where the environment holds a setting that does not exist: a slip of the pen."""
    known = {name for action in parser._actions for name in parser.get_possible_config_keys(action)}  # noqa: SLF001
    variables = {ENVIRONMENT_PREFIX + name.upper().replace("-", "_") for name in known} | OTHER_VARIABLES
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in variables:
            near = difflib.get_close_matches(name, variables, n=1)
            parser.error(f"unknown variable {name} in the environment" + (f"; did you mean {near[0]}?" if near else ""))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Says the default where there is one, and leaves the example as it was written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, [], argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return f"{action.help} (default: %(default)s)"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001


def new_parser(command: str, description: str, epilog: str | None = None) -> configargparse.ArgumentParser:
    """Return the parser of ``beam-rtls COMMAND``; every long option can also be set by environment and file."""
    return configargparse.ArgumentParser(
        prog=f"beam-rtls {command}",
        description=description,
        epilog=epilog,
        auto_env_var_prefix=ENVIRONMENT_PREFIX,
        config_file_parser_class=configargparse.YAMLConfigFileParser,
        args_for_setting_config_path=["--config"],
        config_arg_help_message="a YAML file with any of these settings, without the leading dashes",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )


def kafka_property(text: str) -> tuple[str, str]:
    """Parse ``key=value``.

    Raises:
        argparse.ArgumentTypeError: where there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return key.strip(), value.strip()
