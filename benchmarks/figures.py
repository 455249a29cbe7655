"""What is made of what was measured: rates, latencies, and whether the positions are right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.topics import Position
from benchmarks.workload import Workload

UNTRACKED_M, TRACKED_M = 0.001, 0.25
"""How far from the truth a position may be: of a fix, and of a track, which follows turns with a lag."""
FROM, TO = 0.10, 0.95
"""The share of the positions between which a rate is taken: the start and the last few are another story."""
PERCENTILES = (50.0, 99.0, 99.9)


class Correctness(NamedTuple):
    """How positions compare with the truth. Tags are compared position by position, in their order."""

    positions: int
    expected: int
    beyond: int
    """Positions further from the truth than they may be, or of a blink that there was not."""
    missing: int
    worst_m: float

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong and nothing is missing."""
        return self.positions > 0 and not self.beyond and not self.missing


class Latency(NamedTuple):
    """From the append of a fix's last reading to the append of its position, in milliseconds."""

    p50: float
    p99: float
    p999: float
    worst: float
    fixes: int


def compare(positions: Sequence[Position], workload: Workload, tolerance_m: float, expected: int) -> Correctness:
    """Hold positions against the truth: in each tag's order, and at least so many as are ``expected``."""
    numbers = {workload.tag(number): number for number in range(workload.tags)}
    truth: list[list[list[float]]] = []
    given: Counter[str] = Counter()
    beyond, worst_m = 0, 0.0
    for position in positions:
        number, blink = numbers.get(position.tag), given[position.tag]
        given[position.tag] += 1
        if number is None or blink >= workload.blinks:
            beyond += 1
            continue
        if blink == len(truth):
            truth.append(workload.places(blink).tolist())
        error_m = math.dist(truth[blink][number], (position.x_m, position.y_m))
        worst_m = max(worst_m, error_m)
        beyond += not error_m <= tolerance_m
    return Correctness(len(positions), expected, beyond, max(expected - len(positions), 0), worst_m)


def readings_per_s(appended_ms: Sequence[int], readings_a_position: int) -> float:
    """Return the rate between two marks of the positions.

    Raises:
        ValueError: too few positions, or all at one time.
    """
    if not appended_ms:
        raise ValueError("no positions, so no rate")
    first, last = int(len(appended_ms) * FROM), int(len(appended_ms) * TO) - 1
    took_ms = appended_ms[last] - appended_ms[first] if last > first else 0
    if took_ms <= 0:
        raise ValueError(f"{len(appended_ms)} positions came at one time: too few for a rate")
    return (last - first) * readings_a_position / (took_ms / 1e3)


def latencies_ms(
    positions: Sequence[Position], appended_ms: Sequence[int], workload: Workload, from_ms: int, to_ms: int
) -> list[int]:
    """Return the latency of each fix whose last reading was appended within a time.

    A tag's n-th position is that of its n-th blink, which :func:`compare` has found to be so; ``appended_ms`` are the
    times of all readings, in the order in which they were fed.
    """
    numbers = {workload.tag(number): number for number in range(workload.tags)}
    given: Counter[str] = Counter()
    late_ms = []
    for position in positions:
        fix = given[position.tag] * workload.tags + numbers[position.tag]
        given[position.tag] += 1
        newest_ms = appended_ms[(fix + 1) * workload.anchors - 1]
        if from_ms <= newest_ms < to_ms:
            late_ms.append(position.appended_ms - newest_ms)
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
    return Latency(p50, p99, p999, ordered[-1], len(ordered))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least of ascending values that at least ``share`` percent do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * share / 100.0) - 1, 0)]
