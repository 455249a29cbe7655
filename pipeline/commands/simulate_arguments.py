"""The settings of ``beam-rtls simulate``: from flags, environment and file to one value object."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from pipeline.commands.arguments import (
    instant_us,
    kafka_property,
    new_parser,
    number,
    refuse_unknown_variables,
    servers,
)
from pipeline.commands.simulate_scene import add_scene, scene_settings
from pipeline.simulation.log import TRUTH_INTERVAL_S
from pipeline.simulation.settings import SceneError, SceneSettings

DESCRIPTION = """\
Play a site with tags walking about, and publish to Kafka what its anchors would publish; or write it to a log.

What it imitates: moving and torn-off tags blink every 200 ms, still ones every 10 s; an anchor publishes a tag about
once a second, with a heartbeat every 2 s; records have the constant key "protobuf" and whole-second stamps of the
anchor's own clock; a tag's id has 12 digits that name it and 4 that tell its state (0000 well, 0001 torn off, 0100
battery low, 0101 both). Tag number 5 is 0003FF000005....
"""

EPILOG = """\
examples:

  beam-rtls simulate --anchors anchors/demo.yaml \\
      --bootstrap-servers localhost:19092 --tags 20
  beam-rtls simulate --anchors anchors/demo.yaml \\
      --output readings.csv --truth-output truth.csv --duration 60

  --anchor-outage A1:20:30   A1 is dead from second 20 to 50
  --tear-off 3:15            tag 3 is torn off at second 15

At the end, also after Ctrl-C, one line of JSON on standard output tells what was caused: {"records", "readings",
"heartbeats", "tags", "lost", "outliers", "seconds"}.

exit code: 0 done or interrupted, 1 Kafka or a file failed, 2 called wrongly
"""


@dataclass(frozen=True, slots=True)
class KafkaTarget:
    """Publish to Kafka, ``speedup`` simulated seconds a second (0: as fast as possible)."""

    bootstrap_servers: str
    properties: Mapping[str, str]
    data_topic: str
    alive_topic: str
    truth_topic: str | None
    speedup: float


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Write files, as fast as possible."""

    readings: Path
    truth: Path | None


@dataclass(frozen=True, slots=True)
class SimulateArguments:
    """What ``beam-rtls simulate`` was asked. ``start_us`` None: the target's usual start."""

    anchors: Path
    tag_height_m: float | None
    scene: SceneSettings
    duration_s: float | None
    start_us: int | None
    target: KafkaTarget | LogTarget

    def runs_ahead(self) -> bool:
        """Tell whether what is published gets stamps of the future: faster than time from now on, without end."""
        is_endless_from_now = self.duration_s is None and self.start_us is None
        return is_endless_from_now and isinstance(self.target, KafkaTarget) and not 0 < self.target.speedup <= 1


def parse(argv: Sequence[str]) -> SimulateArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    target = _target(parser, given)
    try:
        scene = scene_settings(given)
    except SceneError as error:
        parser.error(str(error))
    return SimulateArguments(given.anchors, given.tag_height, scene, given.duration, given.start, target)


def refuse(message: str) -> NoReturn:
    """End the program as for a wrong argument: some show to be wrong only beside the site map, or to the client."""
    new_argument_parser().error(message)


def _target(parser: argparse.ArgumentParser, given: argparse.Namespace) -> KafkaTarget | LogTarget:
    if given.output is None and given.bootstrap_servers is None:
        parser.error("expected --bootstrap-servers HOST:PORT to publish, or --output FILE to write a log")
    if given.output is None and given.truth_output is not None:
        parser.error("--truth-output: expected --output with it; the truth of what is published goes to --truth-topic")
    if given.output is not None and given.duration is None:
        parser.error("--output: expected --duration SECONDS with it; a log needs an end")
    if given.output is not None:
        return LogTarget(given.output, given.truth_output)
    return KafkaTarget(
        bootstrap_servers=given.bootstrap_servers,
        properties=MappingProxyType(dict(given.kafka_property)),
        data_topic=given.data_topic,
        alive_topic=given.alive_topic,
        truth_topic=given.truth_topic,
        speedup=given.speedup,
    )


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls simulate``."""
    parser = new_parser("simulate", DESCRIPTION, EPILOG)
    _add_places(parser)
    _add_times(parser.add_argument_group("time"))
    add_scene(parser)
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    site = parser.add_argument_group("the site")
    site.add_argument("--anchors", metavar="FILE", type=Path, required=True, help="site map: .yaml, .yml or .csv")
    site.add_argument("--tag-height", metavar="M", type=number(), help="height (m) of the tags, in place of the map's")

    kafka = parser.add_argument_group("to Kafka")
    kafka.add_argument("--bootstrap-servers", metavar="HOST:PORT", type=servers, help="the brokers to publish to")
    kafka.add_argument("--data-topic", metavar="NAME", default="packet_data", help="topic of the readings")
    kafka.add_argument("--alive-topic", metavar="NAME", default="packet_alive", help="topic of the heartbeats")
    text = "topic for the truth: one JSON record for each data record and tag in it, with the data record's place"
    kafka.add_argument("--truth-topic", metavar="NAME", help=f"{text}; left out, no truth is published")
    text = "client property in Java's words, as in security.protocol=SSL; repeatable"
    kafka.add_argument(
        "--kafka-property", metavar="KEY=VALUE", type=kafka_property, action="append", default=[], help=text
    )

    log = parser.add_argument_group("to a log, in place of Kafka and as fast as possible")
    text = "readings in order of arrival: t,tag_id,anchor_id,distance_m; t in seconds from the start by the anchor's"
    text = f"{text} stamp, so whole seconds without --fine-timestamps"
    log.add_argument("--output", metavar="FILE", type=Path, help=text)
    text = f"true places every {TRUTH_INTERVAL_S} s: t,tag_id,x,y,z; t in true seconds from the start"
    log.add_argument("--truth-output", metavar="FILE", type=Path, help=text)


def _add_times(group: Any) -> None:
    text = "simulated seconds; left out, until interrupted"
    group.add_argument("--duration", metavar="S", type=number(at_least=0.001, at_most=1e9), help=text)
    text = "simulated seconds a second; 0: as fast as possible"
    group.add_argument("--speedup", metavar="X", type=number(at_least=0, at_most=1e6), default=1.0, help=text)
    text = "true time at the start, ISO 8601; left out, now (less the duration where --speedup is not 1)"
    group.add_argument("--start", metavar="TIME", type=instant_us, help=f"{text}, and 2024-01-01 in a log")
