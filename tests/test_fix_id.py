"""The name of a fix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Reading
from pipeline.positioning.fix_id import fix_id
from tests.readings import reading

GROUP = [reading("A0", 0.0, distance_m=1.0), reading("A1", 1.0, distance_m=2.0), reading("A2", 0.0, distance_m=3.0)]


def test_golden() -> None:
    assert fix_id(GROUP) == "76a265e160da0f2d4de9f65e"


@given(st.permutations(GROUP), st.integers(0, 1000))
def test_order_and_place_in_kafka_do_not_matter(group: list, offset: int) -> None:  # type: ignore[type-arg]
    moved = [one._replace(offset=offset, kafka_time_us=one.kafka_time_us + offset) for one in group]
    assert fix_id(moved) == fix_id(GROUP)


NAMES = st.text("AB1é", min_size=1, max_size=3)
READINGS = st.builds(
    lambda tag, anchor, at_us, distance_m: reading(anchor, tag=tag, distance_m=distance_m)._replace(
        measured_at_us=at_us
    ),
    NAMES,
    NAMES,
    st.integers(0, 3),
    st.sampled_from([1.0, 1.5]),
)


def told(readings: list[Reading]) -> list[tuple[str, str, float, int]]:
    return sorted((one.tag, one.anchor, one.distance_m, one.measured_at_us) for one in readings)


@given(st.lists(READINGS, max_size=3), st.lists(READINGS, max_size=3))
def test_readings_that_differ_have_another_name_wherever_one_ends_and_the_next_begins(
    some: list[Reading], others: list[Reading]
) -> None:
    assert (fix_id(some) == fix_id(others)) == (told(some) == told(others))


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
