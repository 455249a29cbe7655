"""Which readings of a tag were taken lately, to know one that is delivered again."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MAX_SEEN = 64
"""Readings of one anchor that are remembered: six a second over a lateness bound of 10 s."""
_WRAP_US = 2**40
"""Times are kept modulo this, which is twelve days."""
_TIME, _DISTANCE = 5, struct.Struct("<f")
_RECORD = _TIME + _DISTANCE.size
"""Bytes of a reading: its time of measurement, and its distance (m) in the 32 bits of the wire."""


@dataclass(slots=True)
class Seen:
    """The readings lately taken of one tag, by anchor; of each anchor the records, in order of arrival.

    Bytes, because state is written and read with every bundle, and searching bytes costs less than a set would to make.
    """

    by_anchor: dict[str, bytes] = field(default_factory=dict)

    def add(self, anchor: str, measured_at_us: int, distance_m: float) -> bool:
        """Remember a reading; return False where it is remembered already. Of too many the oldest is forgotten."""
        record = (measured_at_us % _WRAP_US).to_bytes(_TIME, "little") + _DISTANCE.pack(distance_m)
        records = self.by_anchor.get(anchor, b"")
        at = records.find(record)
        while at > 0 and at % _RECORD:  # the end of one record and the beginning of the next
            at = records.find(record, at + 1)
        if at >= 0:
            return False
        self.by_anchor[anchor] = (records + record)[-MAX_SEEN * _RECORD :]
        return True

    def forget_before(self, time_us: int) -> None:
        """Forget what was measured before a time, up to the first of each anchor that was not."""
        for anchor, records in list(self.by_anchor.items()):
            kept = 0
            while kept < len(records) and _is_before(records, kept, time_us):
                kept += _RECORD
            if kept == len(records):
                del self.by_anchor[anchor]
            elif kept:
                self.by_anchor[anchor] = records[kept:]


def _is_before(records: bytes, at: int, time_us: int) -> bool:
    measured_at_us = int.from_bytes(records[at : at + _TIME], "little")
    return 0 < (time_us - measured_at_us) % _WRAP_US < _WRAP_US // 2
