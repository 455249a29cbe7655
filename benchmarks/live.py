"""Latency, start-up and memory: readings come at a steady rate, as on a site, and are taken as they come."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.feed import fill, pace
from benchmarks.figures import Correctness, Latency, compare, latencies_ms, latency
from benchmarks.platform import Platform
from benchmarks.systems import System
from benchmarks.workload import Workload

BLINK_US = 1_000_000
ANCHORS = 3
WARM_BLINKS = 5
"""Blinks of each tag that are there before the system starts: with them it gets to know the tags and their anchors."""
_SETTLE_BLINKS = 3
_CATCH_UP_S = 10.0
"""A system that is this far behind in the end cannot keep up."""
_FED_SHARE = 0.9
"""Of the rate asked for, what Kafka has to have got at the least."""


class Live(NamedTuple):
    """What one run at a steady rate gave."""

    system: str
    rate: int
    latency: Latency | None
    """None where the system could not keep up."""
    start_s: float
    memory_mb: float
    correct: Correctness


def at_rate(rate: int, duration_s: float) -> Workload:
    """Return so many readings a second, of tags that blink once a second, for so long."""
    return Workload(max(rate // ANCHORS, 1), WARM_BLINKS + _SETTLE_BLINKS + round(duration_s), ANCHORS, BLINK_US)


def measure(platform: Platform, system: System, rate: int, duration_s: float) -> Live:
    """Let a system take so many readings a second for so long.

    Raises:
        ProcessError: it died or gave nothing.
        FeedError: the readings could not be produced at that rate, so nothing was measured.
    """
    workload = at_rate(rate, duration_s)
    topic = platform.input("live")
    fill(topic, workload, WARM_BLINKS)
    with platform.run(system, topic, workload) as run:
        run.await_first()
        what = f"{system.name} at {rate:,} readings/s"
        run.await_positions(workload.tags * WARM_BLINKS, _CATCH_UP_S, what)
        platform.session.say(f"  {what}: for {duration_s:g} s")
        fed = pace(topic, workload, WARM_BLINKS, run.place.check)
        if fed < _FED_SHARE * workload.tags * workload.anchors:
            platform.session.say(f"  {what}: only {fed:,.0f} readings/s could be produced")
        kept_up = run.await_positions(workload.fixes, _CATCH_UP_S, what)
        memory_mb = run.memory_mb()
    positions = platform.topics.positions(run.wires.positions)
    correct = compare(positions, workload, system.tolerance_m, complete=kept_up)
    late_ms = latencies_ms(
        positions, platform.topics.appended_ms(topic.name)[0], workload, WARM_BLINKS + _SETTLE_BLINKS
    )
    return Live(
        system.name,
        rate,
        latency(late_ms) if kept_up and late_ms else None,
        (positions[0].appended_ms - run.submitted_ms) / 1e3,
        memory_mb,
        correct,
    )
