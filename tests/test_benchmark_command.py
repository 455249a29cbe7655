"""What ``make bench`` can be told, and what it measures then."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import _parse, _plan, main
from benchmarks.plan import BARE_LOOP, FULL, LEAN, SHORT


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
