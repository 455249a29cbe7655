"""Solved groups through the shuffle: nothing is lost, and what is not known stays unknown."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Fix, Reading, Reason, Solved
from pipeline.wire import state_pb2
from pipeline.wire.solved import pack_solved, unpack_solved
from tests.readings import reading

FIX = Fix(1.5, -2.25, None, None, None, None, None, None, 1.25, [], "5d41402abc4b")

numbers = st.floats(allow_nan=False, allow_infinity=False)
unknown = st.none() | numbers
ids = st.text(min_size=1, max_size=20)
micros = st.integers(-(2**63), 2**63 - 1)
readings = st.builds(
    Reading,
    tag=ids,
    anchor=ids,
    distance_m=st.floats(width=32, allow_nan=False),
    measured_at_us=micros,
    kafka_time_us=micros,
    time_replaced=st.booleans(),
    detached=st.booleans(),
    battery_low=st.booleans(),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
)
fixes = st.builds(
    Fix, numbers, numbers, unknown, unknown, unknown, unknown, unknown, unknown, numbers, st.lists(ids, max_size=3)
)
groups = st.lists(readings, min_size=1, max_size=8)
solved = st.builds(Solved, ids, groups, fixes, st.none(), st.none()) | st.builds(
    Solved, ids, groups, st.none(), st.sampled_from([reason.value for reason in Reason]), st.text(max_size=50)
)


@given(st.lists(solved, max_size=4))
def test_nothing_is_lost_on_the_way(given_in: list[Solved]) -> None:
    assert unpack_solved(pack_solved(given_in)) == given_in


@given(solved)
def test_equal_groups_give_equal_bytes(one: Solved) -> None:
    assert pack_solved([one]) == pack_solved(unpack_solved(pack_solved([one])))


def test_zero_is_not_unknown() -> None:
    nothing = Solved("T", [reading()], Fix(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (), ""), None, None)
    (back,) = unpack_solved(pack_solved([nothing]))
    assert back.fix == Fix(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, [], "")
    (back,) = unpack_solved(pack_solved([Solved("T", [reading()], FIX, None, None)]))
    assert back.fix == FIX


def test_an_empty_detail_is_not_a_fix() -> None:
    refused = Solved("T", [reading()], None, Reason.TOO_FEW_ANCHORS.value, "")
    assert unpack_solved(pack_solved([refused])) == [refused]


def test_places_keep_all_their_bits() -> None:
    """In a national grid, 5000 km from its origin, 32 bits would round by decimetres."""
    fix = FIX._replace(x_m=500_000.123456789, y_m=5_400_000.987654321)
    (back,) = unpack_solved(pack_solved([Solved("T", [reading()], fix, None, None)]))
    assert back.fix is not None
    assert struct.pack("dd", back.fix.x_m, back.fix.y_m) == struct.pack("dd", fix.x_m, fix.y_m)


def test_every_part_of_a_record_has_its_field() -> None:
    assert list(Fix._fields) == [field.name for field in state_pb2.Fix.DESCRIPTOR.fields]
    assert list(Solved._fields) == [field.name for field in state_pb2.SolvedGroup.DESCRIPTOR.fields]
