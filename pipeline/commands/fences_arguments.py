"""The settings of ``beam-rtls fences``: which site map."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.commands.arguments import new_parser, refuse_unknown_variables
from pipeline.commands.graph_arguments import add_site_arguments

DESCRIPTION = """\
Print the zones of a site map as omlox Fences, a JSON array: what an omlox hub is given once, and after every change of
the zones. The ids are the fence_id of the FenceEvents that beam-rtls run --omlox-fence-events-topic writes.
"""

EPILOG = """\
example:
  beam-rtls fences --anchors site.yaml > fences.json

exit code: 0 done; 1 the map cannot be used; 2 called wrongly
"""


@dataclass(frozen=True, slots=True)
class FencesArguments:
    """What ``beam-rtls fences`` was asked."""

    anchors: str
    tag_height_m: float | None


def parse(argv: Sequence[str]) -> FencesArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    return FencesArguments(given.anchors, given.tag_height)


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls fences``."""
    parser = new_parser("fences", DESCRIPTION, EPILOG)
    add_site_arguments(parser)
    return parser
