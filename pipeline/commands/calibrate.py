"""``beam-rtls calibrate``: estimate anchor biases from a log, and write them into a copy of the site map."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.commands.calibrate_arguments import CalibrateArguments, parse
from pipeline.commands.calibrate_log import Log, read_log, read_places
from pipeline.commands.calibrate_report import Findings, as_json, as_table, remarks
from pipeline.positioning.calibration import calibrate_by_truth
from pipeline.positioning.held_out import held_out_by_itself, held_out_by_truth
from pipeline.positioning.robust import Floats
from pipeline.positioning.round_table import first_places, gather, thinned
from pipeline.positioning.self_calibration import anchors_of, calibrate_by_itself
from pipeline.replay.log import LogError
from pipeline.site import Site, SiteError, load_site
from pipeline.site_writer import Bias, with_biases

MOST_ROUNDS, MOST_READINGS = 2000, 100_000
"""What is taken of a long log, spread over it, without and with a truth: more would hardly be known better."""
_STAGES = 5


class CalibrationError(Exception):
    """The readings give no bias of any anchor."""


def main(argv: Sequence[str]) -> int:
    """Calibrate as ``argv`` says, print what was found and return the exit code."""
    arguments = parse(argv)
    try:
        found = _calibrate(arguments)
    except (SiteError, LogError, CalibrationError, OSError) as error:
        print(f"beam-rtls calibrate: {error}", file=sys.stderr)
        return 1
    print(as_table(found))
    for remark in remarks(found):
        print(f"- {remark}")
    print(f"written: {arguments.output}")
    return 0


def _calibrate(arguments: CalibrateArguments) -> Findings:
    with tqdm(total=_STAGES, unit="stage", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def tell(stage: str) -> None:
            bar.set_description(stage)
            bar.update()

        tell("reading")
        site = load_site(arguments.anchors, arguments.tag_height_m)
        log = read_log(arguments.readings, site, arguments.window)
        if arguments.truth is None:
            found = _by_itself(site, log, tell)
        else:
            found = _by_truth(site, log, read_places(arguments.truth, site, log), tell)
        tell("writing")
        _write(arguments, found)
    return found


def _by_truth(site: Site, log: Log, places_m: Floats, tell: Callable[[str], None]) -> Findings:
    known: NDArray[np.bool_] = np.isfinite(places_m[:, 0])
    taken = np.flatnonzero(known)
    if taken.size > MOST_READINGS:  # by lot, for a stride would favour an anchor or a tag; always the same lot
        taken = np.sort(np.random.default_rng(0).choice(taken, MOST_READINGS, replace=False))
    ranges, places_m = log.ranges.at(taken), places_m[taken]
    anchors_m = anchors_of(site)
    before_m = np.array([anchor.bias_m for anchor in site.anchors.values()])
    tell("calibrating")
    calibration = calibrate_by_truth(ranges, places_m, anchors_m)
    tell("comparing")
    held_out = held_out_by_truth(ranges, places_m, anchors_m, before_m)
    left = {"no truth at their time": int((~known).sum()), "the log is long": int(known.sum()) - taken.size}
    unused = {reason: count for reason, count in left.items() if count}
    return Findings(
        *(site, calibration, held_out, ranges.at_s.size, np.unique(ranges.tag).size, None),
        unused={**log.refused, **unused},
    )


def _by_itself(site: Site, log: Log, tell: Callable[[str], None]) -> Findings:
    least = 4 if site.tag_height_m is not None or site.tag_height_range_m is None else 5
    tell("gathering rounds")
    table = thinned(gather(log.ranges, len(site.anchors), least), MOST_ROUNDS)
    places_m = first_places(table, site)
    solved = np.isfinite(places_m[:, 0])
    table, places_m = table.at(solved), places_m[solved]
    if not table.at_s.size:
        what = f"no round of {least} ranges or more that gives a position; a log with a truth (--truth) needs no rounds"
        raise CalibrationError(what)
    tell("calibrating")
    calibration = calibrate_by_itself(table, places_m, site)
    tell("comparing")
    held_out = held_out_by_itself(table, places_m, site)
    readings = int(np.isfinite(table.distance_m).sum())
    left = log.ranges.at_s.size - readings
    unused = {f"not in the {table.at_s.size} rounds taken": left} if left else {}
    return Findings(
        *(site, calibration, held_out, readings, np.unique(table.tag).size, table.at_s.size),
        unused={**log.refused, **unused},
    )


def _write(arguments: CalibrateArguments, found: Findings) -> None:
    """Write map and report, the map only if it loads and says what was found.

    Raises:
        CalibrationError: there is nothing to write.
    """
    names = {name: str(getattr(arguments, name)) for name in ("anchors", "readings", "output")}
    names["truth"] = "" if arguments.truth is None else str(arguments.truth)
    if arguments.report is not None:
        report = as_json(found, names)
        arguments.report.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    biases = {
        anchor_id: Bias(calibrated.bias_m, calibrated.sigma_m)
        for anchor_id, calibrated in zip(found.site.anchors, found.calibration.anchors, strict=True)
        if calibrated.bias_m is not None
    }
    if not biases:
        raise CalibrationError("\n".join(["no anchor's bias can be told from these readings", *remarks(found)]))
    text = with_biases(arguments.anchors, biases)
    _check(text, arguments, found.site, biases)
    arguments.output.write_text(text, encoding="utf-8", newline="")


def _check(text: str, arguments: CalibrateArguments, site: Site, biases: dict[str, Bias]) -> None:
    """Load the new map as a worker would, and hold it against the old one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, arguments.anchors.name)
        path.write_text(text, encoding="utf-8", newline="")
        written = load_site(path, arguments.tag_height_m)
    expected = {}
    for anchor in site.anchors.values():
        if anchor.id in biases:
            values = biases[anchor.id].written()
            new = dataclasses.replace(anchor, bias_m=values["bias"], bias_sigma_m=values["bias_sigma"])
        else:
            new = anchor
        expected[anchor.id] = new
    if written != dataclasses.replace(site, anchors=expected):
        raise CalibrationError(
            f"the map cannot be written so that it keeps its meaning; {arguments.anchors} stays as it is"
        )
