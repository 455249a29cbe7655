"""Kafka records to readings: what is well-formed and plausible goes on, everything else is rejected with its reason."""

from __future__ import annotations

import math
from typing import NamedTuple

from google.protobuf.message import DecodeError

from pipeline.events import Sighting
from pipeline.model import KafkaRecord, Reading, Reason, Rejected, Stage
from pipeline.site import Site
from pipeline.tag_identity import TagIdentity, TagName, tag_name
from pipeline.wire.message_pb2 import AnchorAlive, AnchorData, TagData

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
    sighting: Sighting | None
    """The anchor that spoke, whatever it said of tags; None where it gave no name, or one that is too long."""


def decode(record: KafkaRecord, site: Site) -> Decoded:
    """Return the readings of one ``packet_data`` record, and what had to be refused of it.

    Readings carry the tag's lasting id (``Site.tag_identity``), and as flags what message and id tell together.
    """
    try:
        data = AnchorData.FromString(record.value)
    except DecodeError as error:
        return _refused(record, Reason.UNDECODABLE, f"not an AnchorData message: {error}")
    anchor = data.anchor_id
    stamped_us = _stamped_us(data)
    sighting = _sighting(anchor, stamped_us, record)
    if not data.tags:
        detail = "no tags in the record: a heartbeat on the data topic, or other field numbers"
        return _refused(record, Reason.NO_TAGS, detail, anchor[:MAX_ID_LENGTH] or None, sighting)
    if len(anchor) > MAX_ID_LENGTH:
        detail = f"an anchor id of {len(anchor)} characters; expected at most {MAX_ID_LENGTH}"
        return _refused(record, Reason.BAD_ANCHOR_ID, detail)

    kafka_time_us = record.kafka_time_us
    time_replaced = stamped_us is None or not EARLIEST_PLAUSIBLE_US <= stamped_us <= kafka_time_us + MAX_AHEAD_US
    measured_at_us = kafka_time_us if stamped_us is None or time_replaced else stamped_us
    readings: dict[str, Reading] = {}
    rejected: list[Rejected] = []
    for tag_id, measured in _in_order(data, site):
        name = tag_name(tag_id, site.tag_identity)
        tag, detached, battery_low = name or (tag_id, False, False)
        reading = Reading(
            tag,
            anchor,
            measured.distance,
            measured_at_us,
            kafka_time_us,
            time_replaced,
            measured.detached or detached,
            measured.battery_low or battery_low,
            record.partition,
            record.offset,
        )
        problem = _problem(reading, tag_id, name, site)
        if problem is not None:
            named = reading._replace(tag=tag[:MAX_ID_LENGTH])
            rejected.append(Rejected.of(named, problem[0], Stage.DECODE, problem[1]))
            continue
        before = readings.get(tag)
        if before is not None:
            detail = "the record holds the tag under two ids; the reading under the one that tells more is taken"
            rejected.append(Rejected.of(before, Reason.DUPLICATE, Stage.DECODE, detail))
            reading = reading._replace(
                detached=reading.detached or before.detached, battery_low=reading.battery_low or before.battery_low
            )
        readings[tag] = reading
    return Decoded(list(readings.values()), rejected, time_replaced, sighting)


def _in_order(data: AnchorData, site: Site) -> list[tuple[str, TagData]]:
    """Return the tags by id. Where the id holds the state, one that tells more of it comes last; else order is free."""
    tags = list(data.tags.items())
    return tags if site.tag_identity is TagIdentity.WHOLE else sorted(tags, key=lambda one: (one[0].upper(), one[0]))


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


def decode_heartbeat(record: KafkaRecord, site: Site) -> Sighting | Rejected:
    """Return what one ``packet_alive`` record says, or why it was refused."""
    try:
        alive = AnchorAlive.FromString(record.value)
    except DecodeError as error:
        return refused_record(record, Reason.UNDECODABLE, f"not an AnchorAlive message: {error}")
    sighting = _sighting(alive.anchor_id, _stamped_us(alive), record)
    if sighting is None:
        detail = f"an anchor id of {len(alive.anchor_id)} characters; expected 1 to {MAX_ID_LENGTH}"
        return refused_record(record, Reason.BAD_ANCHOR_ID, detail)
    if sighting.anchor not in site.anchors:
        return refused_record(record, Reason.UNKNOWN_ANCHOR, _not_on_map(sighting.anchor, site), sighting.anchor)
    return sighting


def _refused(
    record: KafkaRecord, reason: Reason, detail: str, anchor: str | None = None, sighting: Sighting | None = None
) -> Decoded:
    return Decoded([], [refused_record(record, reason, detail, anchor)], time_replaced=False, sighting=sighting)


def _sighting(anchor: str, stamped_us: int | None, record: KafkaRecord) -> Sighting | None:
    return Sighting(anchor, record.kafka_time_us, stamped_us) if 0 < len(anchor) <= MAX_ID_LENGTH else None


def _stamped_us(message: AnchorData | AnchorAlive) -> int | None:
    if not message.HasField("timestamp"):
        return None
    stamp = message.timestamp
    return stamp.seconds * 1_000_000 + stamp.nanos // 1_000


def _problem(reading: Reading, tag_id: str, name: TagName | None, site: Site) -> tuple[Reason, str] | None:
    if not 0 < len(tag_id) <= MAX_ID_LENGTH:
        return Reason.BAD_TAG_ID, f"a tag id of {len(tag_id)} characters; expected 1 to {MAX_ID_LENGTH}"
    if name is None:
        detail = f"the tag id is {tag_id!r}; expected 16 hex digits: 12 that name the tag and 4 of its state"
        return Reason.BAD_TAG_ID, detail
    if reading.anchor not in site.anchors:
        return Reason.UNKNOWN_ANCHOR, _not_on_map(reading.anchor, site)
    # Not a number compares false with everything, so it fails this too.
    if not 0 < reading.distance_m <= site.max_distance_m:
        shown = reading.distance_m if not math.isfinite(reading.distance_m) else f"{reading.distance_m:g}"
        return (
            Reason.DISTANCE_OUT_OF_RANGE,
            f"distance {shown} m; expected more than 0 and at most {site.max_distance_m:g} m",
        )
    return None


def _not_on_map(anchor: str, site: Site) -> str:
    return f"anchor {anchor!r} is not on the map of site {site.name!r}"
