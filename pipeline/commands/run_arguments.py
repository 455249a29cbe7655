"""The settings of ``beam-rtls run``: from flags, environment and file to one value object."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import existing_file, new_parser, number, refuse_unknown_variables, server
from pipeline.commands.flink_arguments import add_flink_master
from pipeline.commands.kafka_arguments import add_kafka_arguments, kafka_settings
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.positioning.trilateration import SolverSettings
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

    anchors: Path
    tag_height_m: float | None
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
        log_level=getattr(logging, given.log_level),
        start_wait_s=given.start_wait,
        settings=settings,
    )


def _graph(given: argparse.Namespace) -> GraphSettings:
    return GraphSettings(
        grouping=GroupingSettings(
            mode=GroupingMode(given.mode),
            round_wait_us=_micros(given.round_wait),
            max_reading_age_us=_micros(given.max_reading_age),
            max_lateness_us=_micros(given.max_lateness),
            tag_expiry_us=_micros(given.tag_expiry),
        ),
        solver=SolverSettings(max_residual_m=given.max_residual, max_gdop=given.max_gdop),
        data_topic=given.data_topic,
        strict=given.strict,
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
    _add_site(parser)
    add_kafka_arguments(parser)
    _add_positioning(parser)
    _add_runner(parser)
    _add_flink(parser)
    return parser


def _add_site(parser: argparse.ArgumentParser) -> None:
    site = parser.add_argument_group("site")
    site.add_argument(
        "--anchors",
        type=Path,
        required=True,
        metavar="FILE",
        help="site map: YAML, or CSV anchor_id,x,y[,z]; metres",
    )
    site.add_argument("--tag-height", type=number(), metavar="M", help="height (m) of the tags, in place of the map's")


def _add_positioning(parser: argparse.ArgumentParser) -> None:
    grouping = parser.add_argument_group("grouping (times in seconds)")
    grouping.add_argument(
        "--mode",
        choices=[mode.value for mode in GroupingMode],
        default=GroupingSettings().mode.value,
        help="round: every anchor that heard the blink; three: as soon as three distinct anchors are in",
    )
    bounds = GroupingSettings()
    for flag, default_us, longest_s, text in (
        ("--round-wait", bounds.round_wait_us, 60, "how long a round waits after its first reading"),
        ("--max-reading-age", bounds.max_reading_age_us, 600, "how far readings of a group may lie apart"),
        ("--max-lateness", bounds.max_lateness_us, 3600, "a reading further behind its tag's newest is late"),
        ("--tag-expiry", bounds.tag_expiry_us, 86400, "a tag silent for so long is forgotten"),
    ):
        limits = number(at_least=0.001, at_most=longest_s)
        grouping.add_argument(flag, type=limits, default=default_us / 1e6, metavar="S", help=text)
    solver = parser.add_argument_group("positioning")
    defaults = SolverSettings()
    solver.add_argument(
        "--max-residual",
        type=number(above=0),
        default=defaults.max_residual_m,
        metavar="M",
        help="RMS of the range residuals above which ranges do not meet",
    )
    solver.add_argument(
        "--max-gdop",
        type=number(above=0),
        default=defaults.max_gdop,
        metavar="N",
        help="horizontal dilution of precision above which the geometry is hopeless",
    )
    solver.add_argument("--strict", action="store_true", help="stop at the first unexpected error (for tests)")


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


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
