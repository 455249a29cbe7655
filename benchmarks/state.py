"""State: what a checkpoint holds for each tag, once tags have been heard for longer than readings are kept in mind."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.feed import fill
from benchmarks.platform import Platform, Run
from benchmarks.systems import JOB_NAME, System
from benchmarks.workload import Workload
from pipeline.flink_rest import Flink
from runners.processes import ProcessError, wait_until

_BLINKS = 15
_LIMIT_S = 120.0
_CHECKPOINT_S = 60.0


class State(NamedTuple):
    """What one checkpoint held."""

    system: str
    tags: int
    anchors: int
    bytes_a_tag: float


def measure(platform: Platform, system: System, tags: int, anchors: int) -> State:
    """Return the size of the first checkpoint that was begun when all readings had been taken.

    Raises:
        ProcessError: the system died, gave too little, made no checkpoint, or runs on no Flink.
    """
    workload = Workload(tags, _BLINKS, anchors)
    topic = platform.input("state")
    fill(topic, workload)
    with platform.run(system, topic, workload) as run:
        if run.flink is None:
            raise ProcessError(f"{system.name} runs on no Flink, and makes no checkpoints")
        run.await_first()
        if not run.await_positions(workload.fixes, _LIMIT_S, system.name):
            raise ProcessError(f"{system.name}: not all of {workload.fixes:,} positions within {_LIMIT_S:g} s")
        size = _checkpoint_bytes(run, run.flink)
    return State(system.name, tags, anchors, size / tags)


def _checkpoint_bytes(run: Run, flink: Flink) -> int:
    since_ms = time.time_ns() // 1_000_000
    job_id = flink.job(JOB_NAME).id
    sizes: list[int] = []

    def done() -> bool:
        latest = flink.checkpoints(job_id)["latest"]["completed"]
        if latest is None or latest["trigger_timestamp"] < since_ms:
            return False
        sizes.append(int(latest["state_size"]))
        return True

    wait_until(done, _CHECKPOINT_S, "a checkpoint is done", run.place.check)
    return sizes[-1]
