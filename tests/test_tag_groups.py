"""Many tags under one key: each has its own state, and the log does not grow without bound."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from apache_beam.runners.worker.statecache import get_deep_size
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transforms import tag_groups
from pipeline.transforms.tag_groups import TAG_GROUPS, Codec, TagStates, tag_group, timer_at
from pipeline.transforms.tag_log import Chunk, ChunkCoder

CODER = ChunkCoder()


class ListBag:
    """A bag as Beam's worker keeps it: what was added, in order; the very objects, as long as its cache holds them."""

    def __init__(self) -> None:
        self.entries: list[Chunk] = []
        self.writes = 0

    def read(self) -> Iterator[Chunk]:
        return iter(self.entries)

    def add(self, entry: Chunk) -> None:
        self.writes += 1
        self.entries.append(entry)

    def clear(self) -> None:
        self.entries = []

    def reload(self) -> None:
        """Lose the cache."""
        self.entries = [CODER.decode(CODER.encode(entry)) for entry in self.entries]


class OneTimer:
    """A timer as runners keep it: one time, or none."""

    def __init__(self) -> None:
        self.at: Timestamp | None = None

    def set(self, timestamp: Timestamp) -> None:
        self.at = timestamp

    def clear(self) -> None:
        self.at = None


class Read(list[int]):
    """A state that was read from bytes."""


CODEC: Codec[list[int]] = Codec(lambda state: json.dumps(state).encode(), lambda data: Read(json.loads(data)))


def states_of(bag: ListBag) -> TagStates[list[int]]:
    return TagStates(bag, CODEC)


def put(bag: ListBag, timer: OneTimer, *rows: tuple[str, int, list[int]]) -> None:
    states = states_of(bag)
    for tag, due_us, state in rows:
        states.put(tag, due_us, state)
    states.commit(timer)


def found(bag: ListBag, tags: str = "ABCDE") -> dict[str, list[int]]:
    """What a worker finds that has only the bytes."""
    other = ListBag()
    other.entries = list(bag.entries)
    other.reload()
    states = states_of(other)
    return {tag: state for tag in tags if (state := states.get(tag)) is not None}


def test_groups_are_part_of_the_savepoints_contract() -> None:
    assert TAG_GROUPS == 16
    assert [tag_group(tag) for tag in ("0003FFDDEEFF0000", "A", "")] == [14, 11, 0]


def test_tags_spread_over_all_groups() -> None:
    used = Counter(tag_group(f"{number:012X}0000") for number in range(1600))
    assert len(used) == TAG_GROUPS
    assert max(used.values()) < 2 * 100


def test_golden_bytes_of_a_chunk() -> None:
    bag = ListBag()
    put(bag, OneTimer(), ("T1", 300, [1]), ("T2", 301, [2]))
    states = states_of(bag)
    states.forget("T1")
    states.commit(None)
    assert [CODER.encode(entry).hex() for entry in bag.entries] == [
        "2c0100000000000002000300000054315b315d2d0100000000000002000300000054325b325d",
        "000000000000000002000000000054" + "31",
    ]


changes = st.tuples(st.sampled_from("ABCDE"), st.integers(1, 9999), st.none() | st.integers(1, 9))
bundles_of_changes = st.lists(
    st.tuples(st.lists(changes, max_size=8), st.sampled_from(["kept", "lost", "failed"])), max_size=20
)


@given(bundles_of_changes, st.sampled_from([0, 4096]), st.sampled_from([1, 512]), st.integers(0, 9999))
def test_behaves_as_a_dictionary_of_tags(
    bundles: list[tuple[list[tuple[str, int, int | None]], str]], slack: int, live: int, now_us: int
) -> None:
    """Whatever becomes of the cache; what a bundle that failed had done is as if it had not been."""
    bag, timer = ListBag(), OneTimer()
    expected: dict[str, tuple[int, list[int]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tag_groups, "_SLACK_BYTES", slack)
        patch.setattr(tag_groups, "_LIVE", live)
        for bundle, end in bundles:
            before, kept = dict(expected), list(bag.entries)
            states = states_of(bag)
            for tag, due_us, added in bundle:
                state = states.get(tag) or []
                assert state == expected.get(tag, (0, []))[1]
                if added is None:
                    states.forget(tag)
                    expected.pop(tag, None)
                else:
                    state.append(added)
                    states.put(tag, due_us, state)
                    expected[tag] = due_us, list(state)
            if end == "failed":
                expected, bag.entries = before, kept
                continue
            states.commit(timer)
            if end == "lost":
                bag.reload()
            assert found(bag) == {tag: state for tag, (_, state) in expected.items()}
            read = states_of(bag)
            next_due_us = min((due_us for due_us, _ in expected.values()), default=None)
            assert timer.at == (None if next_due_us is None else timer_at(next_due_us))
            by_due = sorted((due_us, tag) for tag, (due_us, _) in expected.items())
            assert read.due(now_us) == [tag for due_us, tag in by_due if due_us <= now_us]
            read.commit(timer)
            assert timer.at == (None if next_due_us is None else timer_at(next_due_us))


def test_what_was_written_here_last_is_not_read_again() -> None:
    bag, timer = ListBag(), OneTimer()
    state = [1]
    put(bag, timer, ("T", 1, state))
    assert states_of(bag).get("T") is state


def test_what_a_cache_has_lost_is_read_again() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]))
    bag.reload()
    assert isinstance(states_of(bag).get("T"), Read)


def test_what_was_changed_but_not_committed_does_not_survive() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]), ("U", 2, [2]))
    states = states_of(bag)
    for tag in ("T", "U"):
        changed = states.get(tag)
        assert changed is not None
        changed.append(99)
        states.put(tag, 0, changed)
    again = states_of(bag)
    assert (again.get("T"), again.get("U"), again.due(9)) == ([1], [2], ["T", "U"])


def test_what_was_taken_out_but_not_put_back_does_not_survive() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]))
    states = states_of(bag)
    taken = states.get("T")
    assert taken is not None
    taken.append(99)
    states.commit(timer)
    assert states_of(bag).get("T") == [1]


def test_what_a_bundle_wrote_that_failed_later_is_not_found() -> None:
    """Its chunks were never kept: the next bundle is given those of before."""
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]))
    kept = list(bag.entries)
    put(bag, timer, ("T", 5, [2]))
    bag.entries = kept
    states = states_of(bag)
    assert (states.get("T"), states.due(9)) == ([1], ["T"])


def test_keys_whose_logs_are_alike_do_not_meet() -> None:
    """Another job in the same process has cells of the same name, and here even the same bytes in them."""
    bags = [ListBag(), ListBag()]
    for bag in bags:
        put(bag, OneTimer(), ("T", 1, [1]))
    one, other = (states_of(bag) for bag in bags)
    mine, theirs = one.get("T"), other.get("T")
    assert mine is not None
    mine.append(2)
    assert theirs == [1]


def test_a_chunk_that_came_behind_others_than_before_says_nothing_of_them() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]))
    put(bag, timer, ("U", 2, [2]))
    other = ListBag()
    put(other, timer, ("V", 3, [3]))
    bag.entries[0] = other.entries[0]
    states = states_of(bag)
    assert (states.get("T"), states.get("U"), states.get("V")) == (None, [2], [3])


def test_two_at_once_leave_what_was_written_and_nothing_else() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T", 1, [1]))
    one, other = states_of(bag), states_of(bag)
    one.put("T", 2, [2])
    other.put("U", 3, [3])
    one.commit(timer)
    other.commit(timer)
    states = states_of(bag)
    assert (states.get("T"), states.get("U"), states.due(9)) == ([2], [3], ["T", "U"])


def test_the_log_is_written_anew_when_it_has_outgrown_what_it_says() -> None:
    bag, timer = ListBag(), OneTimer()
    state = [1] * 300
    for number in range(1000):
        put(bag, timer, (f"T{number % 10}", number, state))
        assert sum(len(entry.rows) for entry in bag.entries) <= 1.5 * 10 * 920 + 4096
    assert sum(isinstance(entry, Chunk) for entry in bag.entries) < 20
    assert found(bag, "") == {}
    assert states_of(bag).due(10**6) == [f"T{number}" for number in range(10)]


def test_states_of_many_tags_are_not_kept_as_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_groups, "_LIVE", 2)
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("A", 1, [65]), ("B", 1, [66]))
    states = states_of(bag)
    assert [type(states.get(tag)) for tag in "AB"] == [list, list]
    put(bag, timer, ("B", 1, [0]), ("C", 1, [67]))
    states = states_of(bag)
    assert [type(states.get(tag)) for tag in "ABC"] == [Read, Read, Read]
    assert found(bag) == {"A": [65], "B": [0], "C": [67]}


def test_a_cache_weighs_the_bytes_and_what_hangs_on_them() -> None:
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, *((f"T{number}", number, [1] * 300) for number in range(100)))
    size = len(bag.entries[0].rows)
    assert size < get_deep_size(bag.entries) < size + 100 * 10_000
    bag.reload()
    assert get_deep_size(bag.entries) < size + 10_000


def test_a_group_whose_tags_are_all_forgotten_ends_empty() -> None:
    bag, timer = ListBag(), OneTimer()
    for number in range(100):
        put(bag, timer, (f"T{number}", number, [1] * 100))
    for number in range(100):
        states = states_of(bag)
        states.forget(f"T{number}")
        states.commit(timer)
    assert states_of(bag).due(10**6) == []
    assert timer.at is None
    assert sum(len(entry.rows) for entry in bag.entries) <= 4096


def test_nothing_is_written_where_nothing_changed() -> None:
    bag = ListBag()
    states = states_of(bag)
    states.forget("T")
    states.commit(OneTimer())
    assert bag.writes == 0


@pytest.mark.parametrize(("due_us", "millis"), [(1, 1), (1000, 1), (1001, 2), (0, 0)])
def test_a_timer_is_never_early(due_us: int, millis: int) -> None:
    assert timer_at(due_us).micros == millis * 1000


def test_the_timer_stands_at_what_is_due_next_also_where_nothing_changed() -> None:
    """A timer that has fired stands no longer: it is set again for those that are not due yet."""
    bag, timer = ListBag(), OneTimer()
    put(bag, timer, ("T1", 2000, [1]), ("T2", 1000, [1]))
    assert timer.at == timer_at(1000)
    fired = OneTimer()
    states_of(bag).commit(fired)
    assert fired.at == timer_at(1000)
    assert bag.writes == 1


def test_the_longest_due_comes_first() -> None:
    states = states_of(ListBag())
    for tag, due_us in (("T1", 300), ("T2", 100), ("T3", 200), ("T4", 400)):
        states.put(tag, due_us, [1])
    states.forget("T3")
    assert states.due(300) == ["T2", "T1"]


def test_states_that_are_not_worth_it_are_not_kept_as_objects() -> None:
    bag = ListBag()
    codec = Codec(CODEC.to_bytes, CODEC.from_bytes, is_kept=False)
    states = TagStates(bag, codec)
    states.put("T", 1, [1])
    states.commit(OneTimer())
    assert type(TagStates(bag, codec).get("T")) is Read
    assert get_deep_size(bag.entries) < 4096


def test_a_tag_that_is_put_off_again_and_again_takes_no_more_room() -> None:
    bag, timer = ListBag(), OneTimer()
    weights = []
    for number in range(1, 5000):
        put(bag, timer, ("T", number * 1000, [1]))
        weights.append(len(bag.entries[-1].index.due))
    assert max(weights) < 1000
    assert timer.at == timer_at(4_999_000)
