"""When something was heard, as runs: spans of time without a gap worth mentioning.

The runs of the same times are the same in whatever order the times come, and whether or not they were joined before.
Times are integer microseconds.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_RUNS = 64
"""Runs kept of one subject; the oldest two become one when there are more."""


class Run(NamedTuple):
    """A span of time, both ends heard."""

    first_us: int
    last_us: int


def joined(runs: list[Run], new: Run, gap_us: int) -> list[Run]:
    """Return ordered runs with one more, where those no further apart than the gap are one."""
    if not runs:
        return [new]
    if new.first_us >= runs[-1].first_us and new.first_us - runs[-1].last_us <= gap_us:  # as nearly always
        runs[-1] = Run(runs[-1].first_us, max(runs[-1].last_us, new.last_us))
        return runs
    result: list[Run] = []
    for run in sorted([*runs, new]):
        if result and run.first_us - result[-1].last_us <= gap_us:
            result[-1] = Run(result[-1].first_us, max(result[-1].last_us, run.last_us))
        else:
            result.append(run)
    if len(result) > MAX_RUNS:
        result[:2] = [Run(result[0].first_us, result[1].last_us)]
    return result
