"""Throughput: a system is given a topic that holds all readings already, and takes them as fast as it can."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.feed import Topic
from benchmarks.figures import NEW_FOR_BLINKS, Correctness, compare, due, readings_per_s
from benchmarks.platform import Platform
from benchmarks.systems import System
from benchmarks.workload import Workload


class Backlog(NamedTuple):
    """What one run with a backlog gave."""

    system: str
    readings_per_s: float
    """Between two marks of the positions, see :mod:`benchmarks.figures`."""
    whole_readings_per_s: float
    """From the start of the system to its last position."""
    start_s: float
    """From the start of the system to its first position."""
    memory_mb: float
    correct: Correctness


def measure(platform: Platform, system: System, topic: Topic, workload: Workload, limit_s: float) -> Backlog:
    """Run a system until it has taken all readings, or for so long from its first position.

    Raises:
        ProcessError: it died or gave nothing.
        ValueError: it gave too little for a rate.
    """
    with platform.run(system, topic, workload) as run:
        run.await_first()
        run.await_positions(workload.fixes, limit_s, system.name)
        until_ms = time.time_ns() // 1_000_000
        memory_mb = run.memory_mb()
    positions = platform.topics.positions(run.wires.positions)
    appended_ms = [position.appended_ms for position in positions]
    per_position = workload.readings // workload.fixes
    took_s = (appended_ms[-1] - run.submitted_ms) / 1e3
    return Backlog(
        system.name,
        readings_per_s(appended_ms, per_position, workload.tags * NEW_FOR_BLINKS),
        len(positions) * per_position / took_s,
        (appended_ms[0] - run.submitted_ms) / 1e3,
        memory_mb,
        compare(positions, workload, system.tolerance_m, due(positions, workload.fixes, until_ms), topic.partitions),
    )
