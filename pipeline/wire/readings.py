"""Readings as columns of bytes and back: for the shuffle and for state."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.model import Reading
from pipeline.wire.state_pb2 import Readings


def pack(readings: Iterable[Reading]) -> Readings:
    """Return readings as columns."""
    columns = list(zip(*readings, strict=True))
    if not columns:
        return Readings()
    tag, anchor, distance_m, measured_at_us, kafka_time_us, time_replaced, detached, battery_low, partition, offset = (
        columns
    )
    return Readings(
        tag=tag,
        anchor=anchor,
        distance_m=distance_m,
        measured_at_us=measured_at_us,
        kafka_time_us=kafka_time_us,
        time_replaced=time_replaced,
        detached=detached,
        battery_low=battery_low,
        partition=partition,
        offset=offset,
    )


def unpack(packed: Readings) -> list[Reading]:
    """Return the readings of columns. The inverse of :func:`pack`."""
    return [
        Reading(*row)
        for row in zip(
            packed.tag,
            packed.anchor,
            packed.distance_m,
            packed.measured_at_us,
            packed.kafka_time_us,
            packed.time_replaced,
            packed.detached,
            packed.battery_low,
            packed.partition,
            packed.offset,
            strict=True,
        )
    ]
