"""What is read of values that are written alike is what protobuf reads."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.wire import plain_records
from pipeline.wire.plain_records import read_alike
from pipeline.wire.state_pb2 import SeenRecord
from tests.readings import record
from tests.test_batch_decoder import ODDLY_WRITTEN, messages

mutations = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0, 1, 5, 8, 10, 16, 18, 26, 127, 128, 255])))


def mutated(value: bytes, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(value)
    for at, byte in changes:
        if at < len(data):
            data[at] = byte
    return bytes(data)


values = st.builds(mutated, st.sampled_from(ODDLY_WRITTEN) | messages(), mutations)


@given(st.lists(values, max_size=12))
@example(ODDLY_WRITTEN)
def test_what_is_read_is_what_protobuf_reads(given_values: list[bytes]) -> None:
    with patch.object(plain_records, "_FEWEST", 1):
        found = read_alike(given_values)
    assert len({one for alike in found for one in alike.record.tolist()}) == sum(len(alike.record) for alike in found)
    for record_, anchor, seconds, nanos, start, distance_m in (
        each for alike in found for each in zip(*alike, strict=True)
    ):
        seen = SeenRecord.FromString(given_values[record_])
        assert (seen.anchor_id, seen.timestamp.seconds, seen.timestamp.nanos) == (anchor, seconds, nanos)
        (entry,) = seen.tags
        assert entry == start + distance_m.tobytes()


def test_nanoseconds_are_of_32_bits() -> None:
    stamp = b"\x08\xa0\xc4\xfb\xb0\x06\x10\xff\xff\xff\xff\x7f"
    value = b"\x0a\x02A0\x12" + bytes((len(stamp),)) + stamp + b"\x1a\x0a\x0a\x01T\x12\x05\x1d\0\0\xc0\x3f"
    (alike,) = read_alike([value] * 40)
    assert set(alike.nanos.tolist()) == {SeenRecord.FromString(value).timestamp.nanos} == {-1}


def test_records_as_they_nearly_all_are_are_read_so() -> None:
    given_values = [record(f"A{number % 3}", number * 0.25, offset=number).value for number in range(200)]
    left = set(range(200)).difference(*(alike.record.tolist() for alike in read_alike(given_values)))
    assert not left


def test_of_nothing_nothing_is_read() -> None:
    assert read_alike([]) == []
    assert read_alike([b""] * 50) == []
    assert read_alike([b"\xff"] * 50) == []


def test_those_that_are_written_otherwise_are_left() -> None:
    value = record().value
    other = value[:2] + b"B" + value[3:]
    given_values = [value, other, b"\xff" * len(value)] * 40
    read = np.sort(np.concatenate([alike.record for alike in read_alike(given_values)]))
    assert [one % 3 for one in read.tolist()] == [0, 1] * 40
