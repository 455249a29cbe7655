"""What a tag says of itself: torn off, battery low.

An alarm is not to wait, so the first reading that says so changes a flag, whichever anchor it is from and however many
others there are. But readings of one blink come late and out of order, and are stamped to the second by clocks of
their own: up to ``tolerance`` they may differ and be of the same instant. So a reading changes a flag where it is not
older than the newest by more than that; and changes it *back* only where it is newer than the reading that changed it
by more than that, for else it may be of before. Times are times of measurement (integer microseconds); none counts as
later than Kafka had it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Flag:
    """One flag of one tag."""

    value: bool = False
    changed_us: int = 0
    """Measured when, the reading that last changed it; 0: none has."""

    def take(self, *, value: bool, at_us: int, newest_us: int, tolerance_us: int) -> bool:
        """Take in what a reading says; return whether that is news.

        Args:
            value: what it says.
            at_us: its time of measurement.
            newest_us: the newest time of measurement of the tag so far.
            tolerance_us: how far apart readings of the same instant may lie.
        """
        is_stale = at_us < newest_us - tolerance_us or (self.changed_us and at_us <= self.changed_us + tolerance_us)
        if value == self.value or is_stale:
            return False
        self.value, self.changed_us = value, at_us
        return True
