"""The arguments that say where Kafka is and how to reach it, for every command that uses both sides of the pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import javaproperties

from pipeline.commands.arguments import kafka_property, servers
from pipeline.settings import OFFSETS, KafkaSettings


def add_kafka_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
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
    kafka.add_argument("--alive-topic", metavar="NAME", default="packet_alive", help="heartbeats of anchors in")
    kafka.add_argument("--positions-topic", metavar="NAME", default="out_data", help="positions out")
    kafka.add_argument(
        "--rejected-topic", metavar="NAME", default="out_rejected", help="what gave no position, with the reason"
    )
    kafka.add_argument("--out-alive-topic", metavar="NAME", default="out_alive", help="deaths of anchors out")
    kafka.add_argument(
        "--events-topic", metavar="NAME", default="site_events", help="what happens to anchors and tags, out"
    )
    for name, text in (("locations", "positions as omlox Locations"), ("fence-events", "entries and exits likewise")):
        flag = f"--omlox-{name}-topic"
        kafka.add_argument(flag, metavar="NAME", help=f"{text}, for an omlox hub; none where not given")
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


def kafka_settings(given: argparse.Namespace) -> KafkaSettings:
    """Return what was given.

    Raises:
        OSError: a properties file cannot be read.
        ValueError: a property, topic or group that cannot be used.
    """
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
        alive_topic=given.alive_topic,
        positions_topic=given.positions_topic,
        rejected_topic=given.rejected_topic,
        out_alive_topic=given.out_alive_topic,
        events_topic=given.events_topic,
        omlox_locations_topic=given.omlox_locations_topic,
        omlox_fence_events_topic=given.omlox_fence_events_topic,
        properties=MappingProxyType(properties),
        output_properties=MappingProxyType(output_properties),
    )


def _properties(file: Path | None, single: Sequence[tuple[str, str]]) -> dict[str, str]:
    properties: dict[str, str] = {}
    if file is not None:
        properties = javaproperties.loads(file.read_text(encoding="utf-8"))
        for key, value in properties.items():
            if not value:
                raise ValueError(f"{file}: {key!r} has no value; expected key=value")
    properties.update(single)
    return properties
