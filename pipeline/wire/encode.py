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
    _, anchors, _, _, _, _, detached, battery_low, partitions, offsets = zip(*position.readings, strict=True)
    refused = position.refused
    value = {
        "tagid": position.tag,
        "x": position.x_m,
        "y": position.y_m,
        "detached": True in detached,
        "battery_low": True in battery_low,
        "z": position.z_m,
        "accuracy": accuracy_m(position),
        "cov_xx": position.cov_xx_m2,
        "cov_xy": position.cov_xy_m2,
        "cov_yy": position.cov_yy_m2,
        "sigma_z": None if position.var_zz_m2 is None else math.sqrt(position.var_zz_m2),
        "speed": position.speed_m_s,
        "course": position.course_deg,
        "timestamp_generated": iso_utc(position.at_us),
        "anchors": [anchor for anchor in anchors if anchor not in refused] if refused else anchors,
        "anchors_refused": refused,
        "residual": position.residual_m,
        "gdop": position.gdop,
        "nis": position.nis,
        "nis_dof": position.nis_dof,
        "fix_id": position.fix_id,
        "map_version": position.map_version,
        "records": tuple(zip(partitions, offsets, strict=True)),
    }
    return position.tag.encode(), orjson.dumps(value)


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
