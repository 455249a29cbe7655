"""A real Kafka broker, the expansion service and Prism for the tests in this directory, started once for all of them.

Each test has topics of its own. Nothing is skipped: where a tool is missing, the test fails and says how to get it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from pipeline.flink_rest import Flink
from runners.direct import expansion
from runners.direct.broker import Broker
from runners.flink.cluster import FlinkCluster
from runners.processes import Child, Children, wait_until_answers
from runners.session import command_environment

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("BEAM_RTLS_TOOLS") or ROOT / ".tools")
HERE = Path(__file__).parent
DEMO = ROOT / "anchors" / "demo.yaml"
TAG = "0003FFDDEEFF0000"
# Made by hand from the contract: anchor id, 1713300000 s, one tag with its distance as a little-endian float.
HAND_MADE = [
    bytes.fromhex(f"0a02{anchor}120608a0c4fbb0061a190a10{TAG.encode().hex()}12051d{distance}")
    for anchor, distance in (
        ("4130", "f304b53f"),  # A0, 1.4142135 m
        ("4131", "f304b53f"),  # A1, 1.4142135 m
        ("4132", "bd1b0f40"),  # A2, 2.2360680 m
    )
]

SIMULATED_REASONS = {"too_few_anchors", "inconsistent_ranges", "degenerate_geometry"}
"""What lost readings and readings without line of sight lead to."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("kafka")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one test."""

    data: str
    alive: str
    positions: str
    rejected: str
    deaths: str
    events: str
    truth: str

    def flags(self) -> list[str]:
        """Return them as ``beam-rtls run`` takes them."""
        return [
            f"--data-topic={self.data}",
            f"--positions-topic={self.positions}",
            f"--rejected-topic={self.rejected}",
            f"--alive-topic={self.alive}",
            f"--out-alive-topic={self.deaths}",
            f"--events-topic={self.events}",
        ]


@dataclass(frozen=True, slots=True)
class RunPipeline:
    """Starts ``beam-rtls run`` against the test's topics; it is stopped when the test ends, or before by ``stop()``.

    A second start with the same group id takes up what the first one committed: give it ``offset="committed"``.
    """

    broker: Broker
    expansion_service: str
    prism: Path | None
    topics: Topics
    directory: Path
    children: Children

    def __call__(self, anchors: Path, *flags: str, group_id: str = "test", offset: str = "earliest") -> Child:
        arguments = [
            f"--anchors={anchors}",
            f"--bootstrap-servers={self.broker.bootstrap_servers}",
            f"--group-id={group_id}",
            f"--offset={offset}",
            *self.topics.flags(),
            "--runner=prism",
            f"--expansion-service={self.expansion_service}",
            *([f"--prism={self.prism}"] if self.prism else []),
            "--strict",
            *flags,
        ]
        return self.children.start(
            Child(
                "beam-rtls run",
                [sys.executable, "-m", "pipeline", "run", *arguments],
                self.directory / "run.log",
                env=command_environment(),
            ),
        )


@dataclass(frozen=True, slots=True)
class RunOnFlink:
    """Starts ``beam-rtls run --runner flink`` against the test's topics; the job is cancelled when the test ends."""

    broker: Broker
    flink: Flink
    worker_pool: str
    topics: Topics
    directory: Path
    children: Children

    def __call__(self, anchors: Path, *flags: str, offset: str = "earliest", code: Path = ROOT) -> Child:
        """Start it; ``code`` holds the package."""
        return self.children.start(
            Child(
                "beam-rtls run",
                [sys.executable, "-m", "pipeline", "run", *self.arguments(anchors, offset), *flags],
                self.directory / "run.log",
                env=command_environment(),
                cwd=code,
                stop_timeout_s=60.0,
                may_end=True,
            ),
        )

    def arguments(self, anchors: Path, offset: str = "earliest") -> list[str]:
        """Return what ``beam-rtls run`` is told."""
        return [
            *(f"--anchors={anchors}", f"--bootstrap-servers={self.broker.bootstrap_servers}"),
            *(f"--group-id={self.topics.data}", f"--offset={offset}", *self.topics.flags(), "--strict"),
            *("--runner=flink", f"--flink-master={self.flink.address}", f"--java-jar={tool('beam.jar')}"),
            *(f"--job-name={self.job_name}", f"--worker-pool={self.worker_pool}", "--checkpoint-interval=2"),
        ]

    @property
    def job_name(self) -> str:
        """What the test's job is called."""
        return self.topics.data

    def command(self, *arguments: str) -> dict[str, str]:
        """Run ``beam-rtls flink`` about the test's job and return what it prints."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pipeline", "flink", *arguments),
                *(f"--flink-master={self.flink.address}", f"--job-name={self.job_name}"),
            ],
            env=command_environment(),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, str] = json.loads(done.stdout)
        return told


@dataclass(frozen=True, slots=True)
class ReadTopic:
    """Reads a topic from its beginning until the records satisfy a condition, and then for ``settle_s`` more."""

    broker: Broker

    def __call__(
        self,
        topic: str,
        until: Callable[[list[Message]], bool],
        timeout_s: float,
        *,
        settle_s: float = 0.0,
        check: Callable[[], None] = lambda: None,
    ) -> list[Message]:
        """Read.

        Args:
            topic: which one.
            until: asked with all records so far.
            timeout_s: the test fails when it is not satisfied by then.
            settle_s: how long to go on afterwards, to see what should not come.
            check: called meanwhile; raises when it is no use to wait, as ``Child.check``.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap_servers,
                "group.id": f"reader-{uuid.uuid4()}",
                "enable.auto.commit": False,
            },
        )
        try:
            partitions = consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
            records: list[Message] = []
            end_s = time.monotonic() + timeout_s
            while not until(records):
                check()
                if time.monotonic() > end_s:
                    values = "\n".join(f"  {record.value()!r:.300}" for record in records[-10:])
                    pytest.fail(f"{topic}: {len(records)} records after {timeout_s:g} s do not suffice; last\n{values}")
                records += _take(consumer)
            end_s = time.monotonic() + settle_s
            while time.monotonic() < end_s:
                check()
                records += _take(consumer)
            return records
        finally:
            consumer.close()


@pytest.fixture(scope="session")
def platform() -> Iterator[Children]:
    """The processes that all tests share."""
    with Children() as children:
        yield children


@pytest.fixture(scope="session")
def broker(platform: Children, tmp_path_factory: pytest.TempPathFactory) -> Broker:
    """A Kafka broker. A test that stops it starts it again."""
    port, controller_port = free_ports(2)
    broker = Broker(tmp_path_factory.mktemp("kafka"), port, controller_port, tool("broker"))
    broker.format()
    platform.start(broker.child)
    broker.wait_ready(platform.check)
    return broker


@pytest.fixture(scope="session")
def expansion_service(platform: Children, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the expansion service, in which KafkaIO's steps run too."""
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("expansion") / "expansion.log"
    platform.start(expansion.new_expansion_service(tool("beam.jar"), port, log))
    expansion.wait_ready(port, platform.check)
    return f"localhost:{port}"


@pytest.fixture(scope="session")
def prism() -> Path | None:
    """The Prism that make built; None where there is no Go, and Beam fetches one."""
    path = TOOLS / "prism"
    return path if path.exists() else None


@pytest.fixture(scope="session")
def flink(flink_cluster: FlinkCluster) -> Flink:
    """A Flink cluster: a JobManager, and one TaskManager with two slots."""
    return Flink(flink_cluster.address)


@pytest.fixture(scope="session")
def flink_cluster(platform: Children, tmp_path_factory: pytest.TempPathFactory) -> FlinkCluster:
    """The same, as processes."""
    rest, rpc, *metrics = free_ports(4)
    directory = tmp_path_factory.mktemp("flink")
    cluster = FlinkCluster(directory, tool("flink"), rest, rpc, directory / "state", metrics_ports=metrics)
    cluster.configure()
    for child in cluster.children:
        platform.start(child)
    cluster.wait_ready(platform.check)
    return cluster


@pytest.fixture(scope="session")
def worker_pool(platform: Children, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a pool of Python workers."""
    return start_worker_pool(platform, tmp_path_factory.mktemp("pool"))[1]


def start_worker_pool(children: Children, directory: Path, code: Path = ROOT) -> tuple[Child, str]:
    """Start a worker pool, whose package is in ``code``, and return it and its address."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "pipeline", "worker-pool", f"--port={port}"]
    log = directory / "worker-pool.log"
    pool = children.start(Child("beam-rtls worker-pool", argv, log, env=command_environment(), cwd=code))
    wait_until_answers(port, 60, "the worker pool", pool.check)
    return pool, f"localhost:{port}"


@pytest.fixture
def run_on_flink(
    broker: Broker, flink: Flink, worker_pool: str, topics: Topics, tmp_path: Path
) -> Iterator[RunOnFlink]:
    """``run_on_flink(anchors, *flags)`` starts the job and returns the process that follows it."""
    with Children() as children:
        yield RunOnFlink(broker, flink, worker_pool, topics, tmp_path, children)
    for job in flink.running(topics.data):
        flink.cancel(job.id)
        flink.await_end(job.id, 60)


@pytest.fixture
def topics(broker: Broker) -> Topics:
    """Fresh topics, of one partition each."""
    return new_topics(broker)


def new_topics(broker: Broker) -> Topics:
    """Create topics that nobody else has."""
    suffix = uuid.uuid4().hex[:8]
    names = ("packet_data", "packet_alive", "out_data", "out_rejected", "out_alive", "site_events", "truth")
    topics = Topics(*(f"{name}-{suffix}" for name in names))
    broker.create_topics(astuple(topics))
    return topics


@pytest.fixture
def run_pipeline(
    broker: Broker,
    expansion_service: str,
    prism: Path | None,
    topics: Topics,
    tmp_path: Path,
) -> Iterator[RunPipeline]:
    """``run_pipeline(anchors, *flags)`` starts the pipeline and returns its process."""
    with Children() as children:
        yield RunPipeline(broker, expansion_service, prism, topics, tmp_path, children)


@pytest.fixture
def read_topic(broker: Broker) -> ReadTopic:
    """``read_topic(topic, until, timeout_s)`` returns the topic's records."""
    return ReadTopic(broker)


def publish(broker: Broker, topic: str, values: list[bytes | None]) -> None:
    """Publish values as the bridge does, and see that Kafka has them."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, key=b"protobuf")
        producer.poll(0)
    assert producer.flush(30) == 0


def _take(consumer: Consumer) -> list[Message]:
    messages: list[Message] = consumer.consume(1000, 0.1)
    return [message for message in messages if message.error() is None]


def tool(name: str) -> Path:
    """Return what make has put into the folder of tools."""
    path = TOOLS / name
    if not path.exists():
        pytest.fail(f"{path} is missing: run `make test`, or once `make jars prism`", pytrace=False)
    return path


def free_ports(count: int) -> list[int]:
    """Return different free ports; all are held until the last is found."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_port_with_next() -> int:
    """Return a free port after which there is another."""
    while True:
        (port,) = free_ports(1)
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.bind(("127.0.0.1", port + 1))
            return port
