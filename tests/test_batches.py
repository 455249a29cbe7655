"""What a bundle holds of a tag group leaves as one element: in order, at its earliest time, and none too large."""

from __future__ import annotations

from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transforms.batches import MAX_BATCH, Batched, Batches


def joined(items: list[str]) -> bytes:
    return " ".join(items).encode()


def contents(batches: list[Batched]) -> list[tuple[int, bytes, int]]:
    return [(*batch.value, batch.timestamp.micros) for batch in batches]


def test_items_leave_by_tag_group_in_order_at_the_earliest_time() -> None:
    batches = Batches[str](joined)
    for tag_group, item, at_us in ((7, "a", 300), (3, "b", 200), (7, "c", 100), (7, "d", 400)):
        assert batches.add(tag_group, item, at_us) is None
    assert contents(list(batches.rest())) == [(7, b"a c d", 100), (3, b"b", 200)]


def test_what_has_left_does_not_leave_again() -> None:
    batches = Batches[str](joined)
    batches.add(1, "a", 100)
    assert len(list(batches.rest())) == 1
    assert list(batches.rest()) == []
    batches.add(1, "b", 200)
    assert contents(list(batches.rest())) == [(1, b"b", 200)]


def test_a_full_batch_leaves_before_the_bundle_ends() -> None:
    batches = Batches[str](joined)
    batches.add(2, "other", 5)
    given = [batches.add(1, str(number), number) for number in range(2 * MAX_BATCH + 1)]
    left = [batch for batch in given if batch is not None]
    assert [(batch.value[0], len(batch.value[1].split()), batch.timestamp.micros) for batch in left] == [
        (1, MAX_BATCH, 0),
        (1, MAX_BATCH, MAX_BATCH),
    ]
    assert contents(list(batches.rest())) == [(2, b"other", 5), (1, str(2 * MAX_BATCH).encode(), 2 * MAX_BATCH)]


def test_elements_are_in_the_global_window() -> None:
    batches = Batches[str](joined)
    batches.add(1, "a", 1_713_300_000_000_001)
    (batch,) = batches.rest()
    assert batch.windows == (GlobalWindow(),)
    assert batch.timestamp == Timestamp(micros=1_713_300_000_000_001)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000)), max_size=30))
def test_nothing_is_lost_and_no_element_is_later_than_its_items(items: list[tuple[int, int]]) -> None:
    batches = Batches[str](joined)
    for number, (tag_group, at_us) in enumerate(items):
        batches.add(tag_group, str(number), at_us)
    left = contents(list(batches.rest()))
    numbers = {tag_group: [int(item) for item in packed.split()] for tag_group, packed, _ in left}
    of_group = {group: [number for number, (one, _) in enumerate(items) if one == group] for group, _ in items}
    assert numbers == of_group
    assert {group: at_us for group, _, at_us in left} == {
        group: min(items[number][1] for number in found) for group, found in of_group.items()
    }
