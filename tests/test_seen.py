"""What is remembered of the readings of a tag."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.positioning.seen import MAX_SEEN, Seen
from tests.readings import us

times_us = st.integers(0, 20_000_000).map(lambda offset_us: us(0.0) + offset_us)
distances_m = st.floats(0.125, 100.0, width=32)
readings = st.lists(st.tuples(st.sampled_from("AB"), times_us, distances_m), max_size=MAX_SEEN)


@given(readings, readings)
def test_a_reading_is_known_again_and_no_other_is(taken: list[tuple[str, int, float]], more: list) -> None:  # type: ignore[type-arg]
    seen, reference = Seen(), set()
    for one in [*taken, *taken, *more][:MAX_SEEN]:
        assert seen.add(*one) == (one not in reference)
        reference.add(one)


def test_of_an_anchor_the_newest_arrivals_are_remembered() -> None:
    seen = Seen()
    assert all(seen.add("A", us(number / 10), 1.5) for number in range(MAX_SEEN + 1))
    assert not any(seen.add("A", us(number / 10), 1.5) for number in range(1, MAX_SEEN + 1))
    assert seen.add("A", us(0.0), 1.5)


@given(readings, times_us)
def test_what_lies_before_a_time_is_forgotten_and_the_rest_is_not(
    taken: list[tuple[str, int, float]], before_us: int
) -> None:
    seen = Seen()
    for one in sorted(set(taken), key=lambda one: one[1]):
        seen.add(*one)
    seen.forget_before(before_us)
    assert seen.by_anchor.keys() == {anchor for anchor, measured_at_us, _ in taken if measured_at_us >= before_us}
    assert all(seen.add(*one) == (one[1] < before_us) for one in set(taken))


def test_a_time_ahead_of_the_others_holds_nothing_up_but_its_own_anchor() -> None:
    seen = Seen()
    for anchor, at_s in (("A", 9.0), ("A", 0.0), ("B", 0.0)):
        seen.add(anchor, us(at_s), 1.0)
    seen.forget_before(us(5.0))
    assert seen.by_anchor.keys() == {"A"}
