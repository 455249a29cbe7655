"""The arguments that bound which times of a log count, for every command that reads one."""

from __future__ import annotations

import argparse
import math

from pipeline.commands.arguments import number
from pipeline.replay.scoring import Window


def add_window_arguments(log: argparse._ArgumentGroup, from_help: str, to_help: str) -> None:
    """Add ``--from`` and ``--to``."""
    for flag, text in (("--from", from_help), ("--to", to_help)):
        log.add_argument(flag, dest=f"{flag.removeprefix('--')}_s", type=number(), metavar="T", help=text)


def window_of(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Window:
    """Return the times that count; bounds that leave none end the program."""
    window = Window(
        -math.inf if given.from_s is None else given.from_s,
        math.inf if given.to_s is None else given.to_s,
    )
    if window.from_s > window.to_s:
        parser.error(f"--from {window.from_s:g} is after --to {window.to_s:g}; expected it before")
    return window
