"""The platform of a trial: a broker, a Flink cluster of two TaskManagers, a pool of Python workers; the job on them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipeline.flink_rest import Flink, FlinkError
from runners.direct.broker import Broker
from runners.flink.cluster import FlinkCluster
from runners.processes import LOOPBACK, Child, Children, ProcessError, wait_until, wait_until_answers
from runners.session import Session
from runners.trial.ledger import DATA
from runners.trial.tap import ALIVE, DEATHS, EVENTS, POSITIONS, REJECTED

if TYPE_CHECKING:
    from typing_extensions import Self

TASK_MANAGERS = 2
SLOTS = 2
_TOPICS = (DATA, ALIVE, POSITIONS, REJECTED, DEATHS, EVENTS)
_START_TIMEOUT_S = 60.0
_COMMAND_TIMEOUT_S = 180.0
_END_TIMEOUT_S = 60.0
_RESOURCE_ID = re.compile(r"Starting TaskManager with ResourceID: (\S+)")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the processes listen."""

    kafka: int
    kafka_controller: int
    flink: int
    flink_rpc: int
    zookeeper: int
    worker_pool: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What is set up. With ``high_availability`` the job outlives the JobManager, for which it takes a ZooKeeper.

    ``run`` are more options for ``beam-rtls run``; ``topics`` more topics than the pipeline's.
    """

    job_name: str
    site: Path
    parallelism: int
    backend: str
    checkpoint_interval_s: float
    high_availability: bool
    tools: Path
    run: Sequence[str] = ()
    topics: Sequence[str] = ()


class Platform:
    """All processes of the run. Leaving the ``with`` stops them, come what may."""

    def __init__(self, session: Session, layout: Layout, ports: Ports) -> None:
        self.layout = layout
        self.directory = session.directory
        self.say = session.say
        self.meanwhile: Callable[[], object] = nothing
        """Is called over and over while something is waited for."""
        self._session = session
        self._ports = ports
        self.broker = Broker(session.directory / "kafka", ports.kafka, ports.kafka_controller, layout.tools / "broker")
        self.cluster = FlinkCluster(
            session.directory / "flink",
            layout.tools / "flink",
            ports.flink,
            ports.flink_rpc,
            session.directory / "flink-state",
            task_managers=TASK_MANAGERS,
            slots=SLOTS,
            backend=layout.backend,
            zookeeper_port=ports.zookeeper if layout.high_availability else None,
        )
        self.flink = Flink(self.cluster.address)
        self.pool = session.command("worker-pool", ("--port", str(ports.worker_pool)))
        self._run = session.command("run", self._run_arguments(), may_end=True)
        self._simulator = session.command("simulate", ())
        # Stopped in reverse: the simulator first, then the job, then what it runs on.
        self._all = [self.broker.child, *self.cluster.children, self.pool, self._run, self._simulator]
        self._children = Children()

    def __enter__(self) -> Self:
        self._children.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._children.__exit__(kind, error, trace)

    def start(self) -> None:
        """Start everything but the simulator, and submit the job.

        Raises:
            ProcessError: a process could not be started, died, or took too long.
        """
        self.broker.format()
        self.cluster.configure()
        if self.cluster.zookeeper is not None:
            self._children.start(self.cluster.zookeeper)
            self.cluster.wait_zookeeper(self.check)
        for child in (self.broker.child, self.cluster.job_manager, *self.cluster.task_managers, self.pool):
            self._children.start(child)
        self.broker.wait_ready(self.check)
        self.broker.create_topics((*_TOPICS, *self.layout.topics))
        self.wait_pool()
        self.cluster.wait_ready(self.check)
        self.say(f"Kafka and Flink are ready; Flink's web UI is at {self.flink.address}")
        self._children.start(self._run)

    def simulate(self, tags: int, more: Sequence[str]) -> None:
        """Start a stream of readings; ``more`` are options of the simulator's own."""
        arguments = (
            *("--anchors", str(self.layout.site), "--bootstrap-servers", self.broker.bootstrap_servers),
            *("--data-topic", DATA, "--alive-topic", ALIVE, "--tags", str(tags), *more),
        )
        self._simulator = self._session.command("simulate", arguments, may_end=True)
        self._children.start(self._simulator)

    def end_simulation(self) -> int:
        """End the stream of readings, and return how many it says it has sent.

        Raises:
            ProcessError: it failed, or what it sent did not reach Kafka.
        """
        signal_process(self._simulator, signal.SIGTERM)
        if self._simulator.wait(_END_TIMEOUT_S) != 0:
            self._simulator.check()
        readings: int = _last_json(self._simulator)["readings"]
        return readings

    def end_job(self) -> None:
        """Cancel the job, and see that its Python workers end with it.

        Raises:
            FlinkError: the job could not be cancelled.
            ProcessError: the workers have not ended.
        """
        job_id = self.job_id()
        self.flink.cancel(job_id)
        self.flink.await_end(job_id, _END_TIMEOUT_S)
        self.wait(lambda: not self.workers(), _END_TIMEOUT_S, "the Python workers end with the job")

    def check(self) -> None:
        """Raise when there is no use in going on. What was broken on purpose is no reason.

        Raises:
            Interrupted: asked to end.
            ProcessError: a child has died by itself.
        """
        self._session.check()
        self.meanwhile()
        for child in self._all:
            if child.pid is not None:
                child.check()

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition of the cluster, which may be out of reach meanwhile.

        Raises:
            ProcessError: ``what`` did not happen in time, or a child has died by itself.
        """

        def holds() -> bool:
            try:
                return condition()
            except FlinkError:
                return False

        wait_until(holds, timeout_s, what, self.check)

    def wait_pool(self) -> None:
        """Wait until the worker pool answers."""
        wait_until_answers(self._ports.worker_pool, _START_TIMEOUT_S, "the worker pool", self.check)

    def job_id(self) -> str:
        """Return the id of the job that has not ended.

        Raises:
            FlinkError: there is none, or the cluster is out of reach.
        """
        return self.flink.job(self.layout.job_name).id

    def operators(self) -> set[str]:
        """Return by what names the job finds its state: the ids of the tasks, each that of its first operator.

        Raises:
            FlinkError: there is no job, or the cluster is out of reach.
        """
        return {vertex["id"] for vertex in self.flink.vertices(self.job_id())}

    def restored_ms(self) -> int:
        """Return when the job was last taken up from a checkpoint or savepoint (ms since 1970); 0 where it never was.

        Raises:
            FlinkError: there is no job, or the cluster is out of reach.
        """
        latest = self.flink.checkpoints(self.job_id())["latest"]["restored"]
        return 0 if latest is None else int(latest["restore_timestamp"])

    def checkpointed_ms(self, since_ms: int) -> int | None:
        """Return when the last checkpoint was done that began after a time (ms since 1970); None where there is none.

        Raises:
            FlinkError: there is no job, or the cluster is out of reach.
        """
        latest = self.flink.checkpoints(self.job_id())["latest"]["completed"]
        if latest is None or latest["trigger_timestamp"] < since_ms:
            return None
        return int(latest["latest_ack_timestamp"])

    def busy_task_manager(self) -> Child:
        """Return a TaskManager that runs tasks of the job.

        Raises:
            ProcessError: there is none.
        """
        busy = {manager["id"] for manager in self.flink.task_managers() if manager["freeSlots"] < SLOTS}
        for child in self.cluster.task_managers:
            if child.pid is not None and _resource_id(child) in busy:
                return child
        raise ProcessError(f"no TaskManager of ours runs tasks; those that do: {', '.join(busy) or 'none'}")

    def workers(self) -> list[int]:
        """Return the process ids of the Python workers, those that the pool has forgotten among them."""
        return self.pool.followers()

    def command(self, *arguments: str) -> dict[str, str]:
        """Run ``beam-rtls flink`` about the job, and return what it tells.

        Raises:
            ProcessError: it failed.
        """
        about = ("--flink-master", self.flink.address, "--job-name", self.layout.job_name)
        child = self._session.command("flink", (*arguments, *about), may_end=True)
        self._children.start(child)
        if child.wait(_COMMAND_TIMEOUT_S) != 0:
            raise ProcessError(f"{child.name} {arguments[0]} failed; the end of {child.log}:\n{child.last_lines()}")
        return _last_json(child)

    def _run_arguments(self) -> list[str]:
        layout = self.layout
        return [
            *("--runner", "flink", "--flink-master", self.flink.address, "--job-name", layout.job_name),
            *("--java-jar", str(layout.tools / "beam.jar")),
            *("--worker-pool", f"localhost:{self._ports.worker_pool}", "--worker-processes", str(SLOTS)),
            *("--parallelism", str(layout.parallelism)),
            *("--checkpoint-interval", str(layout.checkpoint_interval_s)),
            *("--anchors", str(layout.site), "--bootstrap-servers", self.broker.bootstrap_servers),
            *("--group-id", layout.job_name, "--offset", "earliest", *layout.run),
        ]


def nothing() -> None:
    """Do nothing."""


def free_ports(first: int = 20_000, last: int = 30_000) -> Iterator[int]:
    """Return free ports that no client is given in passing: a broker has to get its own back after it was away."""
    for port in range(first, last):
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) != 0:
                yield port


def signal_process(child: Child, number: signal.Signals) -> None:
    """Send a signal to a child alone, not to what it has started."""
    if child.pid is not None:
        os.kill(child.pid, number)


def _resource_id(task_manager: Child) -> str:
    """Return by what name Flink knows a TaskManager: the last in its log, for it may have been started again."""
    found = _RESOURCE_ID.findall(task_manager.log.read_text(encoding="utf-8", errors="replace"))
    return found[-1] if found else ""


def _last_json(child: Child) -> dict[str, Any]:
    """Return the last line that a child has printed.

    Raises:
        ProcessError: it is no JSON object.
    """
    line = child.last_lines(1).strip()
    try:
        told: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ProcessError(f"{child.name}: expected JSON in the end of {child.log}, got {line!r}") from error
    return told
