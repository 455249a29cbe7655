"""The settings of ``beam-rtls replay``: which log, what to score, what to write, and the graph's own settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import new_parser, refuse_unknown_variables
from pipeline.commands.graph_arguments import add_graph_arguments, add_site_arguments, graph_settings
from pipeline.commands.window_arguments import add_window_arguments, window_of
from pipeline.replay.plots import ENDINGS
from pipeline.replay.scoring import Window
from pipeline.settings import GraphSettings

DESCRIPTION = """\
Run the pipeline over a log of ranges: the very same graph, bounded, on Beam's in-process engine, without Kafka. It
prints a report, and with a truth how far the positions are from it.

A log is CSV with a header, columns in any order, times in seconds and lengths in metres. Ranges have
t,tag_id,anchor_id,distance_m (slant ranges), the truth t,tag_id,x,y and perhaps z. Readings are replayed in order of
time, each arriving at the time of its measurement.

A position's error is its horizontal distance from the truth, interpolated at the position's own time.
Positions without truth are counted, not scored.
"""

EPILOG = """\
example:

  beam-rtls simulate --anchors anchors/demo.yaml --output ranges.csv \\
      --truth-output truth.csv --duration 60
  beam-rtls replay --anchors anchors/demo.yaml --readings ranges.csv \\
      --truth truth.csv --report report.json --plot report.html

--output has a line of JSON a position, as on out_data, with t (s, as in the log)
in place of timestamp_generated; its records are [0, row of the log, from 0].

exit code: 0 done, 1 a file or the replay failed, 2 called wrongly
"""


@dataclass(frozen=True, slots=True)
class ReplayArguments:
    """What ``beam-rtls replay`` was asked."""

    anchors: str
    tag_height_m: float | None
    readings: Path
    truth: Path | None
    window: Window
    output: Path | None
    report: Path | None
    plot: Path | None
    graph: GraphSettings


def parse(argv: Sequence[str]) -> ReplayArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    window = window_of(given, parser)
    try:
        graph = graph_settings(given)
    except ValueError as error:
        parser.error(str(error))
    return ReplayArguments(
        anchors=given.anchors,
        tag_height_m=given.tag_height,
        readings=given.readings,
        truth=given.truth,
        window=window,
        output=given.output,
        report=given.report,
        plot=given.plot,
        graph=graph,
    )


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls replay``."""
    parser = new_parser("replay", DESCRIPTION, EPILOG)
    add_site_arguments(parser)
    log = parser.add_argument_group("log")
    log.add_argument("--readings", type=Path, required=True, metavar="FILE", help="the ranges")
    log.add_argument("--truth", type=Path, metavar="FILE", help="where the tags truly were")
    add_window_arguments(
        log,
        "score from this time on (s of the log); what is earlier is replayed as well",
        "score up to this time (s of the log)",
    )
    results = parser.add_argument_group("results")
    results.add_argument("--output", type=Path, metavar="FILE", help="write the positions, a line of JSON each")
    results.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON")
    results.add_argument(
        "--plot",
        type=_picture,
        metavar="FILE",
        help="draw track, error over time and error distribution, as .png or as a page (.html); needs the extra plot",
    )
    add_graph_arguments(parser)
    return parser


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in ENDINGS:
        raise argparse.ArgumentTypeError(f"expected a name that ends in {' or '.join(ENDINGS)}, got {text!r}")
    return path
