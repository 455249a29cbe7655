"""The benchmark of the stages runs, and says what it measured. How fast anything is, is not tested."""

from __future__ import annotations

import pytest

from benchmarks.readings import ring_site
from benchmarks.stages import STAGES, Stages, main, records
from pipeline.positioning.rounds import GroupingMode


def test_every_stage_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--repeats", "1", "--bundle", "6000"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["us", "a", "reading", "median", "low", "high"]
    assert [row[:12].strip() for row in rows] == [*STAGES, "all"]
    assert all(float(value) > 0.0 for row in rows for value in row[12:].split())


def test_all_blinks_come_to_positions_once_their_rounds_are_over() -> None:
    given = list(records(100, 3))
    assert len(given) == 60 * 100 * 3
    stages = Stages(ring_site(3), GroupingMode.THREE)
    assert sum(stages.take(given[first : first + 300]) for first in range(0, 3000, 300)) >= 0.95 * 1000
