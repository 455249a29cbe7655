"""The accuracy of the whole graph on real UWB readings with ground truth: one configuration, the default, for all.

The graph is the real one, on Beam's FnApiRunner. ``BOUNDS`` is what no change may make worse.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.replay.log import read_ranges, read_truth
from pipeline.replay.replay import replay
from pipeline.replay.scoring import EXPECTED_BELOW_1, EXPECTED_BELOW_2, Score, Window, score
from pipeline.settings import GraphSettings
from pipeline.site import load_site

LOGS = Path(os.environ.get("BEAM_RTLS_LOGS") or Path(__file__).parents[2] / "shared" / "data" / "uwb")


class Log(NamedTuple):
    """A log, the height of its tags (m), when to score (s of the log), and the RMSE (m) to stay within.

    It is what was reached when the filter was made, and some hundredths.
    """

    name: str
    tag_height_m: float
    window: Window
    max_rmse_m: float


BOUNDS = [
    Log("lias_dyn_fast", 0.97, Window(), 0.072),
    Log("hyu_los_case1", 1.13, Window(52.13, 191.88), 0.68),
    Log("hyu_los_case2", 1.14, Window(51.00, 197.87), 0.71),
    Log("hyu_nlos_case1", 1.13, Window(55.00, 224.25), 0.66),
    Log("hyu_nlos_case2", 1.08, Window(61.37, 217.75), 0.69),
]
MAX_SHARE_WITHOUT_ANSWER = 0.02
COVERAGE_WITHIN = 0.20
"""How far the shares within 1 and 2 sigma may be from the expected, for each log …"""
POOLED_COVERAGE_WITHIN = 0.10
"""… and for the positions of all logs together."""

each_log = pytest.mark.parametrize("log", BOUNDS, ids=lambda log: log.name)


@functools.cache
def play(log: Log) -> Score:
    directory = LOGS / log.name
    if not directory.is_dir():
        pytest.skip(f"no real logs: {directory} is missing; set BEAM_RTLS_LOGS to where they are")
    site = load_site(directory / "anchors.csv", log.tag_height_m)
    replayed = replay(read_ranges(directory / "ranges.csv"), site, GraphSettings(strict=True))
    return score(replayed, read_truth(directory / "truth.csv"), log.window)


@each_log
def test_error(log: Log) -> None:
    scored = play(log)
    assert scored.scored > 0
    assert scored.without_truth == 0
    assert scored.rmse_m is not None
    assert scored.rmse_m <= log.max_rmse_m


@each_log
def test_groups_have_an_answer(log: Log) -> None:
    share = play(log).share_without_answer
    assert share is not None
    assert share <= MAX_SHARE_WITHOUT_ANSWER


@each_log
def test_accuracy_is_honest(log: Log) -> None:
    scored = play(log)
    below_1, below_2 = shares([scored])
    assert scored.accuracy.positions_with_covariance == scored.scored
    assert below_1 == pytest.approx(EXPECTED_BELOW_1, abs=COVERAGE_WITHIN)
    assert below_2 == pytest.approx(EXPECTED_BELOW_2, abs=COVERAGE_WITHIN)


def test_accuracy_is_honest_over_all_logs() -> None:
    below_1, below_2 = shares([play(log) for log in BOUNDS])
    assert below_1 == pytest.approx(EXPECTED_BELOW_1, abs=POOLED_COVERAGE_WITHIN)
    assert below_2 == pytest.approx(EXPECTED_BELOW_2, abs=POOLED_COVERAGE_WITHIN)


def shares(scores: list[Score]) -> tuple[float, float]:
    """Return the shares of all positions with a covariance that lie within 1 and 2 sigma; not a number for none."""
    checks = [scored.accuracy for scored in scores]
    count = sum(check.positions_with_covariance for check in checks)
    if not count:
        return math.nan, math.nan
    below_1 = sum((check.below_1 or 0.0) * check.positions_with_covariance for check in checks)
    below_2 = sum((check.below_2 or 0.0) * check.positions_with_covariance for check in checks)
    return below_1 / count, below_2 / count
