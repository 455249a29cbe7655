"""Which readings of a tag were taken lately, to know one that is delivered again."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

ROOM = 40_000
"""Bytes beyond which the oldest is forgotten: readings of a lateness bound of 10 s, three to eight hundred a second."""
NEARLY_FULL = ROOM - 2000
"""Bytes of earlier blocks above which the next reading may be one too many."""
_RECORD = struct.Struct("<Bf")
_RECORD_SIZE = _RECORD.size
"""Bytes of a reading: its anchor by number, and its distance (m) in the 32 bits of the wire."""
_BLOCK = struct.Struct("<IBBBf")
"""A block of one reading: its time in two parts, the count, and the record."""
_ANCHORS = 256
_TIME = 5
"""Bytes of a time of measurement. What is left of their bits makes room for more anchors."""
_WRAP_US = 2**34
"""Times are kept modulo this, which is nearly five hours."""
_PAGES = 2**6
_HEAD = _TIME + 1
_COUNTS = [bytes([count]) for count in range(256)]
_FULL = 255 * _RECORD_SIZE


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
        page = anchor // _ANCHORS % _PAGES * _WRAP_US if anchor >= _ANCHORS else 0
        time = (measured_at_us % _WRAP_US + page).to_bytes(_TIME, "little")
        record = _RECORD.pack(anchor % _ANCHORS, distance_m)
        if time == self.time and _holds(self.last, record):
            return False
        if measured_at_us <= self.newest_us and time in self.earlier and self._holds(time, record):
            return False
        if time == self.time and len(self.last) < _FULL:
            self.last += record
            return True
        if self.last:
            self.earlier += self.time + _COUNTS[len(self.last) // _RECORD_SIZE] + self.last
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

    def add_all(self, anchors: Sequence[int], times_us: Sequence[int], distances_m: Sequence[float]) -> bool:
        """Remember readings, one or more, all at once.

        Returns:
            Whether that was possible. It is not where one of them is remembered already, or room may run short: then
            none is remembered, and :meth:`add` has to be asked of each.
        """
        growth = len(self.last) + (1 + len(anchors)) * (_HEAD + _RECORD_SIZE)
        if len(self.earlier) + growth > NEARLY_FULL:
            return False
        oldest_us = min(times_us)
        if not self._are_newest(oldest_us, max(times_us)) or max(anchors) >= _ANCHORS:
            return self._add_all_or_none(anchors, times_us, distances_m)
        if oldest_us > self.last_us and len(set(times_us)) == len(times_us):
            self._append_blocks(anchors, times_us, distances_m)
            return True
        records = [*map(_RECORD.pack, anchors, distances_m)]
        known = set(zip(times_us, records, strict=True))
        if len(known) < len(records) or (
            oldest_us == self.last_us and not known.isdisjoint(self._last_block_by_record())
        ):
            return False
        self._append(times_us, records)
        return True

    def _add_all_or_none(self, anchors: Sequence[int], times_us: Sequence[int], distances_m: Sequence[float]) -> bool:
        before = self.earlier, self.newest_us, self.time, self.last, self.last_us
        if all(map(self.add, anchors, times_us, distances_m)):
            return True
        self.earlier, self.newest_us, self.time, self.last, self.last_us = before
        return False

    def _are_newest(self, oldest_us: int, newest_us: int) -> bool:
        """Whether of all times between two none can be among those remembered, unless it is that of the last block."""
        if oldest_us <= self.newest_us or newest_us >= self.last_us + _WRAP_US:
            return False
        return oldest_us > self.last_us or (oldest_us == self.last_us and self.time in (b"", _time(oldest_us)))

    def _last_block_by_record(self) -> Iterator[tuple[int, bytes]]:
        last = self.last
        return ((self.last_us, last[at : at + _RECORD_SIZE]) for at in range(0, len(last), _RECORD_SIZE))

    def _append_blocks(self, anchors: Sequence[int], times_us: Sequence[int], distances_m: Sequence[float]) -> None:
        """Remember readings by anchors that all fit into a byte, each of a time of its own."""
        low, high, pack = 2**32 - 1, _WRAP_US // 2**32 - 1, _BLOCK.pack
        blocks = [
            pack(time_us & low, time_us >> 32 & high, 1, anchor, distance_m)
            for anchor, time_us, distance_m in zip(anchors, times_us, distances_m, strict=True)
        ]
        last = blocks.pop()
        self.earlier = b"".join((self.earlier, self.last_block(), *blocks))
        self.newest_us = max(self.newest_us, self.last_us if self.last else 0, *times_us[:-1])
        self.time, self.last, self.last_us = last[:_TIME], last[_HEAD:], times_us[-1]

    def _append(self, times_us: Sequence[int], records: Sequence[bytes]) -> None:
        """Remember records that are not remembered, by anchors that all fit into a byte."""
        blocks, newest_us = [self.earlier], self.newest_us
        time, last, last_us = self.time, self.last, self.last_us
        for time_us, record in zip(times_us, records, strict=True):
            if time_us == last_us and 0 < len(last) < _FULL:
                last += record
                continue
            if last:
                blocks += time, _COUNTS[len(last) // _RECORD_SIZE], last
                newest_us = max(newest_us, last_us)
            time, last, last_us = _time(time_us), record, time_us
        self.earlier, self.newest_us = b"".join(blocks), newest_us
        self.time, self.last, self.last_us = time, last, last_us

    def forget_before(self, time_us: int) -> None:
        """Forget what was measured before a time, up to the first that was not.

        One ahead of the others so holds them up, but no longer than it is ahead.
        """
        earlier = self.earlier
        at = self._alone_before(time_us % _WRAP_US)
        while at < len(earlier) and _is_before(earlier[at : at + _TIME], time_us):
            at += _size(earlier, at)
        if at:
            self.earlier = earlier[at:]
        if not self.earlier and self.last and self.last_us < time_us:
            self.time = self.last = b""

    def _alone_before(self, wrapped_us: int) -> int:
        """Return up to where the first blocks are of one reading each and before a time, in plain order: most are."""
        whole = len(self.earlier) // _BLOCK.size * _BLOCK.size
        at, oldest_us = 0, wrapped_us - _WRAP_US // 2
        for low, high, count, _, _ in _BLOCK.iter_unpack(memoryview(self.earlier)[:whole]):
            if count != 1 or not oldest_us < high << 32 | low < wrapped_us:
                break
            at += _BLOCK.size
        return at

    def last_block(self) -> bytes:
        """Return the last block as the earlier ones are kept; nothing where there is none."""
        return self.time + _COUNTS[len(self.last) // _RECORD_SIZE] + self.last if self.last else b""

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
            yield earlier[at : at + _TIME], earlier[at + _HEAD : end]
            at = end

    def _readings(self) -> Iterator[tuple[int, int, float]]:
        """Iterate over anchors, times as they are kept, and distances."""
        for time, records in (*self._earlier(), (self.time, self.last)):
            page, time_us = divmod(int.from_bytes(time, "little"), _WRAP_US)
            for anchor, distance_m in _RECORD.iter_unpack(records):
                yield page * _ANCHORS + anchor, time_us, distance_m


def from_blocks(earlier: bytes, newest_us: int, last: bytes, last_us: int) -> Seen:
    """Return what is kept in blocks; the last as :meth:`Seen.last_block` gives it."""
    return Seen(earlier, newest_us, last[:_TIME], last[_HEAD:], last_us)


def _holds(records: bytes, record: bytes) -> bool:
    at = records.find(record)
    while at > 0 and at % _RECORD_SIZE:  # the end of one record and the beginning of the next
        at = records.find(record, at + 1)
    return at >= 0


def _time(time_us: int) -> bytes:
    """Return a time as it is kept for the first page of anchors."""
    return (time_us % _WRAP_US).to_bytes(_TIME, "little")


def _size(blocks: bytes, at: int) -> int:
    return _HEAD + blocks[at + _TIME] * _RECORD_SIZE


def _is_before(time: bytes, time_us: int) -> bool:
    return 0 < (time_us - int.from_bytes(time, "little")) % _WRAP_US < _WRAP_US // 2
