"""Records of Kafka as they cross between the Java side and this one: many in an element, for crossing costs by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pipeline.model import KafkaRecord
from pipeline.wire.state_pb2 import KafkaRecords, ProducedRecords

Produced: TypeAlias = tuple[bytes, bytes]
"""Key and value of a record that is written."""


def pack_records(records: Iterable[KafkaRecord]) -> bytes:
    """Return records as columns. Of a Kafka time the milliseconds are kept, as Kafka itself has no more."""
    columns = KafkaRecords()
    for partition, offset, kafka_time_us, value in records:
        columns.partition.append(partition)
        columns.offset.append(offset)
        columns.kafka_time_ms.append(kafka_time_us // 1000)
        columns.value.append(value)
    return columns.SerializeToString()


def unpack_records(packed: bytes) -> list[KafkaRecord]:
    """Return the records of columns, in their order."""
    columns = KafkaRecords.FromString(packed)
    return [
        KafkaRecord(partition, offset, kafka_time_ms * 1000, value)
        for partition, offset, kafka_time_ms, value in zip(
            columns.partition, columns.offset, columns.kafka_time_ms, columns.value, strict=True
        )
    ]


def pack_produced(records: Iterable[Produced]) -> bytes:
    """Return records that are to be written as columns, in their order."""
    keys, values = zip(*records, strict=True)
    return ProducedRecords(key=keys, value=values).SerializeToString()


def unpack_produced(packed: bytes) -> list[Produced]:
    """Return the records of columns. The inverse of :func:`pack_produced`."""
    columns = ProducedRecords.FromString(packed)
    return list(zip(columns.key, columns.value, strict=True))
