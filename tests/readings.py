"""Readings and records for the tests, in few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from pipeline.model import KafkaRecord, Reading
from pipeline.positioning.watched import ByTag, Watched
from pipeline.site import Anchor, Site
from pipeline.wire.message_pb2 import AnchorData, TagData
from pipeline.wire.readings import unpack_by_tag

START_S = 1_713_300_000
"""2024-04-16, the instant that times in the tests count from."""

DEMO = Site(
    "demo",
    {anchor.id: anchor for anchor in (Anchor("A0", 2.0, 0.0), Anchor("A1", 0.0, 2.0), Anchor("A2", 2.0, 3.0))},
)

GOLDEN = bytes.fromhex(
    "0a1041314232433344334534463530303031120608a0c4fbb0061a1b0a1030303033464644444545464630303031120708011d0000a03f",
)
"""The contract's own record: anchor A1B2C3D3E4F50001 at START_S heard tag 0003FFDDEEFF0001, detached, at 1.25 m."""


def us(seconds: float) -> int:
    """Seconds after the tests' start, in microseconds since 1970."""
    return START_S * 1_000_000 + round(seconds * 1e6)


def reading(
    anchor: str = "A0",
    at_s: float = 0.0,
    *,
    kafka_s: float | None = None,
    tag: str = "T",
    distance_m: float = 1.5,
    offset: int = 0,
) -> Reading:
    """A reading; in Kafka at once unless told otherwise."""
    kafka_time_us = us(at_s if kafka_s is None else kafka_s)
    return Reading(
        tag=tag,
        anchor=anchor,
        distance_m=distance_m,
        measured_at_us=us(at_s),
        kafka_time_us=kafka_time_us,
        time_replaced=False,
        detached=False,
        battery_low=False,
        partition=0,
        offset=offset,
    )


def unpacked(packed: bytes) -> dict[str, list[Reading]]:
    """Return packed readings by tag."""
    given = unpack_by_tag(packed)
    return dict(zip(given.tags, given.readings, strict=True))


def watched(readings: Sequence[Reading]) -> Watched:
    """Readings as the tag watch looks at them."""
    if not readings:
        return Watched((), (), (), (), (), ())
    tag, anchor, _, measured_at_us, kafka_time_us, _, detached, battery_low, _, _ = zip(*readings, strict=True)
    return Watched(tag, anchor, measured_at_us, kafka_time_us, detached, battery_low)


def columns(readings: Sequence[Reading], groups: dict[str, int] | None = None) -> ByTag:
    """Readings, tag by tag, as they are thinned for the tag watch; of one tag group unless told otherwise.

    Tags and anchors have their numbers by the alphabet.
    """
    tags, anchors = sorted({one.tag for one in readings}), sorted({one.anchor for one in readings})
    numbers = [
        (
            (groups or {}).get(one.tag, 0),
            tags.index(one.tag),
            anchors.index(one.anchor),
            one.measured_at_us,
            one.kafka_time_us,
            one.detached + 2 * one.battery_low,
        )
        for one in readings
    ]
    return ByTag(*np.array(numbers, np.int64).reshape(-1, 6).T)


def record(
    anchor: str = "A0",
    at_s: float | None = 0.0,
    *,
    kafka_s: float | None = None,
    tags: dict[str, float] | None = None,
    detached: bool = False,
    battery_low: bool = False,
    offset: int = 0,
) -> KafkaRecord:
    """A record of ``packet_data`` as an anchor would publish it; ``tags`` are distances in metres."""
    data = AnchorData(anchor_id=anchor)
    if at_s is not None:
        data.timestamp.CopyFrom(Timestamp(seconds=us(at_s) // 1_000_000, nanos=us(at_s) % 1_000_000 * 1000))
    for tag, distance_m in ({"T": 1.5} if tags is None else tags).items():
        data.tags[tag].CopyFrom(TagData(distance=distance_m, detached=detached, battery_low=battery_low))
    in_kafka_s = kafka_s if kafka_s is not None else at_s or 0.0
    return KafkaRecord(0, offset, us(in_kafka_s), data.SerializeToString())
