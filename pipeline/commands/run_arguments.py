"""The settings of ``beam-rtls run``: from flags, environment and file to one value object."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import javaproperties

from pipeline.commands.arguments import (
    existing_file,
    kafka_property,
    new_parser,
    number,
    refuse_unknown_variables,
    server,
    servers,
)
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.positioning.trilateration import SolverSettings
from pipeline.settings import OFFSETS, RUNNERS, GraphSettings, KafkaSettings, RunnerSettings, RunSettings

_EXAMPLE = """\
example:
  beam-rtls run --anchors anchors/demo.yaml --bootstrap-servers broker:10920 \\
      --output-bootstrap-servers broker2:9094

with TLS and SASL (properties as of Kafka's Java client; stores PEM or PKCS12):
  beam-rtls run … --kafka-properties cluster.properties \\
      --kafka-property sasl.mechanism=SCRAM-SHA-512
"""


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
        settings = RunSettings(_kafka(given), _graph(given), _runner(given))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return RunArguments(
        anchors=given.anchors,
        tag_height_m=given.tag_height,
        log_level=getattr(logging, given.log_level),
        start_wait_s=given.start_wait,
        settings=settings,
    )


def _kafka(given: argparse.Namespace) -> KafkaSettings:
    properties = _properties(given.kafka_properties, given.kafka_property)
    output_properties = properties
    if given.output_kafka_properties or given.output_kafka_property:
        output_properties = _properties(given.output_kafka_properties, given.output_kafka_property)
    return KafkaSettings(
        bootstrap_servers=given.bootstrap_servers,
        output_bootstrap_servers=given.output_bootstrap_servers or given.bootstrap_servers,
        group_id=given.group_id,
        offset=given.offset,
        data_topic=given.data_topic,
        positions_topic=given.positions_topic,
        rejected_topic=given.rejected_topic,
        properties=MappingProxyType(properties),
        output_properties=MappingProxyType(output_properties),
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


def _runner(given: argparse.Namespace) -> RunnerSettings:
    return RunnerSettings(
        runner=given.runner,
        expansion_service=given.expansion_service,
        prism_location=given.prism,
    )


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls run``."""
    parser = new_parser(
        "run",
        "Read UWB distance readings from Kafka, group them per tag, solve for the tag's position, write it to Kafka. "
        "Each setting is a flag, a variable of the environment (in brackets below) or a line of the --config file.",
        _EXAMPLE,
    )
    _add_site(parser)
    _add_kafka(parser)
    _add_positioning(parser)
    _add_runner(parser)
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


def _add_kafka(parser: argparse.ArgumentParser) -> None:
    kafka = parser.add_argument_group("Kafka")
    kafka.add_argument("--bootstrap-servers", type=servers, required=True, metavar="HOST:PORT", help="input brokers")
    kafka.add_argument(
        "--output-bootstrap-servers",
        type=servers,
        metavar="HOST:PORT",
        help="output brokers; the input brokers where not given",
    )
    kafka.add_argument(
        "--group-id",
        default="beam-rtls",
        metavar="NAME",
        help="consumer group that holds where the run started; one run a group",
    )
    kafka.add_argument(
        "--offset",
        choices=OFFSETS,
        default="latest",
        help="where a first start reads from; committed: where this group was last started",
    )
    kafka.add_argument("--data-topic", metavar="NAME", default="packet_data", help="readings in")
    kafka.add_argument("--positions-topic", metavar="NAME", default="out_data", help="positions out")
    kafka.add_argument(
        "--rejected-topic", metavar="NAME", default="out_rejected", help="what gave no position, with the reason"
    )
    for prefix, file, single in (
        ("", "properties file for the Kafka client", "one property, in place of the file's; repeatable"),
        ("output-", "likewise for the output; the input's where the output has none", "likewise for the output"),
    ):
        kafka.add_argument(f"--{prefix}kafka-properties", type=Path, metavar="FILE", help=file)
        kafka.add_argument(
            f"--{prefix}kafka-property",
            type=kafka_property,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=single,
        )


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
        "--prism", type=existing_file, metavar="FILE", help="the Prism binary; Beam fetches one where not given"
    )
    runner.add_argument(
        "--expansion-service",
        type=server,
        default="localhost:8097",
        metavar="HOST:PORT",
        help="the Java expansion service (make jars builds it)",
    )
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


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def _properties(file: Path | None, single: Sequence[tuple[str, str]]) -> dict[str, str]:
    properties: dict[str, str] = {}
    if file is not None:
        properties = javaproperties.loads(file.read_text(encoding="utf-8"))
        for key, value in properties.items():
            if not value:
                raise ValueError(f"{file}: {key!r} has no value; expected key=value")
    properties.update(single)
    return properties
