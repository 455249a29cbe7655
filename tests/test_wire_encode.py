"""What other programs read: the JSON of positions and rejections."""

from __future__ import annotations

import base64
import json

from pipeline.model import KafkaRecord, Position, Reason, Rejected, Stage
from pipeline.wire.decode import refused_record
from pipeline.wire.encode import encode_position, encode_rejected, iso_utc
from tests.readings import reading, us

READINGS = [
    reading("A0", 0.0, offset=7),
    reading("A1", 1.0, offset=9)._replace(detached=True),
    reading("A2", 1.0, offset=8)._replace(battery_low=True),
]
TRACKED = Position(
    fix_id="f1",
    tag="T",
    at_us=us(1.000321),
    x_m=1.5,
    y_m=-2.25,
    z_m=0.75,
    cov_xx_m2=0.04,
    cov_xy_m2=0.01,
    cov_yy_m2=0.02,
    var_zz_m2=0.25,
    speed_m_s=1.25,
    course_deg=90.0,
    residual_m=0.1,
    gdop=1.5,
    nis=2.5,
    nis_dof=2,
    refused=["A1"],
    map_version="5d41402abc4b",
    readings=READINGS,
)


def test_golden_bytes_of_a_position() -> None:
    key, value = encode_position(TRACKED)
    assert key == b"T"
    assert value == (
        b'{"tagid":"T","x":1.5,"y":-2.25,"detached":true,"battery_low":true,"z":0.75,"accuracy":0.17320508075688773,'
        b'"cov_xx":0.04,"cov_xy":0.01,"cov_yy":0.02,"sigma_z":0.5,"speed":1.25,"course":90.0,'
        b'"timestamp_generated":"2024-04-16T20:40:01.000Z","anchors":["A0","A2"],"anchors_refused":["A1"],'
        b'"residual":0.1,"gdop":1.5,"nis":2.5,"nis_dof":2,"fix_id":"f1","map_version":"5d41402abc4b","records":[[0,7],[0,9],[0,8]]}'
    )


def test_flags_are_true_if_any_reading_says_so() -> None:
    calm = TRACKED._replace(readings=[reading("A0"), reading("A1"), reading("A2")])
    value = json.loads(encode_position(calm)[1])
    assert (value["detached"], value["battery_low"]) == (False, False)


def test_the_flags_of_a_refused_reading_count() -> None:
    """Its range may be wrong; that the tag was torn off is not."""
    value = json.loads(encode_position(TRACKED._replace(refused=["A1", "A2"]))[1])
    assert (value["detached"], value["battery_low"]) == (True, True)


def test_anchors_are_used_or_refused_and_records_are_of_both() -> None:
    value = json.loads(encode_position(TRACKED._replace(refused=["A2", "A0"]))[1])
    assert value["anchors"] == ["A1"]
    assert value["anchors_refused"] == ["A2", "A0"]
    assert value["records"] == [[0, 7], [0, 9], [0, 8]]


def test_what_cannot_be_known_is_null() -> None:
    optional = {
        "z_m": "z",
        "var_zz_m2": "sigma_z",
        "cov_xx_m2": "cov_xx",
        "cov_xy_m2": "cov_xy",
        "cov_yy_m2": "cov_yy",
        "speed_m_s": "speed",
        "course_deg": "course",
        "residual_m": "residual",
        "gdop": "gdop",
        "nis": "nis",
    }
    value = json.loads(encode_position(TRACKED._replace(**dict.fromkeys(optional)))[1])  # type: ignore[arg-type]
    assert {name for name, field in value.items() if field is None} == {*optional.values(), "accuracy"}


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
