"""Whether an anchor's clock is right, judged by Kafka's.

A record reaches Kafka after it was stamped, so a delay makes a clock look slow. Of a window of time the least delayed
record counts: the one whose stamp is furthest ahead of, or least behind, its Kafka time. Windows begin at whole
multiples of their length, so it does not matter in which order records come. Times are integer microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_WINDOWS = 64
"""Windows kept open at the most; the oldest go when there are more."""
_FURTHEST_US = 2**62


@dataclass(slots=True)
class AnchorClock:
    """The clock of one anchor."""

    skewed: bool = False
    windows: dict[int, int] = field(default_factory=dict)
    """By beginning, how far ahead of Kafka's the clock was at the most (µs, negative: behind); not yet closed ones."""

    def add(self, kafka_time_us: int, stamped_us: int, window_us: int) -> None:
        """Take a record's two times in."""
        ahead_us = max(-_FURTHEST_US, min(stamped_us - kafka_time_us, _FURTHEST_US))
        begin_us = kafka_time_us - kafka_time_us % window_us
        known_us = self.windows.get(begin_us)
        self.windows[begin_us] = ahead_us if known_us is None else max(known_us, ahead_us)
        if len(self.windows) > MAX_WINDOWS:
            del self.windows[min(self.windows)]

    def due_us(self, window_us: int) -> int | None:
        """Return when the oldest window closes; None without one."""
        return min(self.windows) + window_us if self.windows else None

    def close(self, limit_us: int) -> int | None:
        """Close the oldest window; return how far ahead the clock is (µs) where that is news, else None."""
        ahead_us = self.windows.pop(min(self.windows))
        if (abs(ahead_us) > limit_us) == self.skewed:
            return None
        self.skewed = not self.skewed
        return ahead_us
