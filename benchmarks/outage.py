"""Catching up: everything but Kafka stands still for a while, as when a machine is paused, and readings gather."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.feed import Stream
from benchmarks.live import at_rate, wait, wait_in_step
from benchmarks.platform import START_TIMEOUT_S, Platform, Run
from benchmarks.systems import System
from benchmarks.topics import Position
from runners.processes import ProcessError

BEHIND_MS = 2000
"""A position is late where it came so long after its last reading."""
_STEADY_S = 15.0


class Outage(NamedTuple):
    """What one outage gave."""

    system: str
    rate: int
    outage_s: float
    caught_up_s: float | None
    """From the end of the outage to the last late position; None where they were late in the end, or one never came."""


def measure(platform: Platform, system: System, rate: int, outage_s: float, limit_s: float) -> Outage:
    """Stop a system that names the records of its positions, let it go on, and see how long it takes.

    Raises:
        ProcessError: it died, gave nothing, or could not keep up from the start.
        FeedError: Kafka did not take the readings.
    """
    workload = at_rate(rate, START_TIMEOUT_S + outage_s + limit_s + 2.0 * _STEADY_S)
    topic = platform.input("outage")
    with platform.run(system, topic, workload) as run, Stream(topic, workload) as stream:
        run.await_first()
        if not wait_in_step(run, stream, workload):
            raise ProcessError(f"{system.name} cannot keep up with {rate:,} readings/s")
        wait(run, _STEADY_S)
        platform.session.say(f"  {system.name}: stands still for {outage_s:g} s")
        with _frozen(run):
            wait(run, outage_s)
        began_ms = time.time_ns() // 1_000_000
        platform.session.say(f"  {system.name}: goes on")
        wait(run, limit_s)
    arrived_ms = platform.topics.appended_ms(topic.name)
    positions = platform.topics.positions(run.wires.positions)
    return Outage(system.name, rate, outage_s, caught_up(positions, arrived_ms, workload.anchors, began_ms))


def caught_up(positions: Sequence[Position], arrived_ms: Sequence[int], anchors: int, began_ms: int) -> float | None:
    """Return how long after a time positions were still late (s); None where they were in the end, or one never came.

    ``arrived_ms`` are the times of all readings, of which so many make a fix. What was sent again is not late again.
    """
    came_ms: dict[int, int] = {}
    for position in positions:
        if position.newest is not None:
            came_ms.setdefault(position.newest[1] // anchors, position.appended_ms)
    end_ms = arrived_ms[-1] - BEHIND_MS
    latest_ms = began_ms
    for fix, read_ms in enumerate(arrived_ms[anchors - 1 :: anchors]):
        at_ms = came_ms.get(fix)
        if at_ms is None and read_ms <= end_ms:
            return None
        if at_ms is not None and at_ms - read_ms >= BEHIND_MS:
            latest_ms = max(latest_ms, at_ms)
    return None if latest_ms > end_ms else (latest_ms - began_ms) / 1e3


@contextlib.contextmanager
def _frozen(run: Run) -> Iterator[None]:
    """Stop all processes of a system, which lead groups of their own, and let them go on."""
    groups = [child.pid for child in run.processes if child.pid is not None]
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):  # it died meanwhile; the others are let go on
                os.killpg(group, signal.SIGCONT)
