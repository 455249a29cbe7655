"""What a release has to keep: how the pipeline compares with others in the same run, its latency, and its state.

Ratios and state hold on any machine. The bounds of latency are what the project's owner asks for, on the machine that
it is measured on: they tell something only where that has nothing else to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.plan import BARE_LOOP, BASE, LEAN, ORIGINAL, QUIX, TAGS
from benchmarks.results import Repeat, ratio
from benchmarks.spread import Spread

MANY_TAGS = 100_000
STATE_ANCHORS = 8
LIVE_RATE = 1_000
"""Readings/s at which latency is held to bounds. Tags are known by then, so no round waits for ``round_wait``."""
P50_MS, P99_MS = 150.0, 400.0


class Threshold(NamedTuple):
    """A figure, and what it has to be; at the most where ``least`` is false."""

    name: str
    bound: float
    of: Callable[[Sequence[Repeat]], Spread | None]
    least: bool = True


class Verdict(NamedTuple):
    """What came of one threshold."""

    name: str
    found: Spread | None
    bound: float
    least: bool

    @property
    def holds(self) -> bool:
        """Whether the median is within the bound; what was not measured does not hold."""
        if self.found is None:
            return False
        return self.found.median >= self.bound if self.least else self.found.median <= self.bound


def judge(repeats: Sequence[Repeat]) -> list[Verdict]:
    """Hold what was measured against all thresholds."""
    return [Verdict(one.name, one.of(repeats), one.bound, one.least) for one in THRESHOLDS]


def _to(system: str, other: str) -> Callable[[Sequence[Repeat]], Spread | None]:
    return lambda repeats: ratio(repeats, lambda repeat: repeat.rate(system), lambda repeat: repeat.rate(other))


def _many_tags(repeats: Sequence[Repeat]) -> Spread | None:
    return ratio(repeats, lambda repeat: repeat.swept_rate("tags", MANY_TAGS), lambda repeat: repeat.rate(BASE.name))


def _p50_ms(repeat: Repeat) -> float | None:
    live = repeat.at_rate(BASE.name, LIVE_RATE)
    return live.latency.p50 if live is not None and live.latency is not None else None


def _p99_ms(repeat: Repeat) -> float | None:
    live = repeat.at_rate(BASE.name, LIVE_RATE)
    return live.latency.p99 if live is not None and live.latency is not None else None


def _each(of: Callable[[Repeat], float | None]) -> Callable[[Sequence[Repeat]], Spread | None]:
    """Return what gives a figure's spread; none where a repeat is without it, as where a system could not keep up."""

    def spread(repeats: Sequence[Repeat]) -> Spread | None:
        found = [value for value in map(of, repeats) if value is not None]
        return Spread.of(found) if found and len(found) == len(repeats) else None

    return spread


def _state(repeats: Sequence[Repeat]) -> Spread | None:
    sizes = [one.bytes_a_tag for repeat in repeats for one in repeat.state if one.anchors == STATE_ANCHORS]
    return Spread.of(sizes) if sizes else None


THRESHOLDS = (
    Threshold(f"{BASE.name} / {BARE_LOOP.name}", 0.30, _to(BASE.name, BARE_LOOP.name)),
    Threshold(f"{LEAN.name} / {BARE_LOOP.name}", 0.45, _to(LEAN.name, BARE_LOOP.name)),
    Threshold(f"{LEAN.name} / {QUIX.name}", 1.5, _to(LEAN.name, QUIX.name)),
    Threshold(f"{LEAN.name} / {ORIGINAL.name}", 40.0, _to(LEAN.name, ORIGINAL.name)),
    Threshold(f"{MANY_TAGS:,} tags / {TAGS} tags", 0.5, _many_tags),
    Threshold(f"latency at {LIVE_RATE:,} readings/s, p50, ms", P50_MS, _each(_p50_ms), least=False),
    Threshold(f"latency at {LIVE_RATE:,} readings/s, p99, ms", P99_MS, _each(_p99_ms), least=False),
    Threshold(f"state, bytes a tag with {STATE_ANCHORS} anchors", 2048.0, _state, least=False),
)
