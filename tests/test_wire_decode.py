"""From bytes to readings: the contract, and what is refused of it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Sighting
from pipeline.model import KafkaRecord, Rejected
from pipeline.site import Anchor, Site, TagIdentity
from pipeline.wire.decode import MAX_ID_LENGTH, Decoded, decode, decode_heartbeat
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


# tags that change their id

FIRST12 = Site("hall", DEMO.anchors, tag_identity=TagIdentity.FIRST12)
NAME = "0003FFDDEEFF"


@pytest.mark.parametrize(
    ("state", "detached", "battery_low"),
    [
        ("0000", False, False),
        ("0001", True, False),
        ("0100", False, True),
        ("0101", True, True),
        ("0011", True, False),
        ("1000", False, False),
    ],
)
def test_the_last_four_digits_are_the_tags_state(state: str, *, detached: bool, battery_low: bool) -> None:
    (reading,) = decode(record(tags={NAME + state: 1.0}), FIRST12).readings
    assert reading.tag == NAME + "0000"
    assert (reading.detached, reading.battery_low) == (detached, battery_low)


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_flags_of_id_and_message_are_united(by_id: bool, by_message: bool, low_id: bool, low_message: bool) -> None:  # noqa: FBT001
    tag = f"{NAME}0{int(low_id)}0{int(by_id)}"
    (reading,) = decode(record(tags={tag: 1.0}, detached=by_message, battery_low=low_message), FIRST12).readings
    assert reading.detached is (by_id or by_message)
    assert reading.battery_low is (low_id or low_message)


def test_the_id_stays_as_it_is_unless_the_site_says_otherwise() -> None:
    (reading,) = decode(record(tags={NAME + "0101": 1.0}), DEMO).readings
    assert reading.tag == NAME + "0101"
    assert (reading.detached, reading.battery_low) == (False, False)


@pytest.mark.parametrize("tag", ["", "T", NAME, NAME + "000", NAME + "00000", NAME + "000G", NAME + "00\n", "０" * 16])
def test_an_id_without_a_state_in_it_is_refused_where_one_is_expected(tag: str) -> None:
    decoded = decode(record(tags={tag: 1.0}), FIRST12)
    assert one_reason(decoded) == "bad_tag_id"
    assert decoded.rejected[0].tag == tag
    if tag:
        assert f"the tag id is {tag!r}; expected 16 hex digits" in decoded.rejected[0].detail


def test_lower_case_names_the_same_tag() -> None:
    (reading,) = decode(record(tags={NAME.lower() + "0001": 1.0}), FIRST12).readings
    assert reading.tag == NAME + "0000"


@pytest.mark.parametrize("order", [("0000", "0001"), ("0001", "0000")])
def test_a_record_from_the_moment_it_is_torn_off_holds_one_tag_once(order: tuple[str, str]) -> None:
    distances = {"0000": 1.0, "0001": 2.0}
    decoded = decode(record(tags={NAME + state: distances[state] for state in order}), FIRST12)
    (reading,) = decoded.readings
    assert (reading.tag, reading.distance_m, reading.detached) == (NAME + "0000", 2.0, True)
    (refused,) = decoded.rejected
    assert (refused.reason, refused.tag) == ("duplicate", NAME + "0000")


@given(st.dictionaries(st.sampled_from([NAME + state for state in ("0000", "0001", "0100", "0101")]), st.floats(1, 9)))
def test_no_flag_of_a_tag_with_many_ids_is_lost(tags: dict[str, float]) -> None:
    decoded = decode(record(tags=tags), FIRST12)
    assert len(decoded.readings) + len(decoded.rejected) == max(len(tags), 1)
    for reading in decoded.readings:
        assert reading.detached is any(tag[-1] == "1" for tag in tags)
        assert reading.battery_low is any(tag[-3] == "1" for tag in tags)


def heartbeat(anchor: str, seconds: int | None = None) -> KafkaRecord:
    alive = AnchorAlive(anchor_id=anchor)
    if seconds is not None:
        alive.timestamp.seconds = seconds
    return KafkaRecord(0, 4, us(1.0), alive.SerializeToString())


@pytest.mark.parametrize("tags", [{}, {"T": 1.0}, {"T": 0.0}], ids=["none", "one", "refused"])
def test_an_anchor_is_heard_whatever_it_says_of_tags(tags: dict[str, float]) -> None:
    assert decode(record("A1", 5.0, kafka_s=1.0, tags=tags), DEMO).sighting == Sighting("A1", us(1.0), us(5.0))


def test_a_sighting_keeps_a_stamp_that_is_wrong_and_has_none_where_there_is_none() -> None:
    assert decode_heartbeat(heartbeat("A1", 7), DEMO) == Sighting("A1", us(1.0), 7_000_000)
    assert decode_heartbeat(heartbeat("A1"), DEMO) == Sighting("A1", us(1.0), None)


@pytest.mark.parametrize(
    ("anchor", "reason"), [("", "bad_anchor_id"), ("X" * 65, "bad_anchor_id"), ("X", "unknown_anchor")]
)
def test_a_heartbeat_without_a_known_anchor_is_refused(anchor: str, reason: str) -> None:
    found = decode_heartbeat(heartbeat(anchor), DEMO)
    assert isinstance(found, Rejected)
    assert (found.reason, found.stage, found.offset) == (reason, "decode", 4)


def test_a_record_without_a_usable_name_is_no_sighting() -> None:
    assert decode(record("", 0.0), DEMO).sighting is None
    assert decode(record("X" * 65, 0.0), DEMO).sighting is None
    assert decode(KafkaRecord(0, 0, us(0), b"\xff"), DEMO).sighting is None
