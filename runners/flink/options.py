"""What ``make run-flink`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import MAX_PORT, number, server, servers, web_address
from pipeline.settings import MAX_PARALLELISM
from runners.flink.cluster import BACKENDS
from runners.session import add_common_variables
from runners.variables import Variables, one_of, port

DEFAULT_TAGS = 100


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: a ``kafka`` or ``flink_master`` that is None is started, and 0 tags are not simulated."""

    site: Path
    duration_s: float | None
    tags: int
    mode: str
    simulate: list[str]
    parallelism: int
    backend: str
    savepoint: str | None
    kafka: str | None
    kafka_out: str | None
    flink_master: str | None
    worker_pool: str | None
    kafka_port: int
    kafka_controller_port: int
    flink_port: int
    flink_rpc_port: int
    metrics_port: int
    worker_pool_port: int
    tools: Path


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options; a wrong one ends the program with its variable and what was expected (exit code 2)."""
    variables = Variables(
        "python -m runners.flink",
        "Run the pipeline on a Flink cluster against a real Kafka and simulated tags, and watch it. Clusters that are "
        "not named are started on this machine, and stopped at the end.",
    )
    add_common_variables(variables)
    variables.add(
        "--tags",
        number(at_least=0, kind=int),
        None,
        f"how many tags to simulate, 0: none; left out, {DEFAULT_TAGS}, and none on a Kafka that was there before",
    )
    variables.add("--parallelism", number(at_least=1, at_most=MAX_PARALLELISM, kind=int), "2", "tasks side by side")
    variables.add("--backend", one_of(*BACKENDS), "hashmap", "where Flink keeps state: hashmap (heap) or rocksdb")
    variables.add("--savepoint", str, None, "resume from this savepoint or retained checkpoint")
    variables.add(
        "--kafka", servers, None, "brokers that exist, HOST:PORT; left out, one is started", "KAFKA_BOOTSTRAP"
    )
    variables.add("--kafka-out", servers, None, "brokers for the output; left out, the same", "KAFKA_OUT_BOOTSTRAP")
    variables.add("--flink-master", web_address, None, "a Flink cluster that exists; left out, one is started")
    variables.add("--worker-pool", server, None, "a worker pool that exists beside each TaskManager")
    variables.add("--flink-port", port, "18081", "port of Flink's web UI and REST interface")
    variables.add("--flink-rpc-port", port, "16123", "port of Flink's JobManager")
    variables.add(
        "--metrics-port",
        number(at_least=1, at_most=MAX_PORT - 1, kind=int),
        "19249",
        "port of the JobManager's metrics for Prometheus; the TaskManager's is the next",
    )
    variables.add("--worker-pool-port", port, "50000", "port of the worker pool")
    given = variables.parse(argv)
    if given.kafka_out and not given.kafka:
        variables.refuse("KAFKA_OUT_BOOTSTRAP is for the output of a Kafka that exists; it needs KAFKA_BOOTSTRAP")
    if given.savepoint and not given.kafka:
        variables.refuse("SAVEPOINT goes with the Kafka that it was taken on; it needs KAFKA_BOOTSTRAP")
    if given.worker_pool and not given.flink_master:
        variables.refuse("WORKER_POOL is beside the TaskManagers of a Flink that exists; it needs FLINK_MASTER")
    tags = given.tags
    if tags is None:
        tags = 0 if given.kafka else DEFAULT_TAGS
    if given.simulate and not tags:
        variables.refuse("SIMULATE is for simulated tags, and TAGS is 0; on a Kafka that exists, TAGS has to be given")
    return Options(
        site=given.site,
        duration_s=given.duration,
        tags=tags,
        mode=given.mode,
        simulate=given.simulate or [],
        parallelism=given.parallelism,
        backend=given.backend,
        savepoint=given.savepoint,
        kafka=given.kafka,
        kafka_out=given.kafka_out,
        flink_master=given.flink_master,
        worker_pool=given.worker_pool,
        kafka_port=given.kafka_port,
        kafka_controller_port=given.kafka_controller_port,
        flink_port=given.flink_port,
        flink_rpc_port=given.flink_rpc_port,
        metrics_port=given.metrics_port,
        worker_pool_port=given.worker_pool_port,
        tools=given.tools,
    )
