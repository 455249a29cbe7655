"""A real Kafka broker of one node (KRaft), on the loopback interface only; not for production.

Topics stamp records with the time of their append (LogAppendTime), which the pipeline's notion of waiting stands on.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from runners.java import SMALL_MACHINE, java
from runners.processes import LOOPBACK, Child, ProcessError, wait_until, wait_until_answers

START_TIMEOUT_S = 60.0
ADMIN_TIMEOUT_S = 15.0
CLUSTER_ID = "beam-rtls-local-broker"  # 22 characters, as Kafka wants it
TOPIC_CONFIG = {"message.timestamp.type": "LogAppendTime"}


class Broker:
    """A broker whose data outlives ``stop()``: after another ``start()`` all records are there again.

    Args:
        directory: takes the settings, the data and the log file.
        port: where clients connect.
        controller_port: where the broker talks to itself.
        jars: the directory of its jars.
        settings: broker settings beside or in place of ours.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        controller_port: int,
        jars: Path,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        self._directory = directory
        self._port = port
        self._controller_port = controller_port
        self._settings = directory / "server.properties"
        self._more = dict(settings or {})
        self._java = [
            java(),
            "-Xmx512m",
            *SMALL_MACHINE,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            str(jars / "*"),
        ]
        self.child = Child("the Kafka broker", [*self._java, "kafka.Kafka", str(self._settings)], directory / "log.txt")

    def start(self) -> None:
        """Start it, and return when it answers.

        Raises:
            ProcessError: it cannot be started, died, or took too long.
        """
        self.format()
        self.child.start()
        self.wait_ready(self.child.check)

    def stop(self) -> None:
        """Stop it; the data stays."""
        self.child.stop()

    def format(self) -> None:
        """Write its settings and make its data directory, where there is none yet.

        Raises:
            ProcessError: Java is missing, or Kafka's own tool failed.
        """
        data = self._directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(_settings(data, self._port, self._controller_port, self._more), encoding="utf-8")
        if (data / "meta.properties").exists():
            return
        if shutil.which(self._java[0]) is None:
            raise ProcessError(f"{self._java[0]} is missing: install Java 17 or later")
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._settings)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessError(f"the Kafka broker's directory could not be formatted:\n{done.stdout}{done.stderr}")

    def wait_ready(self, check: Callable[[], None]) -> None:
        """Wait until it answers.

        Raises:
            ProcessError: it took too long. Whatever ``check`` raises.
        """
        wait_until_answers(self._port, START_TIMEOUT_S, "the Kafka broker", check)
        admin = self._admin()
        wait_until(lambda: _answers(admin), START_TIMEOUT_S, "the Kafka broker answers", check)

    def create_topics(self, names: Iterable[str], partitions: int = 1) -> None:
        """Create topics.

        Raises:
            ProcessError: one could not be created.
        """
        topics = [NewTopic(name, partitions, 1, config=TOPIC_CONFIG) for name in names]
        admin = self._admin()  # held by name: its requests die with it
        try:
            for created in admin.create_topics(topics, operation_timeout=ADMIN_TIMEOUT_S).values():
                created.result(ADMIN_TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            raise ProcessError(f"a topic could not be created: {error}") from error

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def _settings(data: Path, port: int, controller_port: int, more: Mapping[str, str]) -> str:
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "log.message.timestamp.type": "LogAppendTime",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # One node keeps one copy of everything.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        **more,
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())
