"""What is remembered of the readings of a tag."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.positioning.seen import ROOM, Seen, from_blocks
from tests.readings import us

anchors = st.sampled_from([0, 1, 255, 256, 1000])
seconds_us = st.integers(0, 20).map(lambda second: us(float(second)))
times_us = st.integers(0, 20_000_000).map(lambda offset_us: us(0.0) + offset_us) | seconds_us
distances_m = st.sampled_from([0.5, 1.5, 2.0]) | st.floats(0.125, 100.0, width=32)
readings = st.lists(st.tuples(anchors, times_us, distances_m), max_size=64)


@given(readings, readings)
def test_a_reading_is_known_again_and_no_other_is(
    taken: list[tuple[int, int, float]], more: list[tuple[int, int, float]]
) -> None:
    seen, reference = Seen(), set[tuple[int, int, float]]()
    for one in [*taken, *taken, *more]:
        assert seen.add(*one) == (one not in reference)
        reference.add(one)


def test_many_readings_of_one_time_are_all_known_again() -> None:
    """A clock that stands still."""
    seen = Seen()
    ones = [(number % 300, us(0.0), 1.0 + number // 300) for number in range(2000)]
    assert all(seen.add(*one) for one in ones)
    assert not any(seen.add(*one) for one in ones)


def test_of_too_many_the_first_are_forgotten() -> None:
    seen = Seen()
    assert all(seen.add(0, us(number / 1000), 1.5) for number in range(10_000))
    assert len(seen.earlier) <= ROOM
    assert not any(seen.add(0, us(number / 1000), 1.5) for number in range(7_000, 10_000))
    assert seen.add(0, us(0.0), 1.5)


def test_large_blocks_after_small_ones_stay_within_the_room() -> None:
    """One anchor gone wild, first at ever new times and then at few."""
    seen = Seen()
    for number in range(ROOM // 11):
        seen.add(0, us(number / 1000), 1.5)
    for number in range(25 * 255):
        seen.add(0, us(5.0 + number // 255), float(number))
    assert ROOM // 2 < len(seen.earlier) <= ROOM
    assert not seen.add(0, us(5.0 + 24), float(25 * 255 - 1))


@given(readings, times_us)
def test_what_lies_before_a_time_is_forgotten_and_the_rest_is_not(
    taken: list[tuple[int, int, float]], before_us: int
) -> None:
    seen = Seen()
    for one in sorted(set(taken), key=lambda one: one[1]):
        seen.add(*one)
    seen.forget_before(before_us)
    assert seen.anchors() == {anchor for anchor, measured_at_us, _ in taken if measured_at_us >= before_us}
    assert all(seen.add(*one) == (one[1] < before_us) for one in set(taken))


def test_a_time_ahead_of_the_others_holds_them_up_for_as_long_as_it_is_ahead() -> None:
    seen = Seen()
    for anchor, at_s in ((0, 9.0), (1, 0.0), (2, 10.0)):
        seen.add(anchor, us(at_s), 1.0)
    seen.forget_before(us(9.0))
    assert seen.anchors() == {0, 1, 2}
    seen.forget_before(us(10.0))
    assert seen.anchors() == {2}


@given(readings)
def test_numbers_can_be_changed(taken: list[tuple[int, int, float]]) -> None:
    seen, renumbered = Seen(), Seen()
    numbers = {0: 300, 1: 0, 255: 1, 256: 2, 1000: 3}
    for anchor, measured_at_us, distance_m in taken:
        seen.add(anchor, measured_at_us, distance_m)
        renumbered.add(numbers[anchor], measured_at_us, distance_m)
    assert seen.renumbered(numbers).last_block() == renumbered.last_block()
    assert seen.renumbered(numbers).earlier == renumbered.earlier
    again = seen.renumbered(numbers)
    assert not any(
        again.add(numbers[anchor], measured_at_us, distance_m) for anchor, measured_at_us, distance_m in taken
    )


@given(readings)
def test_blocks_hold_all_of_it(taken: list[tuple[int, int, float]]) -> None:
    seen = Seen()
    for one in taken:
        seen.add(*one)
        assert from_blocks(seen.earlier, seen.newest_us, seen.last_block(), seen.last_us) == seen
