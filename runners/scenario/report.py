"""What a person, and a program, are told of a run."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich import box
from rich.table import Table

from runners.scenario.hall import name_of
from runners.scenario.result import Result
from runners.scenario.script import Expected
from runners.scenario.verdict import Line
from runners.trial.ledger import Kind


def events_table(result: Result) -> Table:
    """Return a row for each event: what it should be, when it was to come, when it came, and how often."""
    shown = _table()
    for heading in ("step", "event", "of"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("step at", "within", "came after", "records"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    step = ""
    for line in result.lines:
        due, first = line.due, line.copies[0] if line.copies else None
        what: Any = due.expected if due else first
        name = due.step if due else "-"
        shown.add_row(
            "" if name == step else name,
            what.kind,
            " ".join(filter(None, (name_of(what.subject), what.zone))),
            _at(result, due.since_ms if due else line.copies[0].appended_ms),
            f"{due.expected.within_s:.0f} s" if due else "",
            _seconds(line.delay_s),
            str(len(line.copies)),
            line.verdict.value,
        )
        step = name
    return shown


def courses_table(result: Result) -> Table:
    """Return a row for each tag: its positions, the longest gaps, the errors."""
    shown = _table()
    shown.add_column("tag", no_wrap=True)
    headings = ("positions", "longest gap", "longest wait", "in a restart", "median error", "95 %", "largest")
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for one in result.courses:
        largest_m = max(one.errors_m, default=0.0)
        shown.add_row(
            *(name_of(one.tag), str(one.positions), f"{one.gap_s:.1f} s", f"{one.wait_s:.1f} s"),
            *(f"{one.wait_in_restart_s:.1f} s", f"{one.median_m:.2f} m", f"{one.p95_m:.2f} m", f"{largest_m:.2f} m"),
            "; ".join(one.wrong) or "ok",
        )
    return shown


def ledger_text(result: Result) -> str:
    """Return what became of the readings, in a line."""
    counts = Counter(entry.kind for entry in result.entries)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(result.rejections.items())) or "none"
    return (
        f"{result.sent} readings sent, {counts[Kind.READING]} in Kafka; {counts[Kind.FIX]} positions and "
        f"{counts[Kind.REJECTION]} rejections ({reasons}); {counts[Kind.REPEATED]} came again; "
        f"{counts[Kind.UNACCOUNTED]} unaccounted, {counts[Kind.DOUBLED]} doubled, {counts[Kind.ALTERED]} altered"
    )


def summary(result: Result) -> dict[str, Any]:
    """Return all of it for a program."""
    counts = Counter(entry.kind for entry in result.entries)
    return {
        "holds": result.holds,
        "trouble": result.trouble or None,
        "wrong": result.wrong(),
        "events": [_event(line) for line in result.lines],
        "tags": [
            {
                "tagid": one.tag,
                "positions": one.positions,
                "gap_s": one.gap_s,
                "wait_s": one.wait_s,
                "median_error_m": round(one.median_m, 3),
                "p95_error_m": round(one.p95_m, 3),
            }
            for one in result.courses
        ],
        "readings_sent": result.sent,
        **{kind.value: counts[kind] for kind in Kind},
        "rejected": dict(result.rejections),
    }


def wrong_text(line: Line) -> str:
    """Return what is wrong with an event in a line, with all of its records."""
    what: Expected | None = line.due.expected if line.due else None
    wanted = f"{what.kind} of {name_of(what.subject)} {what.zone or ''}".strip() if what else "nothing of the kind"
    came = "; ".join(one.value.decode(errors="replace") for one in line.copies) or "nothing"
    return f"{line.verdict.value}: expected {wanted}, came {came}"


def _event(line: Line) -> dict[str, Any]:
    what: Any = line.due.expected if line.due else line.copies[0]
    return {
        "kind": what.kind,
        "of": what.subject,
        "zone": what.zone,
        "verdict": line.verdict.value,
        "delay_s": line.delay_s,
        "records": len(line.copies),
    }


def _at(result: Result, at_ms: int) -> str:
    return f"{max(0, at_ms - result.began_ms) / 1000:.0f} s" if at_ms >= result.began_ms else "before"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
