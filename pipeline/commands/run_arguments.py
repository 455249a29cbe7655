"""The settings of ``beam-rtls run``: from flags, environment and file to one value object."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.commands.arguments import existing_file, new_parser, number, refuse_unknown_variables, server
from pipeline.commands.flink_arguments import add_flink_master
from pipeline.commands.graph_arguments import add_graph_arguments, add_live_site_arguments, graph_settings
from pipeline.commands.kafka_arguments import add_kafka_arguments, kafka_settings
from pipeline.commands.watch_arguments import add_watch_arguments, with_watches
from pipeline.settings import MAX_PARALLELISM, RUNNERS, FlinkSettings, GraphSettings, PrismSettings, RunSettings

_EXAMPLE = """\
example:
  beam-rtls run --anchors anchors/demo.yaml --bootstrap-servers broker:10920 \\
      --output-bootstrap-servers broker2:9094

on Flink, with a worker pool beside each TaskManager:
  beam-rtls run --runner flink --flink-master jobmanager:8081 --java-jar .tools/beam.jar \\
      --anchors /srv/site.yaml --bootstrap-servers broker:10920 --detach

with TLS and SASL (properties as of Kafka's Java client; stores PEM or PKCS12):
  beam-rtls run … --kafka-properties cluster.properties \\
      --kafka-property sasl.mechanism=SCRAM-SHA-512
"""

_PRISM_ONLY = ("prism",)
_FLINK_ONLY = ("java_jar", "parallelism", "savepoint", "output_jar", "detach")


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What ``beam-rtls run`` was asked."""

    anchors: str
    tag_height_m: float | None
    map_poll_s: float
    log_level: int
    start_wait_s: float
    settings: RunSettings


def parse(argv: Sequence[str]) -> RunArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    try:
        settings = RunSettings(kafka_settings(given), _graph(given), _runner(given))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return RunArguments(
        anchors=given.anchors,
        tag_height_m=given.tag_height,
        map_poll_s=given.map_poll,
        log_level=getattr(logging, given.log_level),
        start_wait_s=given.start_wait,
        settings=settings,
    )


def _graph(given: argparse.Namespace) -> GraphSettings:
    return with_watches(
        replace(graph_settings(given), data_topic=given.data_topic, alive_topic=given.alive_topic), given
    )


def _runner(given: argparse.Namespace) -> PrismSettings | FlinkSettings:
    if given.runner == "prism":
        _refuse_others(given, "flink", _FLINK_ONLY)
        return PrismSettings(expansion_service=given.expansion_service, location=given.prism)
    _refuse_others(given, "prism", _PRISM_ONLY)
    if given.java_jar is None:
        raise ValueError("--runner flink needs --java-jar FILE, the Java side (make jars builds .tools/beam.jar)")
    if given.output_jar and (given.savepoint is not None or given.parallelism or given.detach):
        raise ValueError(
            "--output-jar submits nothing; --savepoint, --parallelism and --detach are for when the jar is run"
        )
    return FlinkSettings(
        java_jar=Path(given.java_jar),
        master=given.flink_master,
        job_name=given.job_name,
        parallelism=given.parallelism,
        savepoint=given.savepoint,
        worker_pool=given.worker_pool,
        worker_processes=given.worker_processes,
        checkpoint_interval_s=given.checkpoint_interval,
        bundle_time_ms=given.bundle_time,
        bundle_size=given.bundle_size,
        output_jar=given.output_jar,
        detach=given.detach,
    )


def _refuse_others(given: argparse.Namespace, runner: str, names: Sequence[str]) -> None:
    """Refuse what only another runner understands."""
    for name in names:
        if getattr(given, name) not in (None, False):
            raise ValueError(f"--{name.replace('_', '-')} belongs to --runner {runner}")


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls run``."""
    parser = new_parser(
        "run",
        "Read UWB distance readings from Kafka, group them per tag, solve for the tag's position, write it to Kafka. "
        "Each setting is a flag, a variable of the environment (in brackets below) or a line of the --config file.",
        _EXAMPLE,
    )
    add_live_site_arguments(parser)
    add_kafka_arguments(parser)
    add_graph_arguments(parser)
    add_watch_arguments(parser)
    _add_runner(parser)
    _add_flink(parser)
    return parser


def _add_runner(parser: argparse.ArgumentParser) -> None:
    runner = parser.add_argument_group("runner")
    runner.add_argument("--runner", choices=RUNNERS, default="prism", help="the engine")
    runner.add_argument(
        "--start-wait",
        type=number(at_least=0, at_most=3600),
        default=0.0,
        metavar="S",
        help="how long to wait at the start for brokers, topics and the expansion service (s)",
    )
    runner.add_argument(
        "--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="how much to log"
    )
    prism = parser.add_argument_group("--runner prism")
    prism.add_argument(
        "--prism", type=existing_file, metavar="FILE", help="the Prism binary; Beam fetches one where not given"
    )
    prism.add_argument(
        "--expansion-service",
        type=server,
        default="localhost:8097",
        metavar="HOST:PORT",
        help="the Java expansion service (make jars builds it)",
    )


def _add_flink(parser: argparse.ArgumentParser) -> None:
    defaults = FlinkSettings(Path())
    flink = parser.add_argument_group("--runner flink")
    add_flink_master(flink)
    flink.add_argument(
        "--java-jar",
        type=existing_file,
        metavar="FILE",
        help="the Java side (make jars builds .tools/beam.jar)",
    )
    flink.add_argument(
        "--parallelism",
        type=number(at_least=1, at_most=MAX_PARALLELISM, kind=int),
        metavar="N",
        help="how many tasks work side by side; the cluster's default where not given",
    )
    flink.add_argument("--savepoint", metavar="PATH", help="resume from this savepoint or retained checkpoint")
    flink.add_argument(
        "--worker-pool",
        type=server,
        default=defaults.worker_pool,
        metavar="HOST:PORT",
        help="beam-rtls worker-pool, as each TaskManager reaches its own",
    )
    flink.add_argument(
        "--worker-processes",
        type=number(at_least=1, at_most=128, kind=int),
        default=defaults.worker_processes,
        metavar="N",
        help="Python processes of a TaskManager; at least its slots",
    )
    flink.add_argument(
        "--checkpoint-interval",
        type=number(at_least=0.1, at_most=3600),
        default=defaults.checkpoint_interval_s,
        metavar="S",
        help="time from one checkpoint to the next (s)",
    )
    flink.add_argument(
        "--bundle-time",
        type=number(at_least=1, at_most=10_000, kind=int),
        default=defaults.bundle_time_ms,
        metavar="MS",
        help="how long readings gather before they are worked on together (ms): short for latency, long for throughput",
    )
    flink.add_argument(
        "--bundle-size",
        type=number(at_least=1, at_most=1_000_000, kind=int),
        default=defaults.bundle_size,
        metavar="N",
        help="how many gather at the most",
    )
    flink.add_argument(
        "--output-jar",
        type=Path,
        metavar="FILE",
        help="write the job as a portable jar, and submit nothing",
    )
    flink.add_argument("--detach", action="store_true", help="return when the job is submitted, and leave it running")
