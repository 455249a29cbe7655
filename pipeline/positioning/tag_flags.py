"""What a tag says of itself: torn off, battery low.

An alarm is not to wait, so the first reading that says so sets a flag, whichever anchor it is from and however many
others there are. But readings of one blink come late and out of order, and are stamped to the second by clocks of
their own: up to ``tolerance`` they may differ and be of the same instant. So a reading changes a flag *back* only where
it is newer than the reading that changed it by more than that, for else it may be of before.

A stamp that is further behind Kafka's time may be right, of a record that was long on its way, or that of a clock that
is behind: one reading does not tell. An alarm lost is worse than one too many, so an alarm counts for when Kafka had
it, however old its stamp; a late one may so be told once more, and readings in time take it back. What takes an alarm
back has to be new by its stamp as well: newer than the alarm's, and no older than the newest of the tag. From an anchor
whose clock is behind it is then late, by as much.

Times are integer microseconds; none counts as later than Kafka had it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Taken(NamedTuple):
    """When a reading was taken: by its anchor's clock, and as near as can be told if that may be behind."""

    stamped_us: int
    at_us: int

    @classmethod
    def of(cls, measured_at_us: int, kafka_time_us: int, tolerance_us: int) -> Taken:
        """Return that of a reading with such times."""
        stamped_us = min(measured_at_us, kafka_time_us)
        return cls(stamped_us, stamped_us if kafka_time_us - stamped_us <= tolerance_us else kafka_time_us)


@dataclass(slots=True)
class Flag:
    """One flag of one tag."""

    value: bool = False
    changed_us: int = 0
    """The stamp of the reading that last changed it; 0: none has."""
    changed_at_us: int = 0
    """When that was, as near as can be told."""

    def take(self, *, value: bool, taken: Taken, newest_us: int, tolerance_us: int) -> bool:
        """Take in what a reading says; return whether that is news.

        Args:
            value: what it says.
            taken: when it was taken.
            newest_us: the newest stamp of the tag so far.
            tolerance_us: how far apart readings of the same instant may lie.
        """
        if value == self.value or (self.changed_us and taken.at_us <= self.changed_at_us + tolerance_us):
            return False
        if not value and taken.stamped_us <= max(newest_us - tolerance_us - 1, self.changed_us + tolerance_us):
            return False
        self.value, self.changed_us, self.changed_at_us = value, taken.stamped_us, taken.at_us
        return True
