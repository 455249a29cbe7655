"""Catching up: everything but Kafka stands still for a while, as when a machine is paused, and readings gather."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.feed import fill, pace
from benchmarks.live import WARM_BLINKS, at_rate
from benchmarks.platform import Platform, Run
from benchmarks.systems import System
from benchmarks.topics import Position
from benchmarks.workload import Workload

BEHIND_MS = 1000
"""A position is late where it came so long after its last reading."""
_STEADY_S = 15.0
_LOOK_S = 1.0


class Outage(NamedTuple):
    """What one outage gave."""

    system: str
    rate: int
    outage_s: float
    caught_up_s: float | None
    """From the end of the outage to the last position that was late; None where they still were in the end."""


class _EndFeedError(Exception):
    """Enough was fed."""


def measure(platform: Platform, system: System, rate: int, outage_s: float, limit_s: float) -> Outage:
    """Stop a system that names the records of its positions, let it go on, and see how long it takes.

    Raises:
        ProcessError: it died or gave nothing.
    """
    workload = at_rate(rate, _STEADY_S + outage_s + limit_s)
    topic = platform.input("outage")
    fill(topic, workload, WARM_BLINKS)
    with platform.run(system, topic, workload) as run:
        run.await_first()
        with _fed(run, workload):
            _wait(run, _STEADY_S)
            platform.session.say(f"  {system.name}: stands still for {outage_s:g} s")
            with _frozen(run):
                time.sleep(outage_s)
            began_ms = time.time_ns() // 1_000_000
            platform.session.say(f"  {system.name}: goes on")
            _wait(run, limit_s)
    arrived_ms = platform.topics.appended_ms(topic.name)[0]
    caught_up_s = caught_up(platform.topics.positions(run.wires.positions), arrived_ms, began_ms)
    return Outage(system.name, rate, outage_s, caught_up_s)


def caught_up(positions: Sequence[Position], arrived_ms: Sequence[int], began_ms: int) -> float | None:
    """Return how long after a time positions were still late (s); None where they were in the end, or where none came.

    ``arrived_ms`` are the times of all readings.
    """
    named = [(position.appended_ms, position.newest) for position in positions if position.newest is not None]
    late_ms = [at_ms for at_ms, newest in named if at_ms - arrived_ms[newest] >= BEHIND_MS]
    newest = max((newest for _, newest in named), default=-1)
    end_ms = arrived_ms[-1] - BEHIND_MS
    if newest < 0 or arrived_ms[newest] < end_ms or max(late_ms, default=0) > end_ms:
        return None
    return max((max(late_ms, default=began_ms) - began_ms) / 1e3, 0.0)


def _wait(run: Run, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        run.place.check()
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def _fed(run: Run, workload: Workload) -> Iterator[None]:
    """Feed beside what is done meanwhile."""
    done = threading.Event()

    def check() -> None:
        if done.is_set():
            raise _EndFeedError

    def feed() -> None:
        with contextlib.suppress(_EndFeedError):
            pace(run.topic, workload, WARM_BLINKS, check)

    feeder = threading.Thread(target=feed, name="feed", daemon=True)
    feeder.start()
    try:
        yield
    finally:
        done.set()
        feeder.join()


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
            os.killpg(group, signal.SIGCONT)
