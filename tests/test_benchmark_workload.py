"""The readings that all systems are given: the same each time, well-formed, and true."""

from __future__ import annotations

import math

import pytest

from benchmarks.peers.three_circles import Heard, intersection
from benchmarks.plan import FULL, SHORT
from benchmarks.workload import Workload
from pipeline.wire.message_pb2 import AnchorData

AT_US = 1_769_860_800_123_456
SMALL = Workload(tags=4, blinks=3, anchors=5)


def test_records_are_the_same_each_time() -> None:
    assert list(SMALL.records(1, AT_US)) == list(Workload(tags=4, blinks=3, anchors=5).records(1, AT_US))


def test_a_record_is_one_reading_as_an_anchor_sends_it() -> None:
    places, anchors = SMALL.places(2), SMALL.anchor_places()
    told = [(tag, AnchorData.FromString(value)) for tag, value in SMALL.records(2, AT_US)]
    assert [(tag, data.anchor_id) for tag, data in told] == [
        (tag, SMALL.anchor(anchor)) for tag in range(4) for anchor in range(5)
    ]
    for place, (tag, data) in enumerate(told):
        assert data.timestamp.ToMicroseconds() == AT_US
        ((name, heard),) = data.tags.items()
        assert name == SMALL.tag(tag)
        assert heard.distance == pytest.approx(math.dist(places[tag], anchors[place % 5]), rel=1e-6)
        assert not heard.detached
        assert not heard.battery_low


@pytest.mark.parametrize("at_us", [1_000_000, 1_769_860_800_000_000, AT_US])
def test_records_are_as_protobuf_writes_them(at_us: int) -> None:
    for _, value in Workload(tags=1, blinks=1).records(0, at_us):
        assert AnchorData.FromString(value).SerializeToString() == value


def test_three_circles_meet_at_the_truth() -> None:
    workload = Workload(tags=50, blinks=1)
    places = {workload.anchor(number): (x, y) for number, (x, y) in enumerate(workload.anchor_places().tolist())}
    heard: dict[int, list[Heard]] = {}
    for tag, value in workload.records(0, AT_US):
        data = AnchorData.FromString(value)
        one = data.tags[workload.tag(tag)]
        heard.setdefault(tag, []).append(Heard(workload.tag(tag), data.anchor_id, one.distance, False, False))  # noqa: FBT003
    for tag, place in enumerate(workload.places(0).tolist()):
        position = intersection(heard[tag], places)
        assert position is not None
        assert f'"tagid": "{workload.tag(tag)}"' in position
        told = dict(part.split(": ") for part in position.strip("{}").split(", "))
        assert (float(told['"x"']), float(told['"y"'])) == pytest.approx(place, abs=1e-4)


def test_anchors_in_a_line_make_no_position() -> None:
    heard = [Heard("T", name, 1.0, False, False) for name in "ABC"]  # noqa: FBT003
    assert intersection(heard, {"A": (0.0, 0.0), "B": (1.0, 1.0), "C": (2.0, 2.0)}) is None


def test_tags_walk_slowly_within_the_ring() -> None:
    workload = Workload(tags=1000, blinks=2)
    here, there = workload.places(0), workload.places(1)
    assert abs(here).max() < 6.0
    assert 0.0 < max(math.dist(one, other) for one, other in zip(here, there, strict=True)) < 0.2


def test_sizes() -> None:
    assert (SMALL.fixes, SMALL.readings) == (12, 60)
    assert FULL.usual.readings == FULL.readings
    assert SHORT.of_tags(100_000).blinks == SHORT.blinks_at_least
    assert {workload.anchors for workload in map(FULL.of_anchors, FULL.anchors)} == set(FULL.anchors)
