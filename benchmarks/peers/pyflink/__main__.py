"""The original's way: PyFlink, ``key_by(tag).count_window(3)``, closed form; a checkpoint every 10 s, parallelism 2.

The three readings in a row that a window holds count as one fix, whichever anchors they are from.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from message_pb2 import AnchorData
from pyflink.common import Duration, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.functions import ProcessWindowFunction
from pyflink.datastream.window import CountWindow

from benchmarks.peers.three_circles import Arguments, Heard, Places, intersection, parse

_BYTES = "ISO-8859-1"
"""Each of its characters is one byte: the way that PyFlink's connector has for records that are no text."""
_PARALLELISM = 2
_CHECKPOINT_MS = 10_000
_WINDOW = 3

Row = tuple[str, str, float, bool, bool]


def main() -> None:
    """Run until killed."""
    logging.basicConfig(level=logging.INFO)
    told = parse("pyflink")
    environment = StreamExecutionEnvironment.get_execution_environment()
    environment.add_jars(*(jar.as_uri() for jar in Path(os.environ["BENCHMARK_JARS"]).glob("*.jar")))
    environment.set_parallelism(_PARALLELISM)
    environment.enable_checkpointing(_CHECKPOINT_MS)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(10)).with_idleness(
        Duration.of_days(1)
    )
    readings = environment.from_source(source(told), watermarks, "readings").flat_map(
        readings_of, Types.TUPLE([Types.STRING(), Types.STRING(), Types.FLOAT(), Types.BOOLEAN(), Types.BOOLEAN()])
    )
    positions = readings.key_by(lambda row: row[0]).count_window(_WINDOW).process(Meet(told.places), Types.STRING())
    positions.sink_to(sink(told))
    environment.execute("original")


def source(told: Arguments) -> KafkaSource:
    """Return the source of records, from the topic's beginning."""
    return (
        KafkaSource.builder()
        .set_bootstrap_servers(told.bootstrap_servers)
        .set_topics(told.data_topic)
        .set_group_id("pyflink")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema(_BYTES))
        .build()
    )


def sink(told: Arguments) -> KafkaSink:
    """Return the sink of positions, each delivered at least once."""
    schema = (
        KafkaRecordSerializationSchema.builder()
        .set_topic(told.positions_topic)
        .set_value_serialization_schema(SimpleStringSchema())
        .build()
    )
    return (
        KafkaSink.builder()
        .set_bootstrap_servers(told.bootstrap_servers)
        .set_record_serializer(schema)
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build()
    )


def readings_of(record: str) -> Iterator[Row]:
    """Give the readings of a record."""
    data = AnchorData.FromString(record.encode(_BYTES))
    for tag, heard in data.tags.items():
        yield tag, data.anchor_id, heard.distance, heard.detached, heard.battery_low


class Meet(ProcessWindowFunction[Row, str, str, CountWindow]):
    """Makes a position of the readings of a window."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def process(self, key: str, context: ProcessWindowFunction.Context, elements: Iterable[Row]) -> Iterator[str]:  # noqa: ARG002
        """Give the position, where there is one."""
        position = intersection([Heard(*row) for row in elements], self._places)
        if position is not None:
            yield position


if __name__ == "__main__":
    main()
