"""The records that flow through the pipeline.

All are immutable. Lengths are metres, times integer microseconds since 1970-01-01 UTC, and the unit stands in the name.
A *reading* is one distance between one tag and one anchor; a *group* is readings of one tag by distinct anchors;
a *fix* is the place that explains a group; a *position* is what goes out: a fix, or what a *track* makes of one group
after the other; *rejected* is a reading, or a whole record, that gave no position.
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
    """Readings of one tag by distinct anchors, oldest first (measured, then Kafka time, then anchor).

    Three or more; or one, for which not enough others came in time; or fewer, where an anchor has left the site map.
    """

    tag: str
    readings: Sequence[Reading]


class Fix(NamedTuple):
    """Where the ranges of one group, and they alone, put a tag.

    The frame is the site map's. ``z_m`` is None where no height is known, ``var_zz_m2`` where it was not solved for.
    The covariance (m²) and the residual (RMS of the ranges used, m) are None where the readings leave nothing over to
    estimate them from, as with exactly three anchors. ``gdop`` is the horizontal dilution of precision, without unit.
    ``refused`` names the anchors whose ranges do not agree with the others and were left out, ``map_version`` the
    version of the site map that it was made with.
    """

    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    var_zz_m2: float | None
    residual_m: float | None
    gdop: float
    refused: Sequence[str]
    map_version: str


class Solved(NamedTuple):
    """A group with its fix, or with the reason (a value of :class:`Reason`) and detail why there is none."""

    tag: str
    readings: Sequence[Reading]
    fix: Fix | None
    reason: str | None
    detail: str | None


class Position(NamedTuple):
    """What the pipeline says of a tag's place at a time, and how well that is known.

    Without tracking it is the fix of one group; with tracking it is what the track makes of all readings so far.
    Places, covariance, ``residual_m``, ``gdop``, ``refused``, ``map_version`` are as in :class:`Fix`. ``speed_m_s`` and
    ``course_deg`` (clockwise from the site's y axis, 0 up to 360) are None without a track, the course also of a tag
    that stands still. ``nis`` is the normalised innovation squared of the ``nis_dof`` ranges used, None without a
    track.
    """

    fix_id: str
    tag: str
    at_us: int
    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    var_zz_m2: float | None
    speed_m_s: float | None
    course_deg: float | None
    residual_m: float | None
    gdop: float | None
    nis: float | None
    nis_dof: int
    refused: Sequence[str]
    map_version: str
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
    # trilaterate
    TOO_FEW_ANCHORS = "too_few_anchors"
    DEGENERATE_GEOMETRY = "degenerate_geometry"
    INCONSISTENT_RANGES = "inconsistent_ranges"
    # any stage
    INTERNAL_ERROR = "internal_error"


class Stage(str, enum.Enum):
    """The stage that rejected."""

    DECODE = "decode"
    GROUP = "group"
    TRILATERATE = "trilaterate"
    TRACK = "track"
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
