"""Many tags under one key: each has its own state, and the log does not grow without bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transforms.tag_groups import ENTRY_CODER, TAG_GROUPS, Entry, TagStates, tag_group, timer_at


class ListBag:
    """A bag as runners keep it: what was added, encoded, in order."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.writes = 0

    def read(self) -> Iterator[Entry]:
        return iter([ENTRY_CODER.decode(entry) for entry in self.entries])

    def add(self, entry: Entry) -> None:
        self.writes += 1
        self.entries.append(ENTRY_CODER.encode(entry))

    def clear(self) -> None:
        self.entries.clear()


class OneTimer:
    """A timer as runners keep it: one time, or none."""

    def __init__(self) -> None:
        self.at: Timestamp | None = None

    def set(self, timestamp: Timestamp) -> None:
        self.at = timestamp

    def clear(self) -> None:
        self.at = None


def test_groups_are_part_of_the_savepoints_contract() -> None:
    assert TAG_GROUPS == 16
    assert [tag_group(tag) for tag in ("0003FFDDEEFF0000", "A", "")] == [14, 11, 0]


def test_tags_spread_over_all_groups() -> None:
    used = Counter(tag_group(f"{number:012X}0000") for number in range(1600))
    assert len(used) == TAG_GROUPS
    assert max(used.values()) < 2 * 100


def test_golden_bytes_of_an_entry() -> None:
    assert ENTRY_CODER.encode(("T1", 300, b"\x01\x02")).hex() == "025431ac020102"


@given(st.lists(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(1, 99), st.binary(max_size=3)), max_size=8)))
def test_behaves_as_a_dictionary_of_tags(bundles: list[list[tuple[str, int, bytes]]]) -> None:
    bag, timer = ListBag(), OneTimer()
    expected: dict[str, tuple[int, bytes]] = {}
    for bundle in bundles:
        states = TagStates(bag)
        for tag, due_us, state in bundle:
            if state:
                states.put(tag, due_us, state)
                expected[tag] = (due_us, state)
            else:
                states.forget(tag)
                expected.pop(tag, None)
        states.commit(timer)
        read = TagStates(bag)
        assert {tag: read.get(tag) for tag in "ABCDE"} == {tag: expected.get(tag, (0, b""))[1] for tag in "ABCDE"}
        assert read.next_due_us() == min((due_us for due_us, _ in expected.values()), default=None)
        next_due_us = read.next_due_us()
        assert timer.at == (None if next_due_us is None else timer_at(next_due_us))
        assert set(read.due(50)) == {tag for tag, (due_us, _) in expected.items() if due_us <= 50}


def test_the_log_is_written_anew_when_it_has_doubled() -> None:
    bag, timer = ListBag(), OneTimer()
    for number in range(1000):
        states = TagStates(bag)
        states.put(f"T{number % 10}", number, b"state")
        states.commit(timer)
        assert len(bag.entries) <= 2 * 10 + 16
    assert bag.writes < 2 * 1000


def test_a_group_whose_tags_are_all_forgotten_ends_empty() -> None:
    bag, timer = ListBag(), OneTimer()
    for number in range(100):
        states = TagStates(bag)
        states.put(f"T{number}", number, b"state")
        states.commit(timer)
    for number in range(100):
        states = TagStates(bag)
        states.forget(f"T{number}")
        states.commit(timer)
    assert TagStates(bag).next_due_us() is None
    assert timer.at is None
    assert len(bag.entries) <= 16


def test_nothing_is_written_where_nothing_changed() -> None:
    bag = ListBag()
    TagStates(bag).commit(OneTimer())
    assert bag.writes == 0


@pytest.mark.parametrize(("due_us", "millis"), [(1, 1), (1000, 1), (1001, 2), (0, 0)])
def test_a_timer_is_never_early(due_us: int, millis: int) -> None:
    assert timer_at(due_us).micros == millis * 1000


def test_the_timer_stands_at_what_is_due_next_also_where_nothing_changed() -> None:
    """A timer that has fired stands no longer: it is set again for those that are not due yet."""
    bag, timer = ListBag(), OneTimer()
    states = TagStates(bag)
    states.put("T1", 2000, b"state")
    states.put("T2", 1000, b"state")
    states.commit(timer)
    assert timer.at == timer_at(1000)
    fired = OneTimer()
    TagStates(bag).commit(fired)
    assert fired.at == timer_at(1000)
    assert bag.writes == 2


def test_the_longest_due_comes_first() -> None:
    states = TagStates(ListBag())
    for tag, due_us in (("T1", 300), ("T2", 100), ("T3", 200), ("T4", 400)):
        states.put(tag, due_us, b"state")
    states.forget("T3")
    assert states.due(300) == ["T2", "T1"]
