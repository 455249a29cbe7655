"""The settings of ``beam-rtls calibrate``: which site map, which log, and where the new map goes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import existing_file, new_parser, refuse_unknown_variables
from pipeline.commands.graph_arguments import add_site_arguments
from pipeline.commands.window_arguments import add_window_arguments, window_of
from pipeline.replay.scoring import Window

DESCRIPTION = """\
Estimate by how much each anchor's ranges are too long (its bias) from a log, write the biases and their uncertainty
into a copy of the site map, and show what they are worth.

With --truth, ranges are held against known distances: put tags on surveyed points, or walk with a reference system.
Points all over the site, each for half a minute, are worth more than hours at one: the error at a place stays what it
is. Several tags show how much biases differ from tag to tag. Without --truth the ranges have to agree with each other:
any log of moving tags heard by four anchors or more at a time will do (by five, where the height is solved for), best
amid the anchors. Seen from outside, a bias common to all anchors hardly shows, and its sigma says so.

An anchor that seems to stand elsewhere than the map says is told of, and not moved. Where readings tell nothing of an
anchor, it keeps what it has.
"""

EPILOG = """\
examples:

  beam-rtls simulate --anchors anchors/warehouse.yaml --fine-timestamps \\
      --output ranges.csv --truth-output truth.csv --duration 300
  beam-rtls calibrate --anchors anchors/warehouse.yaml \\
      --readings ranges.csv --truth truth.csv --output calibrated.yaml
  beam-rtls calibrate --anchors anchors/warehouse.yaml \\
      --readings ranges.csv --output calibrated.yaml --report report.json

a tag that stood at two surveyed points (the way between them is not used):

  t,tag_id,x,y,z
  0,0003FF0000050000,12.00,8.50,1.20
  60,0003FF0000050000,12.00,8.50,1.20
  90,0003FF0000050000,31.00,8.50,1.20
  150,0003FF0000050000,31.00,8.50,1.20

The table shows, of readings that had no part in the biases, how far ranges are from what is expected (RMS, and median
of the sizes), before and after; what is written comes of all readings. A sigma covers what a new tag is to expect: it
holds the spread between tags, if several were heard. Errors are taken to be independent only 5 s and 0.5 m apart.

exit code: 0 written, 1 a file failed or no bias could be had, 2 called wrongly
"""


@dataclass(frozen=True, slots=True)
class CalibrateArguments:
    """What ``beam-rtls calibrate`` was asked."""

    anchors: Path
    tag_height_m: float | None
    readings: Path
    truth: Path | None
    window: Window
    output: Path
    report: Path | None


def parse(argv: Sequence[str]) -> CalibrateArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    arguments = CalibrateArguments(
        anchors=Path(given.anchors),
        tag_height_m=given.tag_height,
        readings=Path(given.readings),
        truth=None if given.truth is None else Path(given.truth),
        window=window_of(given, parser),
        output=given.output,
        report=given.report,
    )
    _check_written(parser, arguments, is_forced=given.force)
    return arguments


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls calibrate``."""
    parser = new_parser("calibrate", DESCRIPTION, EPILOG)
    add_site_arguments(parser)
    log = parser.add_argument_group("log")
    text = "the ranges: CSV t,tag_id,anchor_id,distance_m"
    log.add_argument("--readings", type=existing_file, required=True, metavar="FILE", help=text)
    text = "where the tags truly were: CSV t,tag_id,x,y and, where heights differ, z; t as in the readings"
    log.add_argument("--truth", type=existing_file, metavar="FILE", help=text)
    add_window_arguments(
        log, "take readings from this time on (s of the log)", "take readings up to this time (s of the log)"
    )
    results = parser.add_argument_group("results")
    text = "the new site map, of the same kind as the old one; comments and order are kept"
    results.add_argument("--output", type=Path, required=True, metavar="FILE", help=text)
    results.add_argument("--report", type=Path, metavar="FILE", help="write what was found as JSON")
    results.add_argument("--force", action="store_true", help="overwrite the output if it exists")
    return parser


def _check_written(parser: argparse.ArgumentParser, arguments: CalibrateArguments, *, is_forced: bool) -> None:
    """Refuse to write over what is read, or, unless forced, over any site map; and what is not on a disk."""
    if ":/" in str(arguments.anchors):
        parser.error(f"--anchors: {arguments.anchors} is not on a disk; fetch a copy of the map")
    output, is_csv = arguments.output, arguments.anchors.suffix.lower() == ".csv"
    expected = (".csv",) if is_csv else (".yaml", ".yml")
    if output.suffix.lower() not in expected:
        parser.error(f"--output: expected a name that ends in {' or '.join(expected)}, as the map's, got {output}")
    read = {path.resolve() for path in (arguments.anchors, arguments.readings, arguments.truth) if path is not None}
    for flag, path in (("--output", output), ("--report", arguments.report)):
        if path is not None and path.resolve() in read:
            parser.error(f"{flag}: {path} is one of the files that are read; expected another")
    if arguments.report is not None and arguments.report.resolve() == output.resolve():
        parser.error(f"--report: {output} is the output; expected another")
    if output.exists() and not is_forced:
        parser.error(f"--output: {output} exists; give --force to overwrite it")
