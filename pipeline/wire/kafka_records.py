"""Records of Kafka as the Java side hands them over: what a bundle holds as columns."""

from __future__ import annotations

from pipeline.model import KafkaRecord
from pipeline.wire.state_pb2 import KafkaRecords


def unpack_records(packed: bytes) -> list[KafkaRecord]:
    """Return the records of columns, in their order."""
    columns = KafkaRecords.FromString(packed)
    return [
        KafkaRecord(partition, offset, kafka_time_ms * 1000, value)
        for partition, offset, kafka_time_ms, value in zip(
            columns.partition, columns.offset, columns.kafka_time_ms, columns.value, strict=True
        )
    ]
