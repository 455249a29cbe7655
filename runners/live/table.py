"""What a person sees of a running pipeline: a table of tags in a terminal, a line now and then where there is none."""

from __future__ import annotations

import contextlib
import heapq
import sys
import time
from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runners.live.summary import Summary, TagState

SILENT_AFTER_MS = 30_000  # a tag that gave no position for so long is shown dim
FRAME_LINES = 7  # of the screen: the header's three, the table's head of two, tags not shown, the cursor
PLAIN_EVERY_S = 5.0


def tag_table(summary: Summary, max_rows: int) -> RenderableType:
    """Return the header and the table: detached tags first, then by id, at most ``max_rows`` of them."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("tag", no_wrap=True, min_width=16)
    for heading in ("x m", "y m", "z m", "acc. m", "error m", "fix/s", "latency ms"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=5)
    table.add_column("flags", no_wrap=True)
    shown = heapq.nsmallest(max_rows, summary.tags.items(), key=lambda item: (not item[1].detached, item[0]))
    for tag, state in shown:
        silent = summary.newest_ms - state.appended_ms > SILENT_AFTER_MS
        table.add_row(tag, *_cells(state, summary.newest_ms), _flags(state), style="dim" if silent else None)
    parts: list[RenderableType] = [Text(line, no_wrap=True, overflow="ellipsis") for line in header_lines(summary)]
    parts.append(table)
    if len(shown) < len(summary.tags):
        parts.append(Text(f"… and {len(summary.tags) - len(shown):,} tags more", style="dim"))
    return Group(*parts)


def header_lines(summary: Summary) -> list[str]:
    """Return totals, quality and rejections, a line each."""
    errors, latencies = summary.errors_m, summary.latencies_ms
    totals = (
        f"readings {summary.readings:,} ({summary.reading_rate.per_s(summary.newest_ms):,.0f}/s), "
        f"positions {summary.positions:,} of {len(summary.tags):,} tag ids ({summary.true_tags:,} simulated)"
    )
    quality = (
        f"error {_number(errors.quantile(0.50), 2)} m median, {_number(errors.quantile(0.95), 2)} m p95; "
        f"latency {_number(latencies.quantile(0.50), 0)} ms p50, {_number(latencies.quantile(0.99), 0)} ms p99"
    )
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary.rejected.most_common())
    return [totals, quality, f"rejected {summary.rejected.total():,}" + (f": {reasons}" if reasons else "")]


def status_line(summary: Summary) -> str:
    """Return the header as one line."""
    line = "; ".join(header_lines(summary))
    return line if summary.positions else f"waiting for the first position; {line}"


@contextlib.contextmanager
def live_display() -> Iterator[Callable[[Summary], None]]:
    """Give what shows a summary: the table where standard output is a terminal, plain lines elsewhere.

    The terminal is left as it was, with the last table standing.
    """
    if not sys.stdout.isatty():
        yield PlainLines()
        return
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        yield lambda summary: live.update(
            tag_table(summary, max_rows=max(1, console.size.height - FRAME_LINES)), refresh=True
        )


class PlainLines:
    """Prints a line on standard error when called, unless the last was just now."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, summary: Summary) -> None:
        """Print how things stand."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + PLAIN_EVERY_S
            print(status_line(summary), file=sys.stderr, flush=True)


def _cells(state: TagState, now_ms: int) -> list[str]:
    return [
        _number(state.x_m, 2),
        _number(state.y_m, 2),
        _number(state.z_m, 2),
        _number(state.accuracy_m, 2),
        _number(state.error_m, 2),
        _number(state.fixes.per_s(now_ms), 1),
        _number(state.latency_ms, 0),
    ]


def _flags(state: TagState) -> Text:
    flags = Text()
    if state.detached:
        flags.append("DETACHED ", style="bold red")
    if state.battery_low:
        flags.append("BATTERY LOW", style="yellow")
    flags.rstrip()
    return flags


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
