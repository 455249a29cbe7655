"""Many readings of a tag to groups at once: what :meth:`Rounds.add` of one after the other gives, at less cost.

Most rounds come whole and in good order: as many readings as make a group, one an anchor, with nothing to do on the way
but to collect them. A run of such rounds is taken in together, column by column. Here is only what makes sure that
they are such; all others are left to :meth:`Rounds.add`, which knows all the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import sub
from typing import Any

from pipeline.model import Group, Reading
from pipeline.positioning.rounds import (
    FORGET_AFTER_ROUNDS,
    NEW_FOR_ROUNDS,
    GroupingMode,
    GroupingSettings,
    Outcome,
    Rounds,
    by_time,
)
from pipeline.site import MIN_ANCHORS

_ANCHOR, _DETACHED = map(Reading._fields.index, ("anchor", "detached"))
"""From the one up to the other are what matters here: anchor, distance, both times, and whether one was replaced."""
_SHORTER = 4
"""By how much the next run is shorter that is tried, where one is not as it should be."""


def add_all(rounds: Rounds, readings: Sequence[Reading], settings: GroupingSettings) -> list[Outcome]:
    """Take readings of one tag in, in their order; return the groups and rejections that follow from them."""
    outcomes: list[Outcome] = []
    at, count = 0, len(readings)
    columns = tuple(zip(*readings, strict=True))
    anchors = columns[_ANCHOR] if columns else ()
    while at < count:
        size = _size(rounds, settings)
        end = _end(rounds, anchors, at, size, settings) if size else at
        while end > at:
            run = _Run(size, readings[at:end], [column[at:end] for column in columns[_ANCHOR:_DETACHED]])
            if run.is_certain(rounds, settings) and run.is_news(rounds):
                outcomes += run.taken(rounds)
                break
            end = at + (end - at) // size // _SHORTER * size
        if end > at:
            at = end
        else:
            outcomes += rounds.add(readings[at], settings)
            at += 1
    return outcomes


def _size(rounds: Rounds, settings: GroupingSettings) -> int:
    """Return how many readings a whole round has; 0 where one is open, or that is not known."""
    if rounds.open or rounds.opened_at_us:
        return 0
    if settings.mode is GroupingMode.THREE:
        return MIN_ANCHORS
    size = len(rounds.heard)
    return size if size >= MIN_ANCHORS and rounds.rounds >= NEW_FOR_ROUNDS else 0


def _end(rounds: Rounds, anchors: Sequence[str], at: int, size: int, settings: GroupingSettings) -> int:
    """Return up to where rounds are by as many anchors, in each round once, as they should be."""
    expected = None if settings.mode is GroupingMode.THREE else rounds.heard.keys()
    numbers, count = rounds.numbers.keys(), len(anchors)
    whole: set[Sequence[str]] = set()  # of few anchors, there are few orders to look into
    while (end := at + size) <= count:
        ones = anchors[at:end]
        if ones not in whole:
            names = set(ones)
            if len(names) < size or not (numbers >= names if expected is None else expected == names):
                break
            whole.add(ones)
        at = end
    return at


class _Run:
    """Whole rounds one after the other, each of so many readings by distinct anchors that have numbers."""

    def __init__(self, size: int, readings: Sequence[Reading], columns: Sequence[Sequence[Any]]) -> None:
        self._size, self._readings = size, readings
        self._anchors, self._distances_m, self._times_us, self._kafka_us, self._replaced = columns
        self._is_ordered = list(self._times_us) == sorted(self._times_us)
        self._is_ordered_in_kafka = list(self._kafka_us) == sorted(self._kafka_us)

    def is_certain(self, rounds: Rounds, settings: GroupingSettings) -> bool:
        """Whether each round is over before anything of it is due, its readings go together, and none is late."""
        if any(self._replaced):
            return False
        size, last, kafka_us, times_us = self._size, self._size - 1, self._kafka_us, self._times_us
        clocks_us: Sequence[int] = kafka_us
        if kafka_us[0] >= rounds.clock_us and self._is_ordered_in_kafka:
            earliest_us = kafka_us[::size]
        else:
            clocks_us = [*accumulate(kafka_us, max, initial=rounds.clock_us)][1:]
            earliest_us = self._by_round(min, kafka_us)
        if clocks_us[-1] >= rounds.clock_us + settings.tag_expiry_us:
            return False
        if settings.mode is GroupingMode.THREE:
            if max(map(sub, clocks_us[last::size], earliest_us)) > settings.max_reading_age_us:
                return False
        elif max(map(sub, clocks_us[last::size], clocks_us[::size])) >= settings.round_wait_us:
            return False
        if self._is_ordered:
            oldest_us, newest_us = times_us[::size], times_us[last::size]
        else:
            oldest_us, newest_us = self._by_round(min, times_us), self._by_round(max, times_us)
        if max(map(sub, newest_us, oldest_us)) > settings.max_reading_age_us:
            return False
        # What readings are late by is never ahead of the clock.
        return bool(
            max(rounds.newest_us, *newest_us) - min(oldest_us) <= settings.max_lateness_us
            or max(map(sub, clocks_us[last::size], oldest_us)) <= settings.max_lateness_us
        )

    def is_news(self, rounds: Rounds) -> bool:
        """Remember the readings as seen, unless one has been before."""
        numbers = [*map(rounds.numbers.__getitem__, self._anchors)]
        return rounds.seen.add_all(numbers, self._times_us, self._distances_m)

    def taken(self, rounds: Rounds) -> list[Group]:
        """Return the groups, once their readings are seen, and what is to be remembered of them."""
        size, readings, anchors = self._size, self._readings, self._anchors
        times_us, kafka_us = self._times_us, self._kafka_us
        firsts = range(0, len(readings), size)
        rounds.clock_us = max(rounds.clock_us, *kafka_us)
        if self._is_ordered and self._is_ordered_in_kafka:
            rounds.newest_us = max(rounds.newest_us, min(times_us[-1], kafka_us[-1]))
        else:
            rounds.newest_us = max(rounds.newest_us, *map(min, times_us, kafka_us))
        rounds.rounds = min(rounds.rounds + len(firsts), NEW_FOR_ROUNDS)
        # Of rounds by the same anchors a few do: by then all others are forgotten, and nothing changes any more.
        for at in firsts if len(set(anchors)) > size else firsts[:FORGET_AFTER_ROUNDS]:
            rounds.hear(anchors[at : at + size])
        tag, new = readings[0].tag, tuple.__new__  # what Group() comes to, at half the price
        if self._is_ordered and len(set(times_us)) == len(times_us):
            return [new(Group, (tag, readings[at : at + size])) for at in firsts]
        return [new(Group, (tag, sorted(readings[at : at + size], key=by_time))) for at in firsts]

    def _by_round(self, what: Callable[..., int], values: Sequence[int]) -> Sequence[int]:
        """Return the least or the greatest value of each round."""
        return [*map(what, *(values[place :: self._size] for place in range(self._size)))]
