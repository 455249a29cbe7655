"""Latency, start-up and memory: readings come at a steady rate, as on a site, and are taken as they come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.feed import FeedError, Stream
from benchmarks.figures import Correctness, Latency, compare, due, latencies_ms, latency
from benchmarks.platform import START_TIMEOUT_S, Platform, Run
from benchmarks.systems import System
from benchmarks.workload import Workload

ANCHORS = 3
_BEHIND_S = 1.0
"""A system is in step while it owes the positions of no more than so long."""
_CATCH_UP_S = 60.0
_END_S = 10.0
_LOOK_S = 0.25
_AT_LEAST = 0.95
"""The share of a rate that has to reach Kafka, for a latency to be one at that rate."""


class Live(NamedTuple):
    """What one run at a steady rate gave."""

    system: str
    rate: int
    latency: Latency | None
    """None where the system could not keep up."""
    start_s: float
    memory_mb: float
    correct: Correctness


def at_rate(rate: int, at_most_s: float) -> Workload:
    """Return so many readings a second, of tags that blink once a second, for so long."""
    return Workload(max(rate // ANCHORS, 1), round(at_most_s), ANCHORS)


def measure(platform: Platform, system: System, rate: int, settle_s: float, duration_s: float) -> Live:
    """Let a system take so many readings a second; once it is in step, and has settled, measure for so long.

    Raises:
        ProcessError: it died or gave nothing.
        FeedError: the readings did not come at that rate.
    """
    workload = at_rate(rate, START_TIMEOUT_S + _CATCH_UP_S + settle_s + duration_s)
    topic = platform.input("live")
    with platform.run(system, topic, workload) as run:
        with Stream(topic, workload) as stream:
            run.await_first()
            in_step = wait_in_step(run, stream, workload)
            if in_step:
                wait(run, settle_s)
                platform.session.say(f"  {system.name} at {rate:,} readings/s: for {duration_s:g} s")
                from_ms = time.time_ns() // 1_000_000
                wait(run, duration_s)
                to_ms = time.time_ns() // 1_000_000
        fixes = stream.sent // workload.anchors
        if in_step:
            run.await_positions(fixes, _END_S, system.name)
        until_ms = time.time_ns() // 1_000_000
        memory_mb = run.memory_mb()
    positions = platform.topics.positions(run.wires.positions)
    owed = due(positions, fixes, until_ms)
    late_ms: list[int] = []
    if in_step and owed:
        arrived_ms = platform.topics.appended_ms(topic.name)
        require_rate(arrived_ms, rate, from_ms, to_ms)
        late_ms = latencies_ms(positions, arrived_ms, workload, from_ms, to_ms)
    return Live(
        system.name,
        rate,
        latency(late_ms) if late_ms else None,
        (positions[0].appended_ms - run.submitted_ms) / 1e3,
        memory_mb,
        compare(positions, workload, system.tolerance_m, owed),
    )


def require_rate(arrived_ms: Sequence[int], rate: int, from_ms: int, to_ms: int) -> None:
    """Raise where fewer readings a second reached Kafka within a time: the machine has no room for the feed.

    Raises:
        FeedError: with the rate at which they came.
    """
    came = sum(from_ms <= at_ms < to_ms for at_ms in arrived_ms) / (to_ms - from_ms) * 1e3
    if came < rate * _AT_LEAST:
        raise FeedError(f"readings came at {came:,.0f} a second instead of {rate:,}")


def wait_in_step(run: Run, stream: Stream, workload: Workload) -> bool:
    """Wait until a system has taken what gathered while it started; return whether it has in time."""
    owed = _BEHIND_S * 1e6 / workload.interval_us * workload.tags
    end_s = time.monotonic() + _CATCH_UP_S
    while stream.sent / workload.anchors - run.count() > owed:
        if time.monotonic() > end_s:
            return False
        wait(run, _LOOK_S)
    return True


def wait(run: Run, seconds: float) -> None:
    """Let time pass, as long as there is use in it."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0.0:
        run.place.check()
        time.sleep(min(left_s, _LOOK_S))
