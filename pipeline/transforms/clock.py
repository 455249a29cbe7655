"""The wall clock. Stages at the edge alone read it; what comes of a reading never depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Tells the time, microseconds since 1970."""


def wall_clock_us() -> int:
    """Return this machine's time, microseconds since 1970."""
    return time.time_ns() // 1000
