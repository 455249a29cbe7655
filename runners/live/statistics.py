"""Statistics in bounded memory: quantiles, a rate, and a map that forgets. Times are given, none is read."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

RATE_SPAN_S = 10

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Histogram:
    """Counts of values ≥ 0, rounded to whole bins; what is negative counts as 0, what is too large as the last bin."""

    def __init__(self, bin_width: float, largest: float) -> None:
        self._bin_width = bin_width
        self._counts = np.zeros(math.ceil(largest / bin_width) + 1, dtype=np.int64)
        self.count = 0

    def add(self, value: float) -> None:
        """Count one value; NaN and infinity fall into the last bin, where they show."""
        last = len(self._counts) - 1
        at = min(max(round(value / self._bin_width), 0), last) if math.isfinite(value) else last
        self._counts[at] += 1
        self.count += 1

    def quantile(self, fraction: float) -> float | None:
        """Return the quantile, or None while nothing was counted."""
        if not self.count:
            return None
        rank = fraction * (self.count - 1)
        below, above = np.searchsorted(np.cumsum(self._counts), [math.floor(rank), math.ceil(rank)], side="right")
        return float(below + (above - below) * (rank % 1)) * self._bin_width


class Rate:
    """Events a second over the last ten whole seconds."""

    __slots__ = ("_by_second", "_first_s")

    def __init__(self) -> None:
        self._by_second: dict[int, int] = {}
        self._first_s: int | None = None

    def add(self, at_ms: int, events: int = 1) -> None:
        """Count ``events`` at ``at_ms``."""
        second = at_ms // 1000
        self._first_s = second if self._first_s is None else min(self._first_s, second)
        if second not in self._by_second:
            self._by_second = {s: n for s, n in self._by_second.items() if s >= second - RATE_SPAN_S}
        self._by_second[second] = self._by_second.get(second, 0) + events

    def per_s(self, now_ms: int) -> float:
        """Return the rate as seen at ``now_ms``, whose own second is not over and does not count."""
        now_s = now_ms // 1000
        if self._first_s is None or self._first_s >= now_s:
            return 0.0
        events = sum(n for second, n in self._by_second.items() if now_s - RATE_SPAN_S <= second < now_s)
        return events / min(RATE_SPAN_S, now_s - self._first_s)


class Recent(Generic[K, V]):
    """A map that forgets, oldest entry first, what is too old or too much."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, tuple[int, V]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return what is kept under a key, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def put(self, key: K, at_ms: int, value: V) -> None:
        """Keep a value; its place in the queue is that of the key's first time."""
        self._entries[key] = (at_ms, value)

    def pop(self, key: K) -> V | None:
        """Take out and return what is kept under a key, or None."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[1]

    def forget(self, before_ms: int) -> None:
        """Drop what leads the queue and is older than ``before_ms``, and what exceeds the capacity."""
        while self._entries:
            at_ms, _ = next(iter(self._entries.values()))
            if at_ms >= before_ms and len(self._entries) <= self._capacity:
                break
            self._entries.popitem(last=False)
