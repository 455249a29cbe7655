"""What one run of the benchmark measures, in its two forms."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.systems import OnFlink, OnPrism, Peer, System
from benchmarks.workload import Workload

SWEEPS = ("tags", "anchors", "partitions", "tasks")
"""Each a part that measures the backlog with one thing other than usual."""
PARTS = ("backlog", "live", *SWEEPS, "state", "outage")
BASE = OnFlink()
"""The pipeline as it is set up by default; it is what the sweeps are made with."""
LEAN = OnFlink("three", "off")
"""The pipeline doing what the peers do, and no more."""
ON_PRISM = OnPrism()
BARE_LOOP, QUIX, BYTEWAX, ORIGINAL = Peer("bare_loop"), Peer("quix"), Peer("bytewax"), Peer("pyflink")
ALL: tuple[System, ...] = (
    *(BASE, OnFlink("round", "off"), OnFlink("three", "on"), LEAN, ON_PRISM),
    *(BARE_LOOP, QUIX, BYTEWAX, ORIGINAL),
)
TAGS = 100
"""In a backlog, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what. All parts are measured in turn, and again in each repeat."""

    repeats: int = 3
    parts: tuple[str, ...] = PARTS
    backlog: tuple[System, ...] = ALL
    readings: int = 900_000
    """Of a backlog."""
    limit_s: float = 60.0
    """A system that has not taken its backlog so long after its first position is stopped: its rate is known."""
    sweep_limit_s: float = 120.0
    """The same in a sweep, which is not told from the first positions: of many tags those are of new ones."""
    live: tuple[System, ...] = (BASE, LEAN, ON_PRISM, BARE_LOOP, QUIX, BYTEWAX, ORIGINAL)
    rates: tuple[int, ...] = (100, 1_000, 10_000)
    settle_s: float = 10.0
    duration_s: float = 30.0
    tags: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Beside those of the backlog."""
    blinks_at_least: int = 8
    anchors: tuple[int, ...] = (4, 8, 16, 32)
    partitions: tuple[int, ...] = (2, 4)
    tasks: tuple[int, ...] = (1, 4)
    state: tuple[tuple[int, int], ...] = ((1_000, 3), (1_000, 8), (1_000, 32))
    """Tags and anchors."""
    outage_rate: int = 1_000
    outage_s: float = 60.0
    outage_limit_s: float = 90.0

    def of_tags(self, tags: int) -> Workload:
        """Return the backlog with so many tags: of the same size, unless their blinks were too few to tell."""
        return Workload(tags, max(self.readings // (tags * 3), self.blinks_at_least))

    def of_anchors(self, anchors: int) -> Workload:
        """Return the backlog with so many anchors, of the same size."""
        return Workload(TAGS, max(self.readings // (TAGS * anchors), self.blinks_at_least), anchors)

    @property
    def usual(self) -> Workload:
        """The backlog that all systems are given."""
        return self.of_tags(TAGS)


FULL = Plan()
SHORT = Plan(
    repeats=1,
    parts=("backlog", "live", "tags", "state"),
    backlog=(BASE, LEAN, BARE_LOOP, QUIX, ORIGINAL),
    readings=450_000,
    limit_s=8.0,
    live=(BASE,),
    rates=(1_000,),
    settle_s=5.0,
    duration_s=10.0,
    tags=(100_000,),
    blinks_at_least=4,
    state=((500, 8),),
)
"""Four and a half to six minutes: what :mod:`benchmarks.thresholds` asks for."""
