"""How long the science takes a reading: grouping, solving, tracking and the bytes of a track, on one core."""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.readings import ring_site, walk_readings
from benchmarks.spread import Spread
from pipeline.model import Group
from pipeline.positioning.rounds import GroupingSettings, Rounds
from pipeline.positioning.solve import solve
from pipeline.positioning.track import Track
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.warm_up import warm_up
from pipeline.site import MIN_ANCHORS
from pipeline.transforms import track_state

ANCHORS = (3, 4, 8, 12, 16)
PARTS = ("group", "solve", "track", "state")
REFERENCE = "reference"

_EPILOG = """\
One tag walks within a ring of anchors, all of which hear every blink; settings are the defaults, tag height known.

  group      readings to groups
  solve      a group to its fix
  track      a group and its fix to a position, with the anchors' biases learnt
  state      a track to bytes and back, once a group: the most that a stream asks for
  all        the four together
  reference  three circles met in closed form, in plain Python: a yardstick

Of every part the time of the processor is taken, not that of the clock. All parts are measured in turn, and again in
each repeat; a ratio is that of a part to the reference measured right before and after it. Between machines, or on a
busy one, compare ratios; and believe no difference smaller than the range from low to high.

examples:
  python -m benchmarks.positioning
  python -m benchmarks.positioning --anchors 8 --repeats 15 --json before.json
"""


class Taken(NamedTuple):
    """What one part took, measured once: microseconds a reading, and times the reference."""

    us: float
    ratio: float


class Row(NamedTuple):
    """One part with one number of anchors: microseconds a reading, and times the reference."""

    anchors: int
    part: str
    us: Spread
    ratio: Spread


class Bench:
    """The parts with one number of anchors. Each takes what the one before it gave."""

    def __init__(self, anchors: int, readings: int) -> None:
        self.anchors = anchors
        self._site = ring_site(anchors)
        self._readings = walk_readings(self._site, math.ceil(readings / anchors))
        self._groups = self._grouped()
        self._solved = [solve(group, self._site, SolverSettings()) for group in self._groups]
        self._track = self._tracked()

    def once(self) -> dict[str, Taken]:
        """Return what each part takes, measured once."""
        parts: dict[str, Callable[[], object]] = {
            "group": self._grouped,
            "solve": lambda: [solve(group, self._site, SolverSettings()) for group in self._groups],
            "track": self._tracked,
            "state": self._remembered,
        }
        taken: dict[str, Taken] = {}
        references_us = [self._us_a_reading(self._reference)]
        for name, part in parts.items():
            us = self._us_a_reading(part)
            references_us.append(self._us_a_reading(self._reference))
            taken[name] = Taken(us, us / statistics.mean(references_us[-2:]))
        taken["all"] = Taken(*map(sum, zip(*taken.values(), strict=True)))
        taken[REFERENCE] = Taken(statistics.median(references_us), 1.0)
        return taken

    def _us_a_reading(self, part: Callable[[], object]) -> float:
        gc.collect()
        started_ns = time.thread_time_ns()
        part()
        return (time.thread_time_ns() - started_ns) / 1e3 / len(self._readings)

    def _reference(self) -> None:
        for reading in self._readings:
            three_circles(reading.distance_m)

    def _grouped(self) -> list[Group]:
        rounds, settings = Rounds(), GroupingSettings()
        outcomes = [outcome for reading in self._readings for outcome in rounds.add(reading, settings)]
        return [outcome for outcome in outcomes if isinstance(outcome, Group)]

    def _tracked(self) -> Track:
        tracker = Tracker(self._site, TrackSettings())
        track: Track | None = None
        for solved in self._solved:
            track, _ = tracker.take(track, solved)
        if track is None:
            raise RuntimeError(f"the walk between {self.anchors} anchors gave no track: nothing was measured")
        return track

    def _remembered(self) -> None:
        for _ in self._solved:
            track_state.from_bytes(track_state.to_bytes(self._track))


def three_circles(range_m: float) -> tuple[float, float]:
    """Return where three circles of one radius about three anchors would meet, in closed form."""
    (x1, y1), (x2, y2), (x3, y3) = (0.0, 0.0), (range_m, 1.0), (-1.0, range_m + 2.0)
    a, b = 2.0 * (x2 - x1), 2.0 * (y2 - y1)
    c, d = 2.0 * (x3 - x1), 2.0 * (y3 - y1)
    e = x2 * x2 - x1 * x1 + y2 * y2 - y1 * y1
    f = x3 * x3 - x1 * x1 + y3 * y3 - y1 * y1
    width = a * d - b * c
    return (e * d - b * f) / width, (a * f - e * c) / width


def measure(anchors: Sequence[int], readings: int, repeats: int) -> list[Row]:
    """Measure all parts with each number of anchors, in turn, again and again."""
    warm_up()
    benches = [Bench(count, readings) for count in anchors]
    taken: list[list[dict[str, Taken]]] = [[] for _ in benches]
    for _ in range(repeats):
        for bench, times in zip(benches, taken, strict=True):
            times.append(bench.once())
    return [
        Row(
            bench.anchors,
            part,
            Spread.of([once[part].us for once in times]),
            Spread.of([once[part].ratio for once in times]),
        )
        for bench, times in zip(benches, taken, strict=True)
        for part in times[0]
    ]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text."""
    lines = [f"{'':7}  {'':9}  {'us a reading':^24}  {'times the reference':^24}"]
    lines.append(f"{'anchors':7}  {'part':9}" + f"  {'median':>8}{'low':>8}{'high':>8}" * 2)
    for row in rows:
        numbers = "".join("  " + "".join(f"{value:8.2f}" for value in spread) for spread in (row.us, row.ratio))
        lines.append(f"{row.anchors:7}  {row.part:9}{numbers}")
    return "\n".join(lines)


def as_json(rows: Sequence[Row], readings: int, repeats: int) -> str:
    """Return the rows as a JSON document, with what they were measured with."""
    document = {
        "readings": readings,
        "repeats": repeats,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": [
            {"anchors": row.anchors, "part": row.part, "us": row.us._asdict(), "ratio": row.ratio._asdict()}
            for row in rows
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() else -1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number of at least {least}")
        return value

    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and say what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.positioning",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--anchors",
        metavar="N",
        nargs="+",
        type=_at_least(MIN_ANCHORS),
        default=list(ANCHORS),
        help=f"how many anchors hear the tag (default: {' '.join(map(str, ANCHORS))})",
    )
    parser.add_argument(
        "--readings", metavar="N", type=_at_least(1), default=6000, help="readings a measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", metavar="N", type=_at_least(1), default=7, help="how often to measure all (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there as well")
    told = parser.parse_args(arguments)
    rows = measure(told.anchors, told.readings, told.repeats)
    sys.stdout.write(table(rows) + "\n")
    if told.json is not None:
        told.json.write_text(as_json(rows, told.readings, told.repeats), encoding="utf-8")


if __name__ == "__main__":
    main()
