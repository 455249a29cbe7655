"""From bytes to readings: the contract, and what is refused of it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import KafkaRecord
from pipeline.site import Anchor, Site
from pipeline.wire.decode import MAX_ID_LENGTH, Decoded, decode
from pipeline.wire.message_pb2 import AnchorAlive
from tests.readings import DEMO, GOLDEN, record, us


def one_reason(decoded: Decoded) -> str:
    assert decoded.readings == []
    (rejected,) = decoded.rejected
    assert rejected.stage == "decode"
    return rejected.reason


def test_the_contracts_own_bytes() -> None:
    site = Site("golden", {"A1B2C3D3E4F50001": Anchor("A1B2C3D3E4F50001", 0.0, 0.0)})
    decoded = decode(KafkaRecord(3, 17, 1_713_300_000_250_000, GOLDEN), site)
    (reading,) = decoded.readings
    assert reading.tag == "0003FFDDEEFF0001"
    assert reading.anchor == "A1B2C3D3E4F50001"
    assert reading.measured_at_us == 1_713_300_000_000_000
    assert reading.distance_m == 1.25
    assert (reading.detached, reading.battery_low) == (True, False)
    assert (reading.partition, reading.offset) == (3, 17)
    assert decoded.rejected == []
    assert not decoded.time_replaced


def test_one_record_may_carry_many_tags() -> None:
    decoded = decode(record(tags={"T1": 1.0, "T2": 2.0, "T3": 0.0}), DEMO)
    assert {(one.tag, one.distance_m) for one in decoded.readings} == {("T1", 1.0), ("T2", 2.0)}
    assert [(one.tag, one.reason) for one in decoded.rejected] == [("T3", "distance_out_of_range")]


@pytest.mark.parametrize("value", [b"\xff", b"\x0a\x10short", b"\x0a\x01\xff", GOLDEN[:-1]])
def test_undecodable_bytes_come_back_as_they_were(value: bytes) -> None:
    decoded = decode(KafkaRecord(1, 2, us(0), value), DEMO)
    assert one_reason(decoded) == "undecodable"
    assert decoded.rejected[0].payload == value
    assert (decoded.rejected[0].partition, decoded.rejected[0].offset) == (1, 2)


def test_a_heartbeat_on_the_data_topic_has_no_tags() -> None:
    heartbeat = AnchorAlive(anchor_id="A0").SerializeToString()
    decoded = decode(KafkaRecord(0, 0, us(0), heartbeat), DEMO)
    assert one_reason(decoded) == "no_tags"
    assert decoded.rejected[0].anchor == "A0"


def test_a_record_without_a_value_has_no_tags() -> None:
    assert one_reason(decode(KafkaRecord(0, 0, us(0), b""), DEMO)) == "no_tags"


@pytest.mark.parametrize("distance_m", [math.nan, 0.0, -1.0, 100.01, math.inf, -math.inf])
def test_an_impossible_distance_is_named(distance_m: float) -> None:
    decoded = decode(record(tags={"T": distance_m}), DEMO)
    assert one_reason(decoded) == "distance_out_of_range"
    assert "at most 100 m" in decoded.rejected[0].detail


def test_the_site_bounds_the_distance() -> None:
    site = Site("hall", DEMO.anchors, max_distance_m=5.0)
    assert one_reason(decode(record(tags={"T": 5.5}), site)) == "distance_out_of_range"
    assert decode(record(tags={"T": 5.0}), site).readings


def test_an_anchor_that_is_not_on_the_map() -> None:
    decoded = decode(record("B7"), DEMO)
    assert one_reason(decoded) == "unknown_anchor"
    assert decoded.rejected[0].anchor == "B7"


@pytest.mark.parametrize("tag", ["", "X" * (MAX_ID_LENGTH + 1)])
def test_a_tag_id_that_cannot_be_one(tag: str) -> None:
    decoded = decode(record(tags={tag: 1.0}), DEMO)
    assert one_reason(decoded) == "bad_tag_id"
    assert decoded.rejected[0].tag == tag[:MAX_ID_LENGTH]


def test_an_anchor_id_that_cannot_be_one_is_told_once_and_not_repeated() -> None:
    decoded = decode(record("X" * 50_000, tags={f"T{number}": 1.0 for number in range(3000)}), DEMO)
    assert one_reason(decoded) == "bad_anchor_id"
    assert decoded.rejected[0].anchor is None
    assert len(decoded.rejected[0].detail) < 100


@pytest.mark.parametrize(
    ("at_s", "replaced"),
    [
        (None, True),  # no time at all
        (-1_713_300_000 + 5, True),  # near 1970: no NTP sync yet
        (10.5, True),  # more than 10 s ahead of Kafka
        (9.5, False),
        (-3600.0, False),  # old, but a time: grouping decides
    ],
)
def test_a_time_that_cannot_be_right_is_replaced_by_kafkas(at_s: float | None, *, replaced: bool) -> None:
    decoded = decode(record(at_s=at_s, kafka_s=0.0), DEMO)
    assert decoded.time_replaced is replaced
    (reading,) = decoded.readings
    assert reading.time_replaced is replaced
    assert reading.measured_at_us == (us(0) if replaced or at_s is None else us(at_s))


@given(st.binary(max_size=200))
def test_any_bytes_have_a_defined_end(value: bytes) -> None:
    decoded = decode(KafkaRecord(0, 0, us(0), value), DEMO)
    assert decoded.readings or decoded.rejected


@given(st.floats(width=32, allow_nan=True), st.text(max_size=20))
def test_any_reading_ends_as_reading_or_rejection(distance_m: float, tag: str) -> None:
    decoded = decode(record(tags={tag: distance_m}), DEMO)
    assert len(decoded.readings) + len(decoded.rejected) == 1
    for reading in decoded.readings:
        assert struct.pack("f", reading.distance_m) == struct.pack("f", distance_m)
