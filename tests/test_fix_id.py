"""The name of a fix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.positioning.fix_id import fix_id
from tests.readings import reading

GROUP = [reading("A0", 0.0, distance_m=1.0), reading("A1", 1.0, distance_m=2.0), reading("A2", 0.0, distance_m=3.0)]


def test_golden() -> None:
    assert fix_id(GROUP) == "3d96014658e77fe9ead89915"


@given(st.permutations(GROUP), st.integers(0, 1000))
def test_order_and_place_in_kafka_do_not_matter(group: list, offset: int) -> None:  # type: ignore[type-arg]
    moved = [one._replace(offset=offset, kafka_time_us=one.kafka_time_us + offset) for one in group]
    assert fix_id(moved) == fix_id(GROUP)


def test_every_part_of_a_reading_matters() -> None:
    names = {fix_id(GROUP)}
    for changed in (
        GROUP[0]._replace(tag="U"),
        GROUP[0]._replace(anchor="A9"),
        GROUP[0]._replace(measured_at_us=GROUP[0].measured_at_us + 1),
        GROUP[0]._replace(distance_m=1.5),
    ):
        names.add(fix_id([changed, *GROUP[1:]]))
    assert len(names) == 5
