"""What processes have in memory. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def rss_mb(pids: Iterable[int]) -> float:
    """Return the resident memory of processes, summed (MB); what they share counts for each of them."""
    pages = 0
    for pid in set(pids):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        except OSError:  # it has just ended
            continue
    return pages * _PAGE / 1e6
