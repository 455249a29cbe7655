"""What ``make faults`` can be told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import number
from runners.faults.scenario import Stream
from runners.flink.cluster import BACKENDS
from runners.trial.faults import all_faults
from runners.trial.platform import SLOTS, TASK_MANAGERS, Layout, Ports
from runners.variables import Kind, Variables, one_of, port, words

ROUNDS = 3
_JOB_NAME = "beam-rtls-faults"
_PORTS = {
    "--kafka-port": ("19092", "port of the Kafka broker"),
    "--kafka-controller-port": ("19093", "port of the Kafka broker's controller"),
    "--flink-port": ("18081", "port of Flink's web UI and REST interface"),
    "--flink-rpc-port": ("16123", "port of Flink's JobManager"),
    "--zookeeper-port": ("12181", "port of the ZooKeeper that lets the job outlive the JobManager"),
    "--worker-pool-port": ("50000", "port of the worker pool"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: ``faults`` by name, in order, as often as there are ``rounds``."""

    rounds: int
    faults: tuple[str, ...]
    seed: int
    stream: Stream
    layout: Layout
    ports: Ports


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options; a wrong one ends the program with its variable and what was expected (exit code 2)."""
    faults = all_faults(SLOTS)
    told = "; ".join(f"{fault.name}: {fault.tells}" for fault in faults)
    variables = Variables(
        "python -m runners.faults",
        f"Break the platform under the pipeline while readings stream through it: Kafka, a Flink cluster of "
        f"{TASK_MANAGERS} TaskManagers with {SLOTS} slots each, Python workers. Then hold every fix and rejection "
        f"against a bounded run over the same records. Nothing may be missing, unexpected or different; exit code 1 "
        f"where something is. The faults, each of which strikes when positions flow and a checkpoint is done: {told}.",
    )
    variables.add("--rounds", number(at_least=1, kind=int), str(ROUNDS), "how often each fault strikes")
    names = ",".join(fault.name for fault in faults)
    variables.add("--faults", _chosen(names.split(",")), names, "which faults strike, in this order, by name")
    variables.add("--site", Path, "anchors/demo.yaml", "the site map")
    variables.add("--tags", number(at_least=1, kind=int), "60", "how many tags to simulate; each gives 2 readings/s")
    variables.add("--simulate", words, "--lost-share 0.1", "more options for beam-rtls simulate")
    variables.add("--parallelism", number(at_least=1, at_most=SLOTS, kind=int), str(SLOTS), "tasks side by side")
    variables.add("--backend", one_of(*BACKENDS), "hashmap", "where Flink keeps state: hashmap (heap) or rocksdb")
    variables.add("--checkpoint-interval", number(at_least=0.1), "5", "seconds from one checkpoint to the next")
    variables.add("--seed", number(kind=int), "1", "the same seed draws the same workers to kill and times to wait")
    for flag, (default, text) in _PORTS.items():
        variables.add(flag, port, default, text)
    variables.add("--tools", Path, ".tools", "where make put jars and Flink", variable="BEAM_RTLS_TOOLS")
    given = variables.parse(argv)
    layout = Layout(
        job_name=_JOB_NAME,
        site=given.site,
        parallelism=given.parallelism,
        backend=given.backend,
        checkpoint_interval_s=given.checkpoint_interval,
        high_availability="jobmanager" in given.faults,
        tools=given.tools,
    )
    ports = Ports(
        kafka=given.kafka_port,
        kafka_controller=given.kafka_controller_port,
        flink=given.flink_port,
        flink_rpc=given.flink_rpc_port,
        zookeeper=given.zookeeper_port,
        worker_pool=given.worker_pool_port,
    )
    return Options(given.rounds, given.faults, given.seed, Stream(given.tags, given.simulate), layout, ports)


def _chosen(names: Sequence[str]) -> Kind:
    """Return a parser of some of these words, with commas between."""

    def parse_chosen(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"expected of {','.join(names)}, got {unknown[0]!r}")
        return chosen

    return parse_chosen
