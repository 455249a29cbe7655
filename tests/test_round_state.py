"""The grouping state as bytes: they are found again in savepoints, so they are pinned here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from pipeline.model import Reading, Rejected
from pipeline.positioning.round_state import VERSION, from_bytes, to_bytes
from pipeline.positioning.rounds import GroupingSettings, Rounds
from pipeline.transforms.tag_groups import by_tag
from pipeline.wire.readings import ROW, pack, pack_rows, unpack, unpack_by_tag
from pipeline.wire.state_pb2 import Readings
from tests.readings import reading
from tests.test_rounds import as_readings, streams

SETTINGS = GroupingSettings()
# Written by the first version that is released. Whoever has to change this line loses what sites have saved.
GOLDEN = (
    "010103000100210000000b000000400af4bd3c160600400af4bd3c16060040d5e7bd3c160600400af4bd3c16060000000000"
    "c8e4bd0001000000c03fa04ee6bd0001010000c03f40d5e7bd0001020000c03f400af4bd0001000000c03f00020041300200"
    "413102004132400af4bd3c1606000100540000020000c03f400af4bd3c160600400af4bd3c16060000000000040000000000"
    "0000"
)


def sample() -> Rounds:
    rounds = Rounds()
    for one in (reading("A0", 0.0, offset=1), reading("A1", 0.1, offset=2), reading("A2", 0.2, offset=3)):
        rounds.add(one, SETTINGS)
    rounds.advance(rounds.due_us(SETTINGS), SETTINGS)
    rounds.add(reading("A0", 1.0, offset=4)._replace(detached=True), SETTINGS)
    return rounds


def test_golden_bytes() -> None:
    assert to_bytes(sample()).hex() == GOLDEN
    assert from_bytes(bytes.fromhex(GOLDEN)) == sample()


def test_a_state_of_another_version_is_not_read() -> None:
    golden = bytes.fromhex(GOLDEN)
    assert golden[0] == VERSION
    assert from_bytes(bytes([VERSION + 1]) + golden[1:]) is None


@pytest.mark.parametrize(
    "names",
    [
        ["A1B2C3D3E4F50001", "A1B2C3D3E4F50002"],
        ["a1b2c3d3e4f50001", "A1B2C3D3E4F50002"],
        ["A1B2C3D3E4F5000", "1A1B2C3D3E4F50002"],
        ["A1B2C3D3 4F50001", "A1B2C3D3E4F5 002"],
        ["A1B2C3D3E4F5000G", "A1B2C3D3E4F50002"],
        ["é" * 16, ""],
        [f"{number:016X}" for number in range(300)],
        [f"anchor {number}" for number in range(300)],
    ],
)
def test_any_names_are_kept(names: list[str]) -> None:
    rounds = Rounds()
    for name in names:
        rounds.add(reading(name, 0.0), SETTINGS)
    kept = from_bytes(to_bytes(rounds))
    assert kept == rounds
    for name in names:
        assert [type(outcome) for outcome in kept.add(reading(name, 0.0), SETTINGS)] == [Rejected]


@given(streams)
def test_nothing_is_lost_on_the_way(stream: list) -> None:  # type: ignore[type-arg]
    rounds = Rounds()
    for one in as_readings(stream):
        rounds.add(one, SETTINGS)
        assert from_bytes(to_bytes(rounds)) == rounds


@given(streams)
def test_readings_survive_their_columns(stream: list) -> None:  # type: ignore[type-arg]
    readings = as_readings(stream)
    assert unpack(pack(readings)) == readings


@given(streams)
def test_readings_survive_by_tag(stream: list) -> None:  # type: ignore[type-arg]
    readings = [one._replace(tag=f"T{number % 3 // 2}") for number, one in enumerate(as_readings(stream))]
    packed = unpack_by_tag(pack(readings).SerializeToString())
    assert dict(zip(packed.tags, packed.readings, strict=True)) == by_tag(readings)
    runs = list(zip(packed.tags, map(len, packed.readings), strict=True))
    of_rows = pack_rows(runs, packed.anchors, packed.rows.copy())
    assert unpack(Readings.FromString(of_rows)) == [one for of_tag in packed.readings for one in of_tag]
    assert unpack(pack(readings)) == readings


def test_rows_are_packed_as_readings_are() -> None:
    readings = [
        Reading("T", "A1", 1.5, 2, 3, time_replaced=True, detached=False, battery_low=False, partition=4, offset=5),
        Reading("T", "A3", 2.5, -(2**63), 2**63 - 1, False, True, False, 2**31 - 1, 2**63 - 1),  # noqa: FBT003
        Reading("U", "A1", 3.5, 0, 0, False, False, True, 0, 0),  # noqa: FBT003
    ]
    rows = np.array([(int(one.anchor[1:]), *one[2:]) for one in readings], ROW)
    packed = pack_rows([("T", 2), ("U", 1)], ["A0", "A1", "A2", "A3"], rows)
    assert unpack(Readings.FromString(packed)) == readings
    assert packed == pack(readings).SerializeToString()


def test_every_part_of_a_reading_has_its_column() -> None:
    assert Reading._fields == ("tag", *(ROW.names or ()))


@pytest.mark.parametrize(("is_fine", "most"), [(False, 640), (True, 1100)])
def test_a_tag_heard_by_eight_anchors_every_second_takes_little_room(is_fine: bool, most: int) -> None:  # noqa: FBT001
    """Anchors stamp whole seconds, or each the millisecond in which it hears the blink."""
    rounds = Rounds()
    for second in range(60):
        for anchor in range(8):
            at_s = second + is_fine * anchor / 1000
            one = reading(f"00112233445566{anchor:02X}", at_s, distance_m=second + anchor / 8)
            rounds.add(one._replace(tag="0003FFDDEEFF0001"), SETTINGS)
        rounds.forget_seen(SETTINGS)
    assert len(to_bytes(rounds)) < most
