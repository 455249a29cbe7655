"""Batches of records give what the same records give one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.model import KafkaRecord, Reading
from pipeline.site import Anchor, Site, TagIdentity
from pipeline.transforms.tag_groups import by_tag, tag_group
from pipeline.wire import plain_records, tag_codes
from pipeline.wire.batch_decoder import Batch, BatchDecoder, all_odd
from pipeline.wire.decode import EARLIEST_PLAUSIBLE_US, MAX_AHEAD_US, MAX_ID_LENGTH, decode
from pipeline.wire.kafka_records import pack_records
from pipeline.wire.message_pb2 import AnchorData
from pipeline.wire.state_pb2 import Readings
from tests.readings import DEMO, GOLDEN, record, unpacked, us

NAME = "0003FFDDEEFF"
SITES = [
    Site("whole", {**DEMO.anchors, "": Anchor("", 0.0, 0.0), "Ä" * 40: Anchor("Ä" * 40, 0.0, 0.0)}),
    Site("first12", DEMO.anchors, tag_identity=TagIdentity.FIRST12, max_distance_m=16.1),
]
NOW_MS = us(0) // 1000

tag_ids = st.one_of(
    st.sampled_from(["T", NAME + "0000", NAME + "0001", NAME + "0100", NAME.lower() + "0000", "X" * 64, "X" * 65, ""]),
    st.text(max_size=5),
)
distances_m = st.one_of(
    st.floats(0.5, 16.0, width=32),
    st.sampled_from([0.0, -1.0, math.nan, math.inf, 100.0, 16.1, 16.2]),
)
TagsOf = dict[str, tuple[float, bool, bool]]
flags = st.booleans()
tags_of = st.one_of(
    st.dictionaries(tag_ids, st.tuples(distances_m, flags, flags), max_size=3),
    st.fixed_dictionaries({NAME + "0000": st.tuples(st.floats(0.5, 16.0, width=32), flags, flags)}),
)
anchor_ids = st.sampled_from(["A0", "A1", "A2", "A2", "B7", "", "Ä" * 40, "X" * 65])
stamps_us = st.one_of(
    st.integers(-2_000_000, 2_000_000).map(lambda ago_us: us(0) + ago_us),
    st.sampled_from([us(-5), us(0), us(1), us(10), us(10.5), EARLIEST_PLAUSIBLE_US, EARLIEST_PLAUSIBLE_US - 1, 0, -1]),
    st.sampled_from([None, -(2**40) * 1_000_000, 2**62 * 1_000_000 - 10, (2**64 // 10**6 + us(0) // 10**6) * 10**6]),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    data = AnchorData(anchor_id=draw(anchor_ids))
    stamped_us = draw(stamps_us)
    if stamped_us is not None:
        data.timestamp.seconds, microseconds = divmod(stamped_us, 1_000_000)
        data.timestamp.nanos = microseconds * 1000 + draw(st.sampled_from([0, 0, 999, -1, -5_000_000_000 // 4]))
    for tag_id, (distance_m, detached, battery_low) in draw(tags_of).items():
        measured = data.tags[tag_id]
        measured.distance, measured.detached, measured.battery_low = distance_m, detached, battery_low
    return data.SerializeToString()


def field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


def entry(*, key: bytes = field(1, b"T"), value: bytes = field(2, b"\x1d\0\0\xc0\x3f")) -> bytes:
    return field(3, key + value)


A0 = field(1, b"A0")
AT = field(2, b"\x08\xa0\xc4\xfb\xb0\x06")
ODDLY_WRITTEN = [
    GOLDEN,
    A0 + AT + entry() + entry(value=field(2, b"\x1d\0\0\x20\x40")),  # a tag twice
    entry() + AT + A0,
    A0 + AT + field(2, b"\x10\x80\x94\xeb\xdc\x03") + entry(),  # one stamp in two parts
    A0 + field(2, b"\x10\x80\x94\xeb\xdc\x03") + AT + entry(),
    A0 + AT + AT + entry(),
    A0 + field(1, b"A1") + AT + entry(),
    field(1, b"\xff") + AT + entry(),
    A0 + AT + entry(key=field(1, b"\xff")),
    A0 + AT + entry(key=b""),
    A0 + AT + entry(value=b""),
    A0 + AT + entry(value=field(2, b"")),
    A0 + AT + entry(value=field(2, b"\x08\0\x1d\0\0\xc0\x3f")),  # a flag that says no
    A0 + AT + entry(value=field(2, b"\x1d\0\0\xc0\x3f\x08\x01")),  # the distance first
    A0 + AT + entry(value=field(2, b"\x1d\0\0\xc0\x3f\x1d\0\0\xc0\x40")),  # two distances
    A0 + AT + entry(value=field(2, b"\x1d\0\0\x80\x3f") + field(2, b"\x20\0\0\x80")),
    A0 + AT + entry(value=field(2, b"\x1d\0\0\xc0\x3f")) + field(9, b"new"),
    A0 + AT + entry(value=field(2, b"\x22\x01x\x1d\0\0\xc0\x3f")),
    A0 + AT + entry(key=field(2, b"\x1d\0\0\xc0\x3f"), value=field(1, b"T")),
    A0 + AT + field(3, b"\x12\x05\x1d\0"),
    A0 + AT + field(3, b""),
    A0 + AT + field(3, b"\x0a"),
    A0 + field(2, b"\x08\xff") + entry(),
    b"\x08\x05" + AT + entry(),
    A0 + b"\x12" + entry(),
]

values = st.one_of(
    messages(),
    messages(),
    st.sampled_from(ODDLY_WRITTEN),
    st.binary(max_size=20),
    st.builds(lambda value, cut: value[:cut], messages(), st.integers(0, 40)),
)
batches = st.lists(
    st.builds(
        lambda partition, offset, ms, value: KafkaRecord(partition, offset, ms * 1000, value),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**63 - 1),
        st.sampled_from([NOW_MS, NOW_MS + 1, NOW_MS + 40, NOW_MS - 2000]),
        values,
    ),
    max_size=12,
)


def slowly(records: list[KafkaRecord], site: Site) -> dict[str, list[Reading]]:
    return by_tag(reading for one in records for reading in decode(one, site).readings)


def quickly(decoder: BatchDecoder, batch: Batch, site: Site) -> dict[str, list[Reading]]:
    others = [(number, reading) for number, one in batch.odd for reading in decode(one, site).readings]
    packed = Readings.FromString(decoder.pack(decoder.by_tag(batch, others)))
    assert len(set(packed.tag)) == len(packed.tag)
    assert [tag_group(tag) for tag in packed.tag] == sorted(map(tag_group, packed.tag))
    return unpacked(packed.SerializeToString())


def is_plain(one: KafkaRecord, site: Site) -> bool:
    decoded = decode(one, site)
    return bool(decoded.readings and decoded.sighting) and not (decoded.rejected or decoded.time_replaced)


@given(st.lists(batches, max_size=3), st.sampled_from(SITES))
@example([[KafkaRecord(0, number, us(0), value) for number, value in enumerate(ODDLY_WRITTEN)]], SITES[0])
@example([[KafkaRecord(0, 0, us(0), value)] for value in ODDLY_WRITTEN], SITES[0])
def test_a_batch_gives_what_its_records_give(given_batches: list[list[KafkaRecord]], site: Site) -> None:
    gives_what_its_records_give(given_batches, site)
    with patch.object(plain_records, "_FEWEST", 1):
        gives_what_its_records_give(given_batches, site)


def gives_what_its_records_give(given_batches: list[list[KafkaRecord]], site: Site) -> None:
    decoder = BatchDecoder(site, tag_group)
    for records in given_batches:
        batch = decoder.decode(pack_records(records))
        assert batch.size == len(records)
        assert quickly(decoder, batch, site) == slowly(records, site)
        odd = dict(batch.odd)
        assert all(records[number] == one for number, one in odd.items())
        plain = [one for number, one in enumerate(records) if number not in odd]
        assert all(is_plain(one, site) for one in plain)
        anchor, kafka_time_us, stamped_us = batch.heard
        heard = zip((decoder.anchors[one] for one in anchor), kafka_time_us, stamped_us, strict=True)
        assert list(heard) == [decode(one, site).sighting for one in plain]


@given(st.lists(messages(), max_size=10), st.sampled_from(SITES))
def test_nothing_is_odd_but_what_is_out_of_the_ordinary(given_values: list[bytes], site: Site) -> None:
    """Else the quick way would be right, and never gone."""
    records = [KafkaRecord(0, number, us(0), value) for number, value in enumerate(given_values)]
    for number, one in BatchDecoder(site, tag_group).decode(pack_records(records)).odd:
        data = AnchorData.FromString(one.value)
        assert not is_plain(records[number], site) or any(len(tag.encode()) > MAX_ID_LENGTH for tag in data.tags)


def test_one_record_that_cannot_be_read_leaves_the_others_plain() -> None:
    records = [record(offset=0), KafkaRecord(0, 1, us(0), b"\xff"), record("A1", offset=2)]
    batch = BatchDecoder(DEMO, tag_group).decode(pack_records(records))
    assert batch.odd == [(1, records[1])]


def test_readings_stay_in_the_order_of_the_records() -> None:
    records = [record(f"A{number % 3}", None if number % 2 else 0.0, kafka_s=0.0, offset=number) for number in range(9)]
    decoder = BatchDecoder(DEMO, tag_group)
    batch = decoder.decode(pack_records(records))
    assert [number for number, _ in batch.odd] == [1, 3, 5, 7]
    assert [one.offset for one in quickly(decoder, batch, DEMO)["T"]] == list(range(9))


def test_the_same_bytes_with_another_distance_are_another_reading() -> None:
    distances_m = [1.5, 0.0, 2.5, 101.0, 99.5]
    records = [record(tags={"T": distance_m}, offset=number) for number, distance_m in enumerate(distances_m)]
    decoder = BatchDecoder(DEMO, tag_group)
    batch = decoder.decode(pack_records(records))
    assert [one.distance_m for one in quickly(decoder, batch, DEMO)["T"]] == [1.5, 2.5, 99.5]


@pytest.mark.parametrize("distance_m", [1.0, 2.0, 3.0])
def test_a_field_that_the_schema_does_not_know_is_no_distance(distance_m: float) -> None:
    """It comes last, four bytes long, and protobuf keeps it: such an entry is left to ``decode``."""
    data = AnchorData(anchor_id="A0")
    data.timestamp.FromMicroseconds(us(0.0))
    data.tags["T"].distance = distance_m
    data.tags["T"].MergeFromString(b"\x4d\x00\x00\xe0\x40")  # field 9, 7.0
    batch = BatchDecoder(DEMO, tag_group).decode(pack_records([KafkaRecord(0, 0, us(0.0), data.SerializeToString())]))
    assert len(batch.odd) == 1
    assert decode(batch.odd[0][1], DEMO).readings[0].distance_m == distance_m


def test_a_stamp_may_be_ahead_as_far_as_decode_allows() -> None:
    bound_us = us(0) + MAX_AHEAD_US
    records = [record(at_s=(bound_us + more - us(0)) / 1e6, kafka_s=0.0) for more in (0, 1)]
    batch = BatchDecoder(DEMO, tag_group).decode(pack_records(records))
    assert [number for number, _ in batch.odd] == [1]


@pytest.mark.parametrize("decoding", [BatchDecoder(DEMO, tag_group).decode, all_odd], ids=["decode", "all_odd"])
def test_what_is_no_batch_fails(decoding: Callable[[bytes], Batch]) -> None:
    with pytest.raises(DecodeError):
        decoding(b"\xff")
    with pytest.raises(ValueError, match=r"equal length|zip"):
        decoding(bytes.fromhex("0a020003120105"))


def test_all_may_be_left_to_decode() -> None:
    records = [record("A0", 0.0), record("A1", 0.0, tags={"U": 1.0})]
    batch = all_odd(pack_records(records))
    assert batch.odd == list(enumerate(records))
    assert quickly(BatchDecoder(DEMO, tag_group), batch, DEMO) == slowly(records, DEMO)


def test_tags_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_codes, "_MOST_KNOWN", 5)
    decoder = BatchDecoder(DEMO, tag_group)
    for first in range(0, 40, 4):
        records = [record(tags={f"T{first + number}": 1.0, "U": 2.0}, offset=number) for number in range(4)]
        decoder.make_room()
        batch = decoder.decode(pack_records(records))
        assert quickly(decoder, batch, DEMO) == slowly(records, DEMO)
        assert len(decoder._codes) <= 5 + 4


def test_what_is_packed_is_unchanged() -> None:
    decoder = BatchDecoder(DEMO, tag_group)
    given_readings = decoder.by_tag(decoder.decode(pack_records([record("A2"), record("A1")])), ())
    before = given_readings.rows.copy()
    decoder.pack(given_readings)
    assert np.array_equal(given_readings.rows, before)
