"""Records to the JSON that other programs read."""

from __future__ import annotations

import base64
import datetime as dt
import math
from functools import lru_cache

import orjson

from pipeline.model import Position, Rejected

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)

MAX_PAYLOAD_BYTES = 512 * 1024
"""Of a rejected record's bytes so many are kept: as base64 they have to pass Kafka's usual limit of 1 MiB a record."""


def encode_position(position: Position) -> tuple[bytes, bytes]:
    """Return key (the tag id) and value of the ``out_data`` record for a position.

    The first five fields are the contract with the Node bridge; the others tell how far the position can be trusted.
    ``accuracy`` (m) is the horizontal 1-sigma, sqrt((σx² + σy²) / 2); ``course`` is in degrees clockwise from y.
    """
    fix_id, tag, at_us, x_m, y_m, z_m, xx_m2, xy_m2, yy_m2, zz_m2, *figures, refused, version, readings = position
    speed_m_s, course_deg, residual_m, gdop, nis, nis_dof = figures
    _, anchors, _, _, _, _, detached, battery_low, partitions, offsets = zip(*readings, strict=True)
    value = {
        "tagid": tag,
        "x": x_m,
        "y": y_m,
        "detached": True in detached,
        "battery_low": True in battery_low,
        "z": z_m,
        "accuracy": accuracy_m(position),
        "cov_xx": xx_m2,
        "cov_xy": xy_m2,
        "cov_yy": yy_m2,
        "sigma_z": None if zz_m2 is None else math.sqrt(zz_m2),
        "speed": speed_m_s,
        "course": course_deg,
        "timestamp_generated": iso_utc(at_us),
        "anchors": [anchor for anchor in anchors if anchor not in refused] if refused else anchors,
        "anchors_refused": refused,
        "residual": residual_m,
        "gdop": gdop,
        "nis": nis,
        "nis_dof": nis_dof,
        "fix_id": fix_id,
        "map_version": version,
        "records": tuple(zip(partitions, offsets, strict=True)),
    }
    return tag.encode(), orjson.dumps(value)


def encode_rejected(rejected: Rejected, topic: str) -> tuple[bytes, bytes]:
    """Return key (the tag id, empty where there is none) and value of the ``out_rejected`` record.

    ``topic`` is where the record came from. A payload over ``MAX_PAYLOAD_BYTES`` is cut; topic, partition and offset
    still find the whole.
    """
    payload = rejected.payload
    value = {
        "reason": rejected.reason,
        "stage": rejected.stage,
        "detail": rejected.detail,
        "tagid": rejected.tag,
        "anchorid": rejected.anchor,
        "time": None if rejected.measured_at_us is None else iso_utc(rejected.measured_at_us),
        "kafka_time": iso_utc(rejected.kafka_time_us),
        "topic": topic,
        "partition": rejected.partition,
        "offset": rejected.offset,
        "payload": None if payload is None else base64.b64encode(payload[:MAX_PAYLOAD_BYTES]).decode(),
        "payload_bytes": None if payload is None else len(payload),
    }
    return (rejected.tag or "").encode(), orjson.dumps(value)


def iso_utc(time_us: int) -> str:
    """Return a time in ISO 8601, UTC, with milliseconds."""
    seconds, us = divmod(time_us, 1_000_000)
    return f"{_iso_seconds(seconds)}.{us // 1000:03d}Z"


@lru_cache(maxsize=64)
def _iso_seconds(seconds: int) -> str:
    return (_EPOCH + dt.timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")


def accuracy_m(position: Position) -> float | None:
    """Return the horizontal 1-sigma, sqrt((σx² + σy²) / 2); None where it is not known."""
    if position.cov_xx_m2 is None or position.cov_yy_m2 is None:
        return None
    return math.sqrt((position.cov_xx_m2 + position.cov_yy_m2) / 2)
