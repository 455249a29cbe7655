"""What was measured, in the order in which it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.backlog import Backlog
from benchmarks.live import Live
from benchmarks.outage import Outage
from benchmarks.spread import Spread
from benchmarks.state import State


class Swept(NamedTuple):
    """One backlog with one thing other than usual."""

    what: str
    value: int
    backlog: Backlog


@dataclass(slots=True)
class Repeat:
    """All parts, measured once."""

    backlog: list[Backlog] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)
    swept: list[Swept] = field(default_factory=list)
    state: list[State] = field(default_factory=list)
    outage: list[Outage] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def rate(self, system: str) -> float | None:
        """Return what a system made of the backlog (readings/s); None where that is not known."""
        return next((one.readings_per_s for one in self.backlog if one.system == system), None)

    def at_rate(self, system: str, rate: int) -> Live | None:
        """Return what a system made of a steady rate; None where that was not measured."""
        return next((one for one in self.live if (one.system, one.rate) == (system, rate)), None)

    def swept_rate(self, what: str, value: int) -> float | None:
        """Return what was made of a backlog with one thing other than usual (readings/s)."""
        found = (one.backlog.readings_per_s for one in self.swept if (one.what, one.value) == (what, value))
        return next(found, None)


def ratio(
    repeats: Iterable[Repeat], of: Callable[[Repeat], float | None], to: Callable[[Repeat], float | None]
) -> Spread | None:
    """Return how one figure compares with another, each within a repeat; None where no repeat has both."""
    pairs = [(of(repeat), to(repeat)) for repeat in repeats]
    ratios = [one / other for one, other in pairs if one is not None and other]
    return Spread.of(ratios) if ratios else None


def wrong(repeats: Iterable[Repeat]) -> list[str]:
    """Return what was not correct, and what failed, a line each."""
    lines = []
    for number, repeat in enumerate(repeats, 1):
        lines += [f"repeat {number}: {text}" for text in (*_incorrect(repeat), *repeat.failed)]
    return lines


def _incorrect(repeat: Repeat) -> Iterator[str]:
    checked = (
        *((f"backlog: {one.system}", one.correct) for one in repeat.backlog),
        *((f"live: {one.system} at {one.rate:,} readings/s", one.correct) for one in repeat.live),
        *((f"backlog: {one.value:,} {one.what}", one.backlog.correct) for one in repeat.swept),
    )
    for what, correct in checked:
        if not correct.holds:
            yield f"{what}: {correct}"
    for one in repeat.outage:
        if one.caught_up_s is None:
            yield f"outage: {one.system}: late to the end, or positions never came"
