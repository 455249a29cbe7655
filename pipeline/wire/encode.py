"""Records to the JSON that other programs read."""

from __future__ import annotations

import base64
import datetime as dt
import math

import orjson

from pipeline.model import Fix, Rejected

MAX_PAYLOAD_BYTES = 512 * 1024
"""Of a rejected record's bytes so many are kept: as base64 they have to pass Kafka's usual limit of 1 MiB a record."""


def encode_position(fix: Fix) -> tuple[bytes, bytes]:
    """Return key (the tag id) and value of the ``out_data`` record for a fix.

    The first five fields are the contract with the Node bridge; the others tell how far the position can be trusted.
    ``accuracy`` is the horizontal 1-sigma, sqrt((σx² + σy²) / 2).
    """
    value = {
        "tagid": fix.tag,
        "x": fix.x_m,
        "y": fix.y_m,
        "detached": any(reading.detached for reading in fix.readings),
        "battery_low": any(reading.battery_low for reading in fix.readings),
        "z": fix.z_m,
        "accuracy": _accuracy_m(fix),
        "timestamp_generated": iso_utc(max(reading.measured_at_us for reading in fix.readings)),
        "anchors": [reading.anchor for reading in fix.readings],
        "residual": fix.residual_m,
        "gdop": fix.gdop,
        "fix_id": fix.fix_id,
        "records": [[reading.partition, reading.offset] for reading in fix.readings],
    }
    return fix.tag.encode(), orjson.dumps(value)


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
    seconds, micros = divmod(time_us, 1_000_000)
    moment = dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros // 1000:03d}Z"


def _accuracy_m(fix: Fix) -> float | None:
    if fix.cov_xx_m2 is None or fix.cov_yy_m2 is None:
        return None
    return math.sqrt((fix.cov_xx_m2 + fix.cov_yy_m2) / 2)
