"""Records as the Java side hands them over."""

from __future__ import annotations

import pytest

from pipeline.model import KafkaRecord
from pipeline.wire.kafka_records import pack_produced, pack_records, unpack_produced, unpack_records


def test_columns_become_records() -> None:
    # Made by hand: partitions 0 and 3, offsets 5 and 300, times 1 s and 2 s, values "ab" and none.
    packed = bytes.fromhex("0a020003120305ac021a04e807d00f220261622200")
    assert unpack_records(packed) == [KafkaRecord(0, 5, 1_000_000, b"ab"), KafkaRecord(3, 300, 2_000_000, b"")]


def test_records_survive_their_columns_but_for_what_kafka_does_not_keep() -> None:
    records = [KafkaRecord(0, 5, 1_000_999, b"ab"), KafkaRecord(3, 2**63 - 1, -1_000, b"")]
    assert unpack_records(pack_records(records)) == [records[0]._replace(kafka_time_us=1_000_000), records[1]]


def test_no_bytes_are_no_records() -> None:
    assert unpack_records(b"") == []


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        unpack_records(bytes.fromhex("0a020003120105"))


def test_records_to_write_come_back_as_they_were() -> None:
    records = [(b"T", b'{"x":1}'), (b"", b""), (b"U", b"\x00\xff")]
    assert unpack_produced(pack_produced(records)) == records
