"""Bytewax: readings keyed by tag, kept by a stateful map, met in closed form; one worker, which is its default."""

from __future__ import annotations

from collections.abc import Iterable

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from message_pb2 import AnchorData

from benchmarks.peers.three_circles import GROUP, Heard, Places, intersection, parse

_BATCH = 10_000

Readings = dict[str, Heard]


def main() -> None:
    """Run until killed."""
    told = parse("bytewax")
    flow = Dataflow("bytewax")
    source = kop.input(
        "read", flow, brokers=[told.bootstrap_servers], topics=[told.data_topic], tail=True, batch_size=_BATCH
    )
    readings = op.flat_map("decode", source.oks, readings_of)
    groups = op.stateful_flat_map("group", readings, take)
    positions = op.flat_map("meet", groups, Meet(told.places))
    kop.output("write", positions, brokers=[told.bootstrap_servers], topic=told.positions_topic)
    cli_main(flow)


def readings_of(message: KafkaSourceMessage[bytes | None, bytes | None]) -> Iterable[tuple[str, Heard]]:
    """Give the readings of a record, by tag."""
    data = AnchorData.FromString(message.value)
    for tag, heard in data.tags.items():
        yield tag, Heard(tag, data.anchor_id, heard.distance, heard.detached, heard.battery_low)


def take(group: Readings | None, reading: Heard) -> tuple[Readings | None, Iterable[list[Heard]]]:
    """Take a reading to those of its tag; give them once there are three."""
    group = group or {}
    group[reading.anchor] = reading
    return (group, ()) if len(group) < GROUP else (None, (list(group.values()),))


class Meet:
    """Makes a position of a group."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def __call__(self, keyed: tuple[str, list[Heard]]) -> Iterable[KafkaSinkMessage[bytes, bytes]]:
        """Give the position, where there is one."""
        tag, group = keyed
        position = intersection(group, self._places)
        if position is not None:
            yield KafkaSinkMessage(tag.encode("ascii"), position.encode("ascii"))


if __name__ == "__main__":
    main()
