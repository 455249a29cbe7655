"""Many readings of many tags to groups at once: what :meth:`Rounds.add` of one after the other gives, at less cost.

Most rounds come whole and in good order: as many readings as make a group, one an anchor, with nothing to do on the way
but to collect them. Such are taken in here, from the states as they are written and to them, in machine code. Here is
only what makes sure that rounds are such; all others are left to :meth:`Rounds.add`, which knows all the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Group, Reading
from pipeline.positioning.anchor_names import names_to_bytes
from pipeline.positioning.round_bytes import OF_TAG, Bounds, Columns, Found, Known, take_all
from pipeline.positioning.rounds import NEW_FOR_ROUNDS, GroupingMode, GroupingSettings, Rounds, by_time
from pipeline.positioning.seen import GROWTH
from pipeline.site import MIN_ANCHORS


class Taken(NamedTuple):
    """What was taken in of a tag's readings: the first so many, whole rounds one after the other.

    Attributes:
        readings: how many.
        size: readings of a round; 0 where none was taken.
        is_sorted: whether those of each round stand in the order of a group.
        clock_us: the latest Kafka time seen (microseconds).
        state: what is now known, as :func:`pipeline.positioning.round_state.to_bytes` writes it.
    """

    readings: int
    size: int
    is_sorted: bool
    clock_us: int
    state: bytes

    def groups(self, tag: str, readings: Sequence[Reading]) -> list[Group]:
        """Return the groups that they make."""
        firsts, size, new = range(0, self.readings, self.size or 1), self.size, tuple.__new__
        if self.is_sorted:  # new is what Group() comes to, at half the price
            return [new(Group, (tag, readings[at : at + size])) for at in firsts]
        return [new(Group, (tag, sorted(readings[at : at + size], key=by_time))) for at in firsts]


class WholeRounds:
    """What takes whole rounds in, by some settings."""

    def __init__(self, settings: GroupingSettings) -> None:
        self._is_three = settings.mode is GroupingMode.THREE
        self._bounds = Bounds(
            is_three=self._is_three,
            round_wait_us=settings.round_wait_us,
            max_reading_age_us=settings.max_reading_age_us,
            max_lateness_us=settings.max_lateness_us,
            tag_expiry_us=settings.tag_expiry_us,
        )

    def may_follow(self, rounds: Rounds) -> bool:
        """Whether what comes next of a tag may be a whole round."""
        if rounds.open or rounds.opened_at_us:
            return False
        return self._is_three or (rounds.rounds >= NEW_FOR_ROUNDS and len(rounds.heard) >= MIN_ANCHORS)

    def take_all(self, known: Sequence[tuple[bytes, int, int]], columns: Columns) -> list[Taken]:
        """Take readings of some tags in, each tag's up to the first that is not of a whole round.

        Args:
            known: of each tag its state, as :func:`pipeline.positioning.round_state.to_bytes` wrote it, empty where it
                has none; and which readings it has: the number of the first, and that of the first behind them.
            columns: the readings, those of a tag in the order in which they came.
        """
        states, firsts, ends = zip(*known, strict=True)
        if not len(columns.names):
            return [Taken(0, 0, True, 0, state) for state in states]  # noqa: FBT003
        data = np.frombuffer(b"".join(states), np.uint8)
        bounds = np.array([0, *accumulate(map(len, states))])
        room = len(data) + GROWTH * len(columns.anchor)
        found = Found(
            np.empty(room, np.uint8), np.empty((len(known), OF_TAG), np.int64), np.empty(len(columns.anchor), np.int64)
        )
        take_all(Known(data, bounds, np.array((firsts, ends))), columns, self._bounds, found)
        written, end = found.data.tobytes(), 0
        taken: list[Taken] = []
        for state, (readings, size, is_sorted, clock_us, length) in zip(states, found.tags.tolist(), strict=True):
            begin, end = end, end + length
            taken.append(Taken(readings, size, is_sorted > 0, clock_us, written[begin:end] if readings else state))
        return taken


def names_as_numbers(names: Sequence[str]) -> NDArray[np.uint64]:
    """Return anchors' names as numbers of the same order; none where one is not of 16 hexadecimal digits."""
    packed = names_to_bytes(tuple(names))
    return np.frombuffer(packed if packed[0] else b"", ">u8", offset=packed[0]).astype(np.uint64)


def warm_up() -> None:
    """Compile what takes whole rounds in, or load it, so that the first reading does not wait for that."""
    one = np.zeros(1, np.int64)
    columns = Columns(one, one.astype(np.uint32), one, one, one > 0, names_as_numbers(["0123456789ABCDEF"]))
    WholeRounds(GroupingSettings()).take_all([(b"", 0, 1)], columns)
