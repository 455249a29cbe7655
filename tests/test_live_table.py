from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from runners.live import table
from runners.live.summary import Summary
from runners.live.table import PlainLines, header_lines, live_display, status_line, tag_table

START_MS = 1_713_300_000_000


def seen(tags: int = 3, **flags: bool) -> Summary:
    """Return what two positions of each tag make, half a metre off."""
    summary = Summary()
    for number in range(tags):
        tag = f"0003FFDDEE{number:02X}0000"
        for fix in range(2):
            offset, appended_ms = 2 * number + fix, START_MS + 1000 * fix
            summary.add_reading_record(1, appended_ms)
            truth = {"tagid": tag, "partition": 0, "offset": offset, "kafka_time_ms": appended_ms, "t": 1.0}
            summary.add_truth(truth | {"x": 1.25, "y": 2.5})
            value: dict[str, Any] = {"tagid": tag, "x": 1.75, "y": 2.5, "z": None, "accuracy": 0.12}
            value |= {"fix_id": f"{tag}-{fix}", "records": [[0, offset]], "detached": False, "battery_low": False}
            summary.add_position(value | flags, appended_ms + 321)
    return summary


def drawn(summary: Summary, *, max_rows: int = 20, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(tag_table(summary, max_rows))
    return console.export_text().splitlines()


def test_a_row_tells_place_accuracy_error_rate_and_latency() -> None:
    (row,) = [line for line in drawn(seen()) if "0003FFDDEE010000" in line]
    assert row.split() == ["0003FFDDEE010000", "1.75", "2.50", "-", "0.12", "0.50", "1.0", "321"]


def test_flags_show() -> None:
    assert any(line.rstrip().endswith("DETACHED BATTERY LOW") for line in drawn(seen(detached=True, battery_low=True)))
    assert not any("DETACHED" in line or "BATTERY" in line for line in drawn(seen()))


def test_tags_that_do_not_fit_are_counted_and_the_detached_come_first() -> None:
    summary = seen(30)
    summary.tags["0003FFDDEE1D0000"].detached = True
    lines = drawn(summary, max_rows=10)
    rows = [line for line in lines if line.startswith("0003FF")]
    assert len(rows) == 10
    assert rows[0].startswith("0003FFDDEE1D0000")
    assert lines[-1] == "… and 20 tags more"
    assert len(lines) < 10 + table.FRAME_LINES  # one line is the cursor's


def test_on_a_narrow_screen_each_row_and_header_stays_one_line() -> None:
    summary = seen(30, detached=True, battery_low=True)
    for reason in ("late", "stale", "unknown_anchor", "distance_out_of_range"):
        summary.add_rejected({"reason": reason})
    lines = drawn(summary, max_rows=10, width=60)
    assert len(lines) < 10 + table.FRAME_LINES
    assert max(map(len, lines)) <= 60


def test_header_tells_totals_quality_and_rejections() -> None:
    summary = seen()
    for reason in ("late", "undecodable", "late"):
        summary.add_rejected({"reason": reason})
    assert header_lines(summary) == [
        "readings 6 (3/s), positions 6 of 3 tag ids (3 simulated)",
        "error 0.50 m median, 0.50 m p95; latency - ms p50, - ms p99",
        "rejected 3: late 2, undecodable 1",
    ]


def test_plain_line_is_one_line_and_says_that_it_waits() -> None:
    assert status_line(Summary()).startswith("waiting for the first position; readings 0")
    line = status_line(seen())
    assert line.startswith("readings 6 (3/s), positions 6 of 3 tag ids")
    assert "\n" not in line


def test_plain_lines_come_on_standard_error_every_few_seconds(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    with live_display() as show:  # no terminal under pytest
        assert isinstance(show, PlainLines)
        for _ in range(11):
            show(seen())
            now_s += 0.5
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2


def test_a_terminal_gets_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=13)
    monkeypatch.setattr(table, "Console", lambda: console)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with live_display() as show:
        show(seen(30))
    assert "0003FFDDEE050000" in screen.getvalue()
    assert "… and 24 tags more" in screen.getvalue()
