"""What the simulator puts on the wire, against the bytes of the contract."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.wire.anchor_data import encode_anchor_alive, encode_anchor_data
from pipeline.wire.message_pb2 import AnchorAlive, AnchorData
from tests.readings import GOLDEN


class Tag(NamedTuple):
    distance_m: float
    detached: bool = False
    battery_low: bool = False


def test_anchor_data_is_the_golden_record() -> None:
    tags = {"0003FFDDEEFF0001": Tag(1.25, detached=True)}
    assert encode_anchor_data("A1B2C3D3E4F50001", 1_713_300_000_000_000, tags) == GOLDEN


def test_the_order_of_the_tags_does_not_change_the_bytes() -> None:
    tags = {f"{number:016X}": Tag(number + 0.5) for number in range(40)}
    turned = dict(reversed(tags.items()))
    assert encode_anchor_data("A0", 0, tags) == encode_anchor_data("A0", 0, turned)


def test_flags_and_microseconds_are_carried() -> None:
    data = AnchorData.FromString(encode_anchor_data("A0", 1_500_000, {"T": Tag(2.0, battery_low=True)}))
    assert (data.timestamp.seconds, data.timestamp.nanos) == (1, 500_000_000)
    assert data.tags["T"].battery_low
    assert not data.tags["T"].detached


def test_a_missing_time_is_left_out_and_1970_is_not() -> None:
    assert not AnchorData.FromString(encode_anchor_data("A0", None, {})).HasField("timestamp")
    assert AnchorData.FromString(encode_anchor_data("A0", 0, {})).HasField("timestamp")


def test_a_heartbeat_carries_anchor_and_time() -> None:
    alive = AnchorAlive.FromString(encode_anchor_alive("A0", 7_000_000))
    assert (alive.anchor_id, alive.timestamp.seconds) == ("A0", 7)
