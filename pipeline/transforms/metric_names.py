"""The closed list of metrics. No tag, anchor or record is in any name, so there are only so many series.

A counter is called ``stage.what``, a quantity is counted in buckets (see :class:`Quantity`). What the names say:

    in, out                   elements that came into a stage, and that left it towards positions (or events); the
                              watches of anchors and tags are given only what counts for them
    rejected.REASON           readings (or records) rejected by the stage
    no_fix.REASON             groups passed on without a fix
    event.KIND                events told
    internal_error            unexpected errors, whatever they cost; the one to alarm on
    time_replaced             records whose time could not be right
    ranges_refused            ranges that a position was made without
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pipeline.events import EventKind
from pipeline.model import Reason

NAMESPACE = "beam_rtls"
INTERNAL_ERROR = "internal_error"
FLOW = ("in", "out", INTERNAL_ERROR)
"""What every stage counts, be it 0."""


class Quantity(NamedTuple):
    """A quantity, counted in buckets, of which each holds all values up to its bound.

    A Beam distribution would end in Flink as text, which is not for Prometheus. Counters called ``NAME.le_BOUND``,
    ``NAME.le_inf`` (all values) and ``NAME.sum`` reach it, and are what it makes a histogram of. Buckets are few, for
    Beam reports every one of them with every bundle (8 µs each).

    Attributes:
        name: with its unit.
        bounds: upper bounds of the buckets, in that unit, rising.
    """

    name: str
    bounds: tuple[int, ...]

    @property
    def counters(self) -> list[str]:
        """The names of its counters: the buckets and the sum."""
        return [f"{self.name}.{part}" for part in (*(f"le_{bound}" for bound in self.bounds), "le_inf", "sum")]


GROUP_SIZE = Quantity("group_size", (1, 2, 3, 4, 6, 10))
"""Readings of a group."""
SOLVE_US = Quantity("solve_us", (50, 100, 200, 500, 2000, 10000))
"""How long a group took to solve, or to turn out unsolvable (µs)."""
LATENCY_MS = Quantity("latency_ms", (50, 100, 200, 300, 500, 1000, 2000, 5000, 60000))
"""From when Kafka had a position's newest reading to when the position was encoded (ms), by the clocks of both."""
RESIDUAL_MM = Quantity("residual_mm", (20, 50, 100, 200, 500, 1000))
"""The residual of a position (RMS, mm), where it has one."""

QUANTITIES: Mapping[str, tuple[Quantity, ...]] = MappingProxyType(
    {"group": (GROUP_SIZE,), "trilaterate": (SOLVE_US,), "encode": (LATENCY_MS, RESIDUAL_MM)}
)
"""What each stage counts in buckets."""

_REJECTED = tuple(f"rejected.{reason.value}" for reason in Reason)
_NO_FIX = tuple(f"no_fix.{reason.value}" for reason in Reason)
_EVENTS = tuple(f"event.{kind.value}" for kind in EventKind)

COUNTERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "decode": (*FLOW, *_REJECTED, "time_replaced"),
        "decode_heartbeats": (*FLOW, *_REJECTED),
        "group": (*FLOW, *_REJECTED),
        "trilaterate": (*FLOW, *_NO_FIX),
        "untracked": (*FLOW, *_REJECTED),
        "track": (*FLOW, *_REJECTED, "ranges_refused"),
        "encode": (*FLOW, *_REJECTED),
        "encode_rejections": FLOW,
        "watch_anchors": (*FLOW, *_EVENTS),
        "watch_tags": (*FLOW, *_EVENTS),
        "watch_zones": (*FLOW, *_EVENTS),
        "watch_map": (*FLOW, *_EVENTS),
        "encode_events": FLOW,
        "encode_deaths": FLOW,
        "encode_locations": FLOW,
        "encode_fence_events": FLOW,
    }
)
"""What each stage counts, quantities aside."""

GAUGES = ("site.map_anchors", "site.map_changed_at_s", "site.map_version", "site.map_is_refused")
"""What is told as it is: how many anchors the map in force has, since when it is (Unix time, s), its version as a
number, and whether (1) what stands in its file now is refused.
"""


def counters_of(stage: str) -> Iterator[str]:
    """Iterate over the names of all counters of a stage, without the stage's own."""
    yield from COUNTERS[stage]
    for quantity in QUANTITIES.get(stage, ()):
        yield from quantity.counters


def all_names() -> Iterator[str]:
    """Iterate over the names of all metrics, without the namespace."""
    for stage in COUNTERS:
        for name in counters_of(stage):
            yield f"{stage}.{name}"
    yield from GAUGES
