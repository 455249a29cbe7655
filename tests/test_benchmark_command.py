"""What ``make bench`` can be told, and what it measures then."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks.__main__ import _measure, _parse, _plan, main
from benchmarks.plan import BARE_LOOP, FULL, LEAN, SHORT
from benchmarks.results import Repeat
from runners.processes import ProcessError


def test_without_options_everything_is_measured() -> None:
    assert _plan(_parse([])) == FULL


@pytest.mark.parametrize("option", ["--short", "--check"])
def test_the_short_form(option: str) -> None:
    assert _plan(_parse([option])) == SHORT


def test_options_change_the_plan() -> None:
    told = ["--parts", "live", "backlog", "--repeats", "5", "--readings", "6000", "--rates", "100", "200"]
    told += ["--duration", "9", "--anchors", "8"]
    plan = _plan(_parse([*told, "--systems", "bare loop", LEAN.name]))
    assert (plan.parts, plan.repeats, plan.readings, plan.rates) == (("live", "backlog"), 5, 6000, (100, 200))
    assert (plan.duration_s, plan.anchors, plan.tags) == (9, (8,), FULL.tags)
    assert plan.backlog == plan.live == (LEAN, BARE_LOOP)
    assert _plan(_parse(["--systems", FULL.backlog[1].name])).live == (FULL.backlog[1],)


def test_a_peer_that_is_asked_for_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="without bare loop, quix, bytewax, pyflink: `make peers`"):
        _measure(SHORT, tmp_path, threading.Event(), [], ["quix"])


def test_what_was_measured_is_kept_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measure(_plan: object, _tools: object, _stopped: object, repeats: list[Repeat], _asked: object) -> None:
        repeats.append(Repeat(failed=["all of it"]))
        raise OSError("no room")

    monkeypatch.setattr(command, "_measure", measure)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(OSError, match="no room"):
        main([])
    (path,) = (tmp_path / "results").iterdir()
    assert "all of it" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--repeats", "0"], "argument --repeats: '0'; expected a whole number of at least 1"),
        (["--readings", "many"], "argument --readings: 'many'; expected a whole number"),
        (["--parts", "speed"], "argument --parts: invalid choice: 'speed'"),
        (["--systems", "storm"], "argument --systems: invalid choice: 'storm'"),
    ],
)
def test_a_wrong_option_is_refused_by_name(wrong: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert told in capsys.readouterr().err


def test_the_help_tells_what_the_parts_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(part in told for part in FULL.parts)
    assert "p50 <= 150 ms" in " ".join(told.split())
