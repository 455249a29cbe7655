"""The faults: what is broken, and how the platform is made whole again."""

from __future__ import annotations

import os
import random
import signal
import time
from abc import ABC, abstractmethod

from runners.processes import Child, ProcessError
from runners.trial.platform import TASK_MANAGERS, Platform

_COMPLETE_TIMEOUT_S = 90.0
_END_TIMEOUT_S = 30.0
_NEWBORN_TIMEOUT_S = 60.0


class Fault(ABC):
    """One way in which a platform breaks."""

    name: str
    """What it is called on the command line and in the table."""
    tells: str
    """What happens, in a few words."""
    restarts: bool = True
    """Whether the job has to be taken up again from a checkpoint or savepoint."""
    repeats: bool = True
    """Whether fixes may come again after it: those between the checkpoint and the fault."""

    @abstractmethod
    def strike(self, platform: Platform, dice: random.Random) -> int:
        """Break something, start again what does not start by itself, and return the instant of the fault (ms).

        Raises:
            ProcessError, FlinkError: it could not be done.
        """

    def mend(self, platform: Platform) -> None:  # noqa: B027  (most are mended when they have struck)
        """Make the platform whole again, once the job is back at work without what was broken."""


class TaskManagerKilled(Fault):
    """The job has to go on on the other TaskManager."""

    name = "taskmanager"
    tells = "kill -9 of a TaskManager that runs tasks; another takes its place later"

    def __init__(self) -> None:
        self._killed: Child | None = None

    def strike(self, platform: Platform, dice: random.Random) -> int:  # noqa: ARG002
        """Kill one that runs tasks."""
        self._killed = platform.busy_task_manager()
        self._killed.kill()
        return now_ms()

    def mend(self, platform: Platform) -> None:
        """Start another in its place."""
        assert self._killed is not None
        self._killed.start()
        platform.wait(
            lambda: bool(platform.flink.overview()["taskmanagers"] == TASK_MANAGERS),
            _COMPLETE_TIMEOUT_S,
            f"Flink knows {TASK_MANAGERS} TaskManagers again",
        )


class WorkerKilled(Fault):
    """The TaskManager is there, and the Python behind it is not."""

    name = "worker"
    tells = "kill -9 of a Python worker"

    def strike(self, platform: Platform, dice: random.Random) -> int:
        """Kill any one."""
        workers = platform.workers()
        if not workers:
            raise ProcessError("there is no Python worker to kill")
        os.kill(dice.choice(workers), signal.SIGKILL)
        return now_ms()


class NewbornKilled(WorkerKilled):
    """The TaskManager waits for a worker that will never come."""

    name = "newborn"
    tells = "kill -9 of a Python worker, and of the one that takes its place before it has connected"

    def strike(self, platform: Platform, dice: random.Random) -> int:
        """Kill one, wait for the next, and kill that."""
        before = set(platform.workers())
        struck_ms = super().strike(platform, dice)
        platform.wait(lambda: bool(set(platform.workers()) - before), _NEWBORN_TIMEOUT_S, "another worker is started")
        os.kill((set(platform.workers()) - before).pop(), signal.SIGKILL)
        return struck_ms


class PoolKilled(Fault):
    """As when the container beside the TaskManager dies: the pool and all its workers at once."""

    name = "pool"
    tells = "kill -9 of the worker pool and all its workers; it is started again"

    def strike(self, platform: Platform, dice: random.Random) -> int:  # noqa: ARG002
        """Kill and start."""
        platform.pool.kill()
        struck_ms = now_ms()
        platform.pool.start()
        platform.wait_pool()
        return struck_ms


class BrokerStopped(Fault):
    """Neither readings nor positions can be taken while it is away."""

    name = "broker"
    tells = "the Kafka broker is stopped and started again"
    restarts = False

    def strike(self, platform: Platform, dice: random.Random) -> int:  # noqa: ARG002
        """Stop and start."""
        self._end(platform.broker.child)
        struck_ms = now_ms()
        platform.broker.child.start()
        platform.broker.wait_ready(platform.check)
        return struck_ms

    def _end(self, broker: Child) -> None:
        broker.stop()


class BrokerKilled(BrokerStopped):
    """The same without a word to its clients, nor to its disk."""

    name = "broker-kill"
    tells = "kill -9 of the Kafka broker; it is started again"

    def _end(self, broker: Child) -> None:
        broker.kill()


class JobManagerKilled(Fault):
    """The job has to be found again by the next JobManager, under the same id."""

    name = "jobmanager"
    tells = "kill -9 of the JobManager; it is started again"

    def strike(self, platform: Platform, dice: random.Random) -> int:  # noqa: ARG002
        """Kill and start."""
        job_id = platform.job_id()
        platform.cluster.job_manager.kill()
        struck_ms = now_ms()
        platform.cluster.job_manager.start()
        platform.wait(lambda: platform.job_id() == job_id, _COMPLETE_TIMEOUT_S, f"job {job_id} is there again")
        return struck_ms


class Resumed(Fault):
    """No fault but what an operator does, and nothing may come again for it."""

    repeats = False

    def __init__(self, name: str, parallelism: int) -> None:
        self.name = name
        self.tells = f"stop with a savepoint, resume at parallelism {parallelism}"
        self._parallelism = parallelism

    def strike(self, platform: Platform, dice: random.Random) -> int:  # noqa: ARG002
        """Stop and resume."""
        operators, struck_ms = platform.operators(), now_ms()
        stopped = platform.command("stop", "--with-savepoint")
        platform.wait(
            lambda: platform.flink.job("", stopped["job_id"]).ended,
            _END_TIMEOUT_S,
            f"job {stopped['job_id']} has ended",
        )
        platform.command("resume", "--from", stopped["savepoint"], "--parallelism", str(self._parallelism))
        if platform.operators() != operators:
            raise ProcessError("the resumed job has operators of other names: some state went to another, or to none")
        return struck_ms


def all_faults(parallelism: int) -> list[Fault]:
    """Return every fault, in the order in which they strike."""
    return [
        TaskManagerKilled(),
        WorkerKilled(),
        NewbornKilled(),
        BrokerStopped(),
        PoolKilled(),
        Resumed("narrow", 1),
        Resumed("widen", parallelism),
        BrokerKilled(),
        JobManagerKilled(),
    ]


def now_ms() -> int:
    """Return the time as the broker on this machine has it."""
    return time.time_ns() // 1_000_000
