"""Which of many tags is due next, where nearly every one is put off again before its time has come."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any


class DueTags:
    """Tags by the time at which they are due, to the millisecond, which is what runners keep of a timer.

    Args:
        rows: what is known of each tag, first of all when it is due (microseconds). Whoever changes that adds the tag
            here. What does not agree with it is void, and is left where it stands until its time is the next.
    """

    def __init__(self, rows: Mapping[str, tuple[int, Any, Any, Any]]) -> None:
        self._rows = rows
        self._times_ms: list[int] = []
        self._tags: dict[int, list[str]] = {}
        self._entries = 0
        for tag, row in rows.items():
            self.add(tag, row[0])

    def __len__(self) -> int:
        """Return how many entries there are, the void ones among them."""
        return self._entries

    def add(self, tag: str, due_us: int) -> None:
        """Let a tag be due at a time."""
        due_ms = in_ms(due_us)
        tags = self._tags.get(due_ms)
        if tags is None:
            self._tags[due_ms] = [tag]
            heapq.heappush(self._times_ms, due_ms)
        else:
            tags.append(tag)
        self._entries += 1

    def next_ms(self) -> int | None:
        """Return the first millisecond by which a tag is due; None where none is."""
        while self._times_ms:
            first_ms = self._times_ms[0]
            tags = self._tags[first_ms]
            while tags:
                if self._is_due_at(tags[-1], first_ms):
                    return first_ms
                tags.pop()
                self._entries -= 1
            self._leave_first()
        return None

    def by(self, now_us: int) -> list[str]:
        """Return the tags that are due at a time, the longest due first."""
        now_ms = in_ms(now_us)
        found: dict[str, int] = {}
        while (first_ms := self.next_ms()) is not None and first_ms <= now_ms:
            found.update((tag, self._rows[tag][0]) for tag in self._tags[first_ms] if self._is_due_at(tag, first_ms))
            self._entries -= len(self._tags[first_ms])
            self._leave_first()
        for tag, due_us in found.items():
            self.add(tag, due_us)
        return [tag for due_us, tag in sorted((due_us, tag) for tag, due_us in found.items()) if due_us <= now_us]

    def _is_due_at(self, tag: str, at_ms: int) -> bool:
        row = self._rows.get(tag)
        return row is not None and in_ms(row[0]) == at_ms

    def _leave_first(self) -> None:
        del self._tags[heapq.heappop(self._times_ms)]


def in_ms(time_us: int) -> int:
    """Return the millisecond by which a time has come: a timer must not fire early."""
    return -(-time_us // 1000)
