from __future__ import annotations

import json

from pipeline.replay.report import as_json, as_table
from pipeline.replay.scoring import AccuracyCheck, InnovationCheck, Score

FULL = Score(
    readings=1200,
    fixes=300,
    rejections={"late": 2, "stale": 10},
    groups=200,
    groups_without_answer=3,
    scored=190,
    without_truth=7,
    rmse_m=0.12345678,
    median_m=0.1,
    p95_m=0.25,
    max_m=1.5,
    accuracy=AccuracyCheck(0.4, 0.85, 180),
    nis=InnovationCheck(1.125, 0.9375, 190),
)
EMPTY = Score(
    readings=3,
    fixes=0,
    rejections={},
    groups=0,
    groups_without_answer=0,
    scored=0,
    without_truth=0,
    rmse_m=None,
    median_m=None,
    p95_m=None,
    max_m=None,
    accuracy=AccuracyCheck(None, None, 0),
    nis=InnovationCheck(None, None, 0),
)


def test_the_report_as_json() -> None:
    assert json.loads(json.dumps(as_json(FULL))) == {
        "rmse_m": 0.123457,
        "median_m": 0.1,
        "p95_m": 0.25,
        "max_m": 1.5,
        "readings": 1200,
        "fixes": 300,
        "rejections": {"late": 2, "stale": 10},
        "groups": 200,
        "groups_without_answer": 3,
        "share_without_answer": 0.015,
        "scored": 190,
        "without_truth": 7,
        "accuracy": {
            "below_1": 0.4,
            "expected_1": 0.393469,
            "below_2": 0.85,
            "expected_2": 0.864665,
            "positions_with_covariance": 180,
        },
        "nis": {"mean_ratio": 1.125, "inside_95": 0.9375, "positions": 190},
    }


def test_what_cannot_be_told_is_null() -> None:
    report = as_json(EMPTY)
    assert report["rmse_m"] is None
    assert report["share_without_answer"] is None
    assert (report["accuracy"]["below_1"], report["nis"]["mean_ratio"]) == (None, None)


def test_the_report_as_a_table() -> None:
    lines = dict(line.rsplit("  ", 1) for line in as_table(FULL).splitlines())
    told = {what.strip(): value for what, value in lines.items()}
    assert told["readings"] == "1200"
    assert (told["rejections"], told["late"], told["stale"]) == ("12", "2", "10")
    assert told["without an answer"] == "3 (1.5 %)"
    assert (told["error, RMSE"], told["error, largest"]) == ("0.123 m", "1.500 m")
    assert told["error within 1 sigma"] == "40.0 % (expected 39.3 %)"
    assert told["NIS by degree of freedom"] == "1.12 (expected 1)"
    assert "error, RMSE                 -" in as_table(EMPTY)
