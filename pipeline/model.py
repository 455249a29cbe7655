"""The records that flow through the pipeline.

All are immutable. Lengths are metres, times integer microseconds since 1970-01-01 UTC, and the unit stands in the name.
A *reading* is one distance between one tag and one anchor; a *group* is readings of one tag by distinct anchors;
a *fix* is a group with the place that explains it; *rejected* is a reading, or a whole record, that gave no position.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple


class KafkaRecord(NamedTuple):
    """One record of the data topic, as Kafka holds it.

    ``kafka_time_us`` is the broker's append time (``message.timestamp.type=LogAppendTime``).
    """

    partition: int
    offset: int
    kafka_time_us: int
    value: bytes


class Reading(NamedTuple):
    """One slant range between a tag and an anchor.

    ``measured_at_us`` is the anchor's own time, or with ``time_replaced`` the Kafka time, where the anchor's cannot be
    right.
    ``partition`` and ``offset`` name the Kafka record that carried the reading.
    """

    tag: str
    anchor: str
    distance_m: float
    measured_at_us: int
    kafka_time_us: int
    time_replaced: bool
    detached: bool
    battery_low: bool
    partition: int
    offset: int


class Group(NamedTuple):
    """Readings of one tag by three or more distinct anchors, oldest first (measured, then Kafka time, then anchor)."""

    tag: str
    readings: Sequence[Reading]


class Fix(NamedTuple):
    """Where a tag was, and how well that is known.

    The frame is the site map's. ``z_m`` is None where no height is known. The covariance (m²) and the residual (RMS, m)
    are None where the readings leave nothing over to estimate them from, as with exactly three anchors.
    ``gdop`` is the horizontal dilution of precision, without unit.
    """

    fix_id: str
    tag: str
    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    residual_m: float | None
    gdop: float
    readings: Sequence[Reading]


class Reason(str, enum.Enum):
    """Why something gave no position: the closed list of ``out_rejected``."""

    # decode
    UNDECODABLE = "undecodable"
    NO_TAGS = "no_tags"
    BAD_TAG_ID = "bad_tag_id"
    BAD_ANCHOR_ID = "bad_anchor_id"
    UNKNOWN_ANCHOR = "unknown_anchor"
    DISTANCE_OUT_OF_RANGE = "distance_out_of_range"
    # group
    DUPLICATE = "duplicate"
    LATE = "late"
    STALE = "stale"
    SUPERSEDED = "superseded"
    TOO_FEW_ANCHORS = "too_few_anchors"
    # trilaterate
    DEGENERATE_GEOMETRY = "degenerate_geometry"
    INCONSISTENT_RANGES = "inconsistent_ranges"
    # any stage
    INTERNAL_ERROR = "internal_error"


class Stage(str, enum.Enum):
    """The stage that rejected."""

    DECODE = "decode"
    GROUP = "group"
    TRILATERATE = "trilaterate"
    ENCODE = "encode"


class Rejected(NamedTuple):
    """One reading, or one record that could not be read, that ended without a position.

    ``reason`` and ``stage`` are values of :class:`Reason` and :class:`Stage`; ``payload`` is the record's original
    bytes where no reading could be made of it.
    """

    reason: str
    stage: str
    detail: str
    tag: str | None
    anchor: str | None
    measured_at_us: int | None
    kafka_time_us: int
    partition: int
    offset: int
    payload: bytes | None

    @classmethod
    def of(cls, reading: Reading, reason: Reason, stage: Stage, detail: str) -> Rejected:
        """Return the rejection of one reading."""
        return cls(
            reason=reason.value,
            stage=stage.value,
            detail=detail,
            tag=reading.tag,
            anchor=reading.anchor,
            measured_at_us=reading.measured_at_us,
            kafka_time_us=reading.kafka_time_us,
            partition=reading.partition,
            offset=reading.offset,
            payload=None,
        )
