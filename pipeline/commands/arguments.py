"""What the subcommands' parsers have in common.

A flag wins over the environment (``BEAM_RTLS_`` and the flag's name), the environment over the file of ``--config``.
"""

from __future__ import annotations

import argparse

import configargparse

ENVIRONMENT_PREFIX = "BEAM_RTLS_"


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
