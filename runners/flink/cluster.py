"""A real Flink cluster on this machine: a JobManager and TaskManagers as processes, on the loopback interface only.

The jars are those of a Flink distribution; its shell scripts are not needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.flink_rest import Flink, FlinkUnreachableError
from runners.java import SMALL_MACHINE, java
from runners.processes import LOOPBACK, Child, ProcessError, wait_until, wait_until_answers

START_TIMEOUT_S = 90.0
BACKENDS = ("hashmap", "rocksdb")

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_REPORTER = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
_ZOOKEEPER = "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer"
# What Flink's own configuration opens to it since Java 17 (env.java.opts.all).
_OPENED = (
    *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text", "java.time"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
)
# A TaskManager's memory is laid out by Flink's scripts; without them it is said here, and made for a small machine.
_MEMORY = {
    "jobmanager.memory.process.size": "1g",
    "taskmanager.cpu.cores": "2.0",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.task.off-heap.size": "128m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} - %m%n%xEx
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.flink.name = org.apache.flink
logger.flink.level = INFO
"""


class FlinkCluster:
    """A cluster whose processes are started, stopped and killed one by one.

    Args:
        directory: takes configuration, logs and temporary files.
        distribution: the directory of Flink's jars.
        rest_port: where its REST interface and web UI are.
        rpc_port: where its parts find the JobManager.
        state: takes checkpoints and savepoints.
        task_managers: how many.
        slots: of each TaskManager.
        backend: ``hashmap`` keeps state on the heap, ``rocksdb`` on disk.
        metrics_ports: where given, JobManager and TaskManagers, in this order, each show their metrics to Prometheus
            at one of these; on all interfaces, for Flink's reporter knows no other way.
        zookeeper_port: where given, a ZooKeeper there lets jobs outlive the JobManager.
        settings: Flink's settings beside or in place of ours.
    """

    def __init__(
        self,
        directory: Path,
        distribution: Path,
        rest_port: int,
        rpc_port: int,
        state: Path,
        *,
        task_managers: int = 1,
        slots: int = 2,
        backend: str = "hashmap",
        metrics_ports: Sequence[int] = (),
        zookeeper_port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.address = f"http://{LOOPBACK}:{rest_port}"
        self._directory = directory
        self._distribution = distribution
        self._zookeeper_port = zookeeper_port
        self.metrics_addresses = [f"http://{LOOPBACK}:{port}/metrics" for port in metrics_ports]
        self._settings = {
            "jobmanager.rpc.address": LOOPBACK,
            "jobmanager.rpc.port": str(rpc_port),
            "jobmanager.bind-host": LOOPBACK,
            "taskmanager.host": LOOPBACK,
            "taskmanager.bind-host": LOOPBACK,
            "taskmanager.numberOfTaskSlots": str(slots),
            "rest.address": LOOPBACK,
            "rest.bind-address": LOOPBACK,
            "rest.port": str(rest_port),
            "io.tmp.dirs": str(directory / "tmp"),
            "web.tmpdir": str(directory / "tmp"),
            "web.upload.dir": str(state / "jars"),  # what was uploaded outlives the JobManager, for flink resume
            "state.backend.type": backend,
            "state.backend.incremental": "true",
            "state.checkpoints.dir": (state / "checkpoints").absolute().as_uri(),
            "state.savepoints.dir": (state / "savepoints").absolute().as_uri(),
            "restart-strategy.type": "exponential-delay",
            "restart-strategy.exponential-delay.initial-backoff": "1 s",
            "restart-strategy.exponential-delay.max-backoff": "10 s",
            # At low rates a buffer would wait for 100 ms to be sent; unless it is none, a thread wakes up in each task.
            "execution.buffer-timeout.interval": "0 ms",
            # A TaskManager that is gone is given up after seconds, not after Flink's default of 50.
            "heartbeat.interval": "2000",
            "heartbeat.timeout": "10000",
            **_MEMORY,
            **({"metrics.reporter.prom.factory.class": _REPORTER} if metrics_ports else {}),
            **({} if zookeeper_port is None else _high_availability(zookeeper_port, state)),
            **(settings or {}),
        }
        self.zookeeper = None if zookeeper_port is None else self._zookeeper(zookeeper_port)
        self.job_manager = self._java(
            "the Flink JobManager",
            [
                "-Xmx512m",
                *self._jvm(),
                _JOB_MANAGER,
                *self._configured(metrics_ports[:1]),
                "--executionMode",
                "cluster",
            ],
            "jobmanager.log",
        )
        self.task_managers = [
            self._java(
                f"Flink TaskManager {number}",
                [
                    *("-Xmx640m", "-XX:MaxDirectMemorySize=384m", *self._jvm()),
                    *(_TASK_MANAGER, *self._configured(metrics_ports[number : number + 1])),
                ],
                f"taskmanager-{number}.log",
            )
            for number in range(1, task_managers + 1)
        ]

    @property
    def children(self) -> list[Child]:
        """All its processes, in the order of their start."""
        first = [] if self.zookeeper is None else [self.zookeeper]
        return [*first, self.job_manager, *self.task_managers]

    def configure(self) -> None:
        """Write the configuration.

        Raises:
            ProcessError: the distribution is missing.
        """
        for jar in ("flink-dist", "flink-metrics-prometheus"):
            if not any(self._distribution.glob(f"{jar}-*.jar")):
                raise ProcessError(f"{self._distribution} has no {jar} in it; `make flink` fetches it")
        (self._directory / "tmp").mkdir(parents=True, exist_ok=True)
        # JSON is YAML, with nothing left to guess.
        (self._directory / "config.yaml").write_text(json.dumps(self._settings, indent=1), encoding="utf-8")
        (self._directory / "log4j.properties").write_text(_LOGGING, encoding="utf-8")

    def wait_ready(self, check: Callable[[], None]) -> None:
        """Wait until the JobManager answers and knows all TaskManagers.

        Raises:
            ProcessError: it took too long. Whatever ``check`` raises.
        """
        flink = Flink(self.address)

        def complete() -> bool:
            try:
                found: int = flink.overview()["taskmanagers"]
            except FlinkUnreachableError:
                return False
            return found >= len(self.task_managers)

        wait_until(complete, START_TIMEOUT_S, "the Flink cluster is complete", check)

    def wait_zookeeper(self, check: Callable[[], None]) -> None:
        """Wait until ZooKeeper answers, where there is one.

        Raises:
            ProcessError: it took too long. Whatever ``check`` raises.
        """
        if self._zookeeper_port is not None:
            wait_until_answers(self._zookeeper_port, START_TIMEOUT_S, "ZooKeeper", check)

    def _java(self, name: str, arguments: list[str], log: str) -> Child:
        # Flink would take more jars and settings from these.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FLINK_")}
        return Child(name, [java(), *arguments], self._directory / log, env=environment)

    def _jvm(self) -> list[str]:
        return [
            *SMALL_MACHINE,
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            f"-Djava.io.tmpdir={(self._directory / 'tmp').absolute()}",
            f"-Dlog4j.configurationFile={(self._directory / 'log4j.properties').absolute()}",
            *("-cp", str(self._distribution / "*")),
        ]

    def _configured(self, metrics_ports: Sequence[int]) -> list[str]:
        ports = (f"-Dmetrics.reporter.prom.port={port}" for port in metrics_ports)
        return ["--configDir", str(self._directory), *ports]

    def _zookeeper(self, port: int) -> Child:
        settings = self._directory / "zoo.cfg"
        data = self._directory / "zookeeper"
        data.mkdir(parents=True, exist_ok=True)
        lines = (
            f"dataDir={data}",
            f"clientPort={port}",
            f"clientPortAddress={LOOPBACK}",
            "admin.enableServer=false",
            "tickTime=2000",
        )
        settings.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return self._java(
            "ZooKeeper",
            ["-Xmx128m", *self._jvm(), _ZOOKEEPER, "--zkConfigFile", str(settings), "--peerId", "1"],
            "zookeeper.log",
        )


def _high_availability(zookeeper_port: int, state: Path) -> dict[str, str]:
    return {
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{LOOPBACK}:{zookeeper_port}",
        # A JobManager that is gone is found to be so after this long; 60 s by default.
        "high-availability.zookeeper.client.session-timeout": "10000",
        "high-availability.storageDir": (state / "ha").absolute().as_uri(),
    }
