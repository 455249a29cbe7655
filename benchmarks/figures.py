"""What is made of what was measured: rates, latencies, and whether the positions are right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.topics import Position
from benchmarks.workload import Workload

UNTRACKED_M, TRACKED_M = 0.001, 0.25
"""How far from the truth a position may be: of a fix, and of a track, which follows turns with a lag."""
FROM, TO = 0.10, 0.95
"""The share of the positions between which a rate is taken: the start and the last few are another story."""
NEW_FOR_BLINKS = 3
"""A tag is new for so many rounds, which wait for anchors that may still come."""
PERCENTILES = (50.0, 99.0, 99.9)
FIXES_FOR_P999 = 1000
STILL_MS = 5_000
"""A system that gave a position so lately is still at work; one that did not will give no more."""


class Correctness(NamedTuple):
    """How positions compare with the truth."""

    positions: int
    expected: int
    beyond: int
    """Positions further from the truth than they may be, or of a blink that there was not."""
    disordered: int
    """Positions of a tag that came after a later one of it, or twice."""
    missing: int
    worst_m: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong and nothing is missing."""
        return self.positions > 0 and not (self.beyond or self.disordered or self.missing)


class Latency(NamedTuple):
    """From the append of a fix's last reading to the append of its position, in milliseconds."""

    p50: float
    p99: float
    p999: float | None
    """None where fixes are so few that it would be the worst of them."""
    worst: float
    fixes: int


def due(positions: Sequence[Position], fixes: int, until_ms: int) -> int:
    """Return how many positions there have to be of so many fixes, where they were waited for until a time.

    A system that had not given them all, but was still at work, is slow, and owes none; any other has lost the rest.
    """
    is_slow = len(positions) < fixes and bool(positions) and until_ms - positions[-1].appended_ms < STILL_MS
    return 0 if is_slow else fixes


def compare(
    positions: Sequence[Position], workload: Workload, tolerance_m: float, expected: int, partitions: int = 1
) -> Correctness:
    """Hold positions against the truth: in each tag's order, and at least so many as are ``expected``."""
    truth: dict[int, list[list[float]]] = {}
    latest: dict[int, int] = {}
    beyond, disordered, worst_m = 0, 0, 0.0
    for position, number, blink in _told(positions, workload, partitions):
        if number is None or not blink < workload.blinks:
            beyond += 1
            continue
        disordered += blink <= latest.get(number, -1)
        latest[number] = max(blink, latest.get(number, -1))
        if blink not in truth:
            truth[blink] = workload.places(blink).tolist()
        error_m = math.dist(truth[blink][number], (position.x_m, position.y_m))
        worst_m = max(worst_m, error_m)
        beyond += not error_m <= tolerance_m
    missing = max(expected - len(positions), 0)
    return Correctness(len(positions), expected, beyond, disordered, missing, worst_m)


def _told(
    positions: Sequence[Position], workload: Workload, partitions: int
) -> Iterator[tuple[Position, int | None, int]]:
    """Give each position with its tag's number, None for a stranger, and which blink of the tag it is of.

    That is told by the record that it names; where it names none, a tag's n-th position is of its n-th blink.
    """
    numbers = {workload.tag(number): number for number in range(workload.tags)}
    given: Counter[str] = Counter()
    for position in positions:
        blink = given[position.tag]
        given[position.tag] += 1
        if position.newest is not None:
            partition, offset = position.newest
            blink = offset // (workload.of_partition(partition, partitions) * workload.anchors)
        yield position, numbers.get(position.tag), blink


def readings_per_s(appended_ms: Sequence[int], readings_a_position: int, of_new_tags: int = 0) -> float:
    """Return the rate between two marks of the positions: behind those of new tags, so many, at any rate.

    Raises:
        ValueError: too few positions, or all at one time.
    """
    if not appended_ms:
        raise ValueError("no positions, so no rate")
    first, last = max(int(len(appended_ms) * FROM), of_new_tags), int(len(appended_ms) * TO) - 1
    took_ms = appended_ms[last] - appended_ms[first] if last > first else 0
    if took_ms <= 0:
        raise ValueError(f"{len(appended_ms)} positions, or all that count at one time: too few for a rate")
    return (last - first) * readings_a_position / (took_ms / 1e3)


def latencies_ms(
    positions: Sequence[Position], appended_ms: Sequence[int], workload: Workload, from_ms: int, to_ms: int
) -> list[int]:
    """Return the latency of each fix whose last reading was appended within a time.

    ``appended_ms`` are the times of all readings, in the order in which they were fed to one partition.
    """
    late_ms = []
    for position, number, blink in _told(positions, workload, partitions=1):
        last = (blink * workload.tags + (number or 0) + 1) * workload.anchors - 1
        if number is not None and last < len(appended_ms) and from_ms <= appended_ms[last] < to_ms:
            late_ms.append(position.appended_ms - appended_ms[last])
    return late_ms


def latency(late_ms: Sequence[int]) -> Latency:
    """Return the percentiles.

    Raises:
        ValueError: there is none.
    """
    if not late_ms:
        raise ValueError("no positions, so no latency")
    ordered = sorted(late_ms)
    p50, p99, p999 = (percentile(ordered, share) for share in PERCENTILES)
    return Latency(p50, p99, p999 if len(ordered) >= FIXES_FOR_P999 else None, ordered[-1], len(ordered))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least of ascending values that at least ``share`` percent do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * share / 100.0) - 1, 0)]
