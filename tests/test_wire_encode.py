"""What other programs read: the JSON of positions and rejections."""

from __future__ import annotations

import base64
import json

from pipeline.model import Fix, KafkaRecord, Reason, Rejected, Stage
from pipeline.wire.decode import refused_record
from pipeline.wire.encode import encode_position, encode_rejected, iso_utc
from tests.readings import reading, us

READINGS = [
    reading("A0", 0.0, offset=7),
    reading("A1", 1.0, offset=9)._replace(detached=True),
    reading("A2", 1.0, offset=8)._replace(battery_low=True),
]
FIX = Fix("f1", "T", 1.5, -2.25, None, 0.04, 0.01, 0.02, 0.1, 1.25, READINGS)


def test_golden_bytes_of_a_position() -> None:
    key, value = encode_position(FIX)
    assert key == b"T"
    assert value == (
        b'{"tagid":"T","x":1.5,"y":-2.25,"detached":true,"battery_low":true,"z":null,"accuracy":0.17320508075688773,'
        b'"timestamp_generated":"2024-04-16T20:40:01.000Z","anchors":["A0","A1","A2"],"residual":0.1,"gdop":1.25,'
        b'"fix_id":"f1","records":[[0,7],[0,9],[0,8]]}'
    )


def test_flags_are_true_if_any_reading_says_so() -> None:
    calm = FIX._replace(readings=[reading("A0"), reading("A1"), reading("A2")])
    value = json.loads(encode_position(calm)[1])
    assert (value["detached"], value["battery_low"]) == (False, False)


def test_an_accuracy_that_cannot_be_known_is_null() -> None:
    unknown = FIX._replace(cov_xx_m2=None, cov_xy_m2=None, cov_yy_m2=None, residual_m=None)
    value = json.loads(encode_position(unknown)[1])
    assert (value["accuracy"], value["residual"]) == (None, None)


def test_a_rejected_reading_says_what_and_where() -> None:
    rejected = Rejected.of(reading("A1", 1.0, offset=9), Reason.LATE, Stage.GROUP, "too late")
    key, value = encode_rejected(rejected, "packet_data")
    assert key == b"T"
    assert json.loads(value) == {
        "reason": "late",
        "stage": "group",
        "detail": "too late",
        "tagid": "T",
        "anchorid": "A1",
        "time": "2024-04-16T20:40:01.000Z",
        "kafka_time": "2024-04-16T20:40:01.000Z",
        "topic": "packet_data",
        "partition": 0,
        "offset": 9,
        "payload": None,
        "payload_bytes": None,
    }


def test_an_undecodable_record_keeps_its_bytes() -> None:
    record = KafkaRecord(2, 5, us(0), b"\x00\xff")
    key, value = encode_rejected(refused_record(record, Reason.UNDECODABLE, "no"), "packet_data")
    assert key == b""
    parsed = json.loads(value)
    assert base64.b64decode(parsed["payload"]) == b"\x00\xff"
    assert (parsed["partition"], parsed["offset"], parsed["time"]) == (2, 5, None)


def test_a_rejection_fits_into_a_record_however_large_what_was_rejected() -> None:
    record = KafkaRecord(2, 5, us(0), b"\xff" * 1_000_000)
    _, value = encode_rejected(refused_record(record, Reason.UNDECODABLE, "no"), "packet_data")
    assert len(value) < 1_000_000
    parsed = json.loads(value)
    assert parsed["payload_bytes"] == 1_000_000
    assert record.value.startswith(base64.b64decode(parsed["payload"]))


def test_times_are_utc_with_milliseconds() -> None:
    assert iso_utc(1_713_300_000_123_999) == "2024-04-16T20:40:00.123Z"
    assert iso_utc(0) == "1970-01-01T00:00:00.000Z"
