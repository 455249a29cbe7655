"""Whether the positions go on: for each tag the longest gap, and how far its positions are from the truth.

What explains a gap is left out: where no anchor could hear the tag, and for the arrival of positions, where the job was
down as well. Times are integer milliseconds since 1970.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from pipeline.tag_identity import tag_name
from runners.scenario.hall import IDENTITY
from runners.trial.ledger import Name, Outcome
from runners.trial.tap import Record

MOST_GAP_S = 3.0
MOST_WAIT_S = 6.0
MOST_MEDIAN_M, MOST_P95_M = 0.3, 0.8

MAP_VERSION = "map_version"


class Span(NamedTuple):
    """A time that explains a gap."""

    from_ms: int
    to_ms: int


class Position(NamedTuple):
    """A record of ``out_data``."""

    tag: str
    x_m: float
    y_m: float
    at_ms: int
    appended_ms: int
    anchors: tuple[str, ...]
    map_version: str | None
    names: tuple[Name, ...]
    fix_id: str


class Truth(NamedTuple):
    """Where a tag truly was when it was measured, seconds since 1970 and metres."""

    true_s: float
    x_m: float
    y_m: float


@dataclass(slots=True)
class Course:
    """What came of one tag's positions."""

    tag: str
    positions: int = 0
    gap_s: float = 0.0
    """The longest time between two positions, by their own times, that nothing explains."""
    wait_s: float = 0.0
    """The longest time in which none came, though the job was at work and the tag was heard."""
    wait_in_restart_s: float = 0.0
    """The longest time in which none came because the job was down."""
    errors_m: list[float] = field(default_factory=list)

    @property
    def median_m(self) -> float:
        """Half of the positions are nearer to the truth."""
        return statistics.median(self.errors_m) if self.errors_m else math.inf

    @property
    def p95_m(self) -> float:
        """95 % of the positions are nearer to the truth."""
        ordered = sorted(self.errors_m)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else math.inf

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be."""
        bounds = (
            ("gap", self.gap_s, MOST_GAP_S, "s"),
            ("wait", self.wait_s, MOST_WAIT_S, "s"),
            ("median error", self.median_m, MOST_MEDIAN_M, "m"),
            ("95 % error", self.p95_m, MOST_P95_M, "m"),
        )
        return [f"{what} {value:.2f} {unit}; at most {most:g}" for what, value, most, unit in bounds if value > most]


def position(outcome: Outcome) -> Position:
    """Return a position; the ledger answers for those that cannot be read."""
    value: dict[str, Any] = orjson.loads(outcome.value)
    at = dt.datetime.fromisoformat(value["timestamp_generated"].replace("Z", "+00:00"))
    return Position(
        *(value["tagid"], value["x"], value["y"], round(at.timestamp() * 1000), outcome.appended_ms),
        *(tuple(value["anchors"]), value.get(MAP_VERSION), outcome.names, value["fix_id"]),
    )


def truths(records: Iterable[Record]) -> dict[Name, Truth]:
    """Return the truth behind every reading, by the reading's name in the account."""
    found: dict[Name, Truth] = {}
    for record in records:
        value = orjson.loads(record.value)
        name = tag_name(value["tagid"], IDENTITY)
        tag = value["tagid"] if name is None else name.tag
        found[value["partition"], value["offset"], tag] = Truth(value["t"], value["x"], value["y"])
    return found


def course(
    tag: str,
    positions: Sequence[Position],
    truth: Mapping[Name, Truth],
    *,
    during: Span,
    unheard: Sequence[Span],
    restarts: Sequence[Span],
) -> Course:
    """Return what came of a tag's positions within a time.

    Args:
        tag: the tag.
        positions: of all tags, repeats among them.
        truth: the truth behind every reading.
        during: when there should be positions.
        unheard: when no anchor could hear the tag.
        restarts: when the job was down.
    """
    own = {one.fix_id: one for one in reversed(positions) if one.tag == tag}  # of repeats, the first
    found = Course(tag, len(own))
    times_ms = [during.from_ms, *sorted(one.at_ms for one in own.values() if _is_in(one.at_ms, during)), during.to_ms]
    found.gap_s = _longest_s(times_ms, unheard)
    come_ms = sorted(one.appended_ms for one in own.values() if _is_in(one.appended_ms, during))
    found.wait_s = _longest_s([during.from_ms, *come_ms, during.to_ms], (*unheard, *restarts))
    in_restarts = [
        [restart.from_ms, *(at_ms for at_ms in come_ms if _is_in(at_ms, restart)), restart.to_ms]
        for restart in restarts
    ]
    found.wait_in_restart_s = max((_longest_s(times, unheard) for times in in_restarts), default=0.0)
    for one in own.values():
        known = [truth[name] for name in one.names if name in truth]
        if known:
            newest = max(known)
            found.errors_m.append(math.hypot(one.x_m - newest.x_m, one.y_m - newest.y_m))
    return found


def _is_in(at_ms: int, span: Span) -> bool:
    return span.from_ms <= at_ms <= span.to_ms


def _longest_s(times_ms: Sequence[int], excused: Sequence[Span]) -> float:
    """Return the longest time between two times, what is excused of it left out (s)."""
    return max((_inexcusable_ms(a, b, excused) for a, b in pairwise(times_ms)), default=0) / 1000


def _inexcusable_ms(from_ms: int, to_ms: int, excused: Sequence[Span]) -> int:
    """Return how much of a time remains when spans, which may overlap, are taken off."""
    left_ms, at_ms = 0, from_ms
    for span in sorted(excused):
        left_ms += max(0, min(span.from_ms, to_ms) - at_ms)
        at_ms = max(at_ms, min(span.to_ms, to_ms))
    return left_ms + max(0, to_ms - at_ms)
