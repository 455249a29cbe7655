"""Which readings of a tag were taken lately, to know one that is delivered again."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ROOM = 40_000
"""Bytes beyond which the oldest is forgotten: readings of a lateness bound of 10 s, three to eight hundred a second."""
NEARLY_FULL = ROOM - 2000
"""Bytes of earlier blocks above which the next reading may be one too many."""
_RECORD = struct.Struct("<Bf")
RECORD_SIZE = _RECORD.size
"""Bytes of a reading: its anchor by number, and its distance (m) in the 32 bits of the wire."""
ANCHORS_A_PAGE = 256
TIME_SIZE = 5
"""Bytes of a time of measurement. What is left of their bits makes room for more anchors."""
WRAP_US = 2**34
"""Times are kept modulo this, which is nearly five hours."""
_PAGES = 2**6
BLOCK_HEAD = TIME_SIZE + 1
_COUNTS = [bytes([count]) for count in range(256)]
MOST_OF_A_BLOCK = 255
"""Readings of a block."""
_FULL = MOST_OF_A_BLOCK * RECORD_SIZE
GROWTH = BLOCK_HEAD + RECORD_SIZE
"""Bytes by which a reading more makes it grow, at the most."""


@dataclass(slots=True)
class Seen:
    """The readings lately taken of one tag, in order of arrival: blocks of a time, a count, and so many records.

    Anchors stamp whole seconds, or hear a blink at the same moment: of each time there may be many. All is bytes,
    because state is written and read with every bundle, and to search bytes costs less than to make a set of them.
    """

    earlier: bytes = b""
    """All blocks but the last."""
    newest_us: int = 0
    """None of them is newer: what is need not be looked for there."""
    time: bytes = b""
    """The time of the last block as it stands in there; empty while there is none."""
    last: bytes = b""
    """The records of the last block."""
    last_us: int = 0
    """The time of the last block."""

    def add(self, anchor: int, measured_at_us: int, distance_m: float) -> bool:
        """Remember a reading by an anchor of a number; return False where it is remembered already."""
        page = anchor // ANCHORS_A_PAGE % _PAGES * WRAP_US if anchor >= ANCHORS_A_PAGE else 0
        time = (measured_at_us % WRAP_US + page).to_bytes(TIME_SIZE, "little")
        record = _RECORD.pack(anchor % ANCHORS_A_PAGE, distance_m)
        if time == self.time and _holds(self.last, record):
            return False
        if measured_at_us <= self.newest_us and time in self.earlier and self._holds(time, record):
            return False
        if time == self.time and len(self.last) < _FULL:
            self.last += record
            return True
        if self.last:
            self.earlier += self.time + _COUNTS[len(self.last) // RECORD_SIZE] + self.last
            self.newest_us = max(self.newest_us, self.last_us)
            self._keep_within_room()
        self.time, self.last, self.last_us = time, record, measured_at_us
        return True

    def _keep_within_room(self) -> None:
        """Forget the oldest blocks: one may be as large as many."""
        surplus, dropped = len(self.earlier) - ROOM, 0
        while dropped < surplus:
            dropped += _size(self.earlier, dropped)
        if dropped:
            self.earlier = self.earlier[dropped:]

    def forget_before(self, time_us: int) -> None:
        """Forget what was measured before a time, up to the first that was not.

        One ahead of the others so holds them up, but no longer than it is ahead.
        """
        earlier, at = self.earlier, 0
        while at < len(earlier) and _is_before(earlier[at : at + TIME_SIZE], time_us):
            at += _size(earlier, at)
        if at:
            self.earlier = earlier[at:]
        if not self.earlier and self.last and self.last_us < time_us:
            self.time = self.last = b""

    def last_block(self) -> bytes:
        """Return the last block as the earlier ones are kept; nothing where there is none."""
        return self.time + _COUNTS[len(self.last) // RECORD_SIZE] + self.last if self.last else b""

    def anchors(self) -> set[int]:
        """Return the numbers of all anchors of which readings are remembered."""
        return {anchor for anchor, _, _ in self._readings()}

    def renumbered(self, numbers: Mapping[int, int]) -> Seen:
        """Return the same with other numbers for the anchors: new by old."""
        seen = Seen()
        for anchor, time_us, distance_m in self._readings():
            seen.add(numbers[anchor], time_us, distance_m)
        seen.newest_us, seen.last_us = max(self.newest_us, self.last_us), self.last_us
        return seen

    def _holds(self, time: bytes, record: bytes) -> bool:
        """Whether a record stands in an earlier block of a time."""
        return any(at == time and _holds(records, record) for at, records in self._earlier())

    def _earlier(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over times and records of the earlier blocks."""
        earlier, at = self.earlier, 0
        while at < len(earlier):
            end = at + _size(earlier, at)
            yield earlier[at : at + TIME_SIZE], earlier[at + BLOCK_HEAD : end]
            at = end

    def _readings(self) -> Iterator[tuple[int, int, float]]:
        """Iterate over anchors, times as they are kept, and distances."""
        for time, records in (*self._earlier(), (self.time, self.last)):
            page, time_us = divmod(int.from_bytes(time, "little"), WRAP_US)
            for anchor, distance_m in _RECORD.iter_unpack(records):
                yield page * ANCHORS_A_PAGE + anchor, time_us, distance_m


def from_blocks(earlier: bytes, newest_us: int, last: bytes, last_us: int) -> Seen:
    """Return what is kept in blocks; the last as :meth:`Seen.last_block` gives it."""
    return Seen(earlier, newest_us, last[:TIME_SIZE], last[BLOCK_HEAD:], last_us)


def _holds(records: bytes, record: bytes) -> bool:
    at = records.find(record)
    while at > 0 and at % RECORD_SIZE:  # the end of one record and the beginning of the next
        at = records.find(record, at + 1)
    return at >= 0


def _size(blocks: bytes, at: int) -> int:
    return BLOCK_HEAD + blocks[at + TIME_SIZE] * RECORD_SIZE


def _is_before(time: bytes, time_us: int) -> bool:
    return 0 < (time_us - int.from_bytes(time, "little")) % WRAP_US < WRAP_US // 2
