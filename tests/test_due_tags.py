"""Which of many tags is due next: held to a search through all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.transforms.due_tags import DueTags, in_ms

Rows = dict[str, tuple[int, bytes, int, int]]

steps = st.lists(
    st.tuples(st.sampled_from("ABCDEF"), st.integers(-3000, 9000) | st.none(), st.integers(-3000, 9000)), max_size=40
)


def set_due(rows: Rows, due: DueTags, tag: str, due_us: int) -> None:
    rows[tag] = due_us, b"", 0, 0
    due.add(tag, due_us)


@given(steps)
def test_is_as_a_search_through_all(steps: list[tuple[str, int | None, int]]) -> None:
    rows: Rows = {"A": (2500, b"", 0, 0)}
    due = DueTags(rows)
    for tag, due_us, now_us in steps:
        if due_us is None:
            rows.pop(tag, None)
        else:
            set_due(rows, due, tag, due_us)
        expected = sorted((row[0], one) for one, row in rows.items())
        assert due.next_ms() == (in_ms(expected[0][0]) if expected else None)
        assert due.by(now_us) == [one for at_us, one in expected if at_us <= now_us]
        assert len(due) >= len(rows)


def test_void_entries_leave_when_their_time_is_the_next() -> None:
    rows: Rows = {}
    due = DueTags(rows)
    for number in range(100):
        set_due(rows, due, "T", number * 1000)
    assert len(due) == 100
    assert due.next_ms() == 99
    assert len(due) == 1
    del rows["T"]
    assert due.next_ms() is None
    assert len(due) == 0


def test_a_tag_is_not_due_before_its_microsecond() -> None:
    rows: Rows = {"T": (1001, b"", 0, 0)}
    due = DueTags(rows)
    assert due.by(1000) == []
    assert due.by(1001) == ["T"]
    assert due.next_ms() == 2
