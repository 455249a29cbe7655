"""Kafka records to readings: what is well-formed and plausible goes on, everything else is rejected with its reason."""

from __future__ import annotations

import math
from typing import NamedTuple

from google.protobuf.message import DecodeError

from pipeline.model import KafkaRecord, Reading, Reason, Rejected, Stage
from pipeline.site import Site
from pipeline.wire.message_pb2 import AnchorData

EARLIEST_PLAUSIBLE_US = 1_577_836_800_000_000
"""2020-01-01: an anchor's clock is near 1970 until its first NTP sync."""

MAX_AHEAD_US = 10_000_000
"""How far an anchor's clock may run ahead of Kafka's."""

MAX_ID_LENGTH = 64
"""Ids are 16 digits; a site may use others, but state is kept per tag, rejections name both, and both stay bounded."""


class Decoded(NamedTuple):
    """What one record held."""

    readings: list[Reading]
    rejected: list[Rejected]
    time_replaced: bool
    """The anchor's time was missing or implausible, and the record's Kafka time was taken."""


def decode(record: KafkaRecord, site: Site) -> Decoded:
    """Return the readings of one ``packet_data`` record, and what had to be refused of it."""
    try:
        data = AnchorData.FromString(record.value)
    except DecodeError as error:
        return _refused(record, Reason.UNDECODABLE, f"not an AnchorData message: {error}")
    if not data.tags:
        detail = "no tags in the record: a heartbeat on the data topic, or other field numbers"
        return _refused(record, Reason.NO_TAGS, detail, anchor=data.anchor_id[:MAX_ID_LENGTH] or None)
    if len(data.anchor_id) > MAX_ID_LENGTH:
        detail = f"an anchor id of {len(data.anchor_id)} characters; expected at most {MAX_ID_LENGTH}"
        return _refused(record, Reason.BAD_ANCHOR_ID, detail)

    measured_at_us, time_replaced = _measured_at_us(data, record)
    readings: list[Reading] = []
    rejected: list[Rejected] = []
    for tag, measured in data.tags.items():
        reading = Reading(
            tag=tag,
            anchor=data.anchor_id,
            distance_m=measured.distance,
            measured_at_us=measured_at_us,
            kafka_time_us=record.kafka_time_us,
            time_replaced=time_replaced,
            detached=measured.detached,
            battery_low=measured.battery_low,
            partition=record.partition,
            offset=record.offset,
        )
        problem = _problem(reading, site)
        if problem is None:
            readings.append(reading)
        else:
            named = reading._replace(tag=tag[:MAX_ID_LENGTH])
            rejected.append(Rejected.of(named, problem[0], Stage.DECODE, problem[1]))
    return Decoded(readings, rejected, time_replaced)


def refused_record(record: KafkaRecord, reason: Reason, detail: str, anchor: str | None = None) -> Rejected:
    """Return the rejection of a whole record, with its original bytes."""
    return Rejected(
        reason=reason.value,
        stage=Stage.DECODE.value,
        detail=detail,
        tag=None,
        anchor=anchor,
        measured_at_us=None,
        kafka_time_us=record.kafka_time_us,
        partition=record.partition,
        offset=record.offset,
        payload=record.value,
    )


def _refused(record: KafkaRecord, reason: Reason, detail: str, anchor: str | None = None) -> Decoded:
    return Decoded([], [refused_record(record, reason, detail, anchor)], time_replaced=False)


def _measured_at_us(data: AnchorData, record: KafkaRecord) -> tuple[int, bool]:
    if data.HasField("timestamp"):
        measured_at_us = data.timestamp.seconds * 1_000_000 + data.timestamp.nanos // 1_000
        if EARLIEST_PLAUSIBLE_US <= measured_at_us <= record.kafka_time_us + MAX_AHEAD_US:
            return measured_at_us, False
    return record.kafka_time_us, True


def _problem(reading: Reading, site: Site) -> tuple[Reason, str] | None:
    if not 0 < len(reading.tag) <= MAX_ID_LENGTH:
        return Reason.BAD_TAG_ID, f"a tag id of {len(reading.tag)} characters; expected 1 to {MAX_ID_LENGTH}"
    if reading.anchor not in site.anchors:
        return Reason.UNKNOWN_ANCHOR, f"anchor {reading.anchor!r} is not on the map of site {site.name!r}"
    # Not a number compares false with everything, so it fails this too.
    if not 0 < reading.distance_m <= site.max_distance_m:
        shown = reading.distance_m if not math.isfinite(reading.distance_m) else f"{reading.distance_m:g}"
        return (
            Reason.DISTANCE_OUT_OF_RANGE,
            f"distance {shown} m; expected more than 0 and at most {site.max_distance_m:g} m",
        )
    return None
