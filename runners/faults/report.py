"""What a person, and a program, are told of a run."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

from rich import box
from rich.table import Table

from runners.faults.scenario import Result
from runners.trial.ledger import WRONG, Kind

_COUNTED = (Kind.READING, Kind.FIX, Kind.REJECTION, *WRONG, Kind.REPEATED)


def rows(result: Result) -> list[dict[str, Any]]:
    """Return a row a fault: how often it struck, what became of the readings about it, seconds to recover."""
    found = []
    for name, counts in result.counts_by_fault().items():
        strikes = [strike for strike in result.strikes if strike.fault.name == name]
        seconds = [strike.seconds for strike in strikes if strike.seconds is not None]
        found.append(
            {
                "fault": name,
                "times": len(strikes),
                "recovered": len(seconds),
                **_numbers(counts),
                "recovery_median_s": round(statistics.median(seconds), 1) if seconds else None,
                "recovery_max_s": round(max(seconds), 1) if seconds else None,
            }
        )
    return found


def summary(result: Result) -> dict[str, Any]:
    """Return all of it for a program."""
    return {
        "holds": result.holds,
        "trouble": result.trouble or None,
        "readings_sent": result.sent,
        **_numbers(result.counts()),
        "faults": rows(result),
    }


def table(result: Result) -> Table:
    """Return the rows, and their sum, as a table."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    shown.add_column("fault", no_wrap=True)
    for heading in ("times", *(kind.value for kind in _COUNTED), "recovered", "median s", "max s"):
        shown.add_column(heading, justify="right", no_wrap=True)
    found = rows(result)
    whole = {
        "fault": "all",
        "times": sum(row["times"] for row in found),
        **_numbers(result.counts()),
        "recovered": sum(row["recovered"] for row in found),
    }
    for row in (*found, whole):
        columns = ("fault", "times", *(kind.value for kind in _COUNTED), "recovered")
        cells = [str(row[name]) for name in columns]
        seconds = [row.get(name) for name in ("recovery_median_s", "recovery_max_s")]
        shown.add_row(*cells, *("" if value is None else f"{value:.1f}" for value in seconds))
    return shown


def _numbers(counts: Counter[Kind]) -> dict[str, int]:
    return {kind.value: counts[kind] for kind in _COUNTED}
