"""The account of a replay: as JSON for programs, as a table for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.replay.scoring import EXPECTED_BELOW_1, EXPECTED_BELOW_2, Score

_DIGITS = 6


def as_json(score: Score) -> dict[str, Any]:
    """Return the report; errors in metres, shares from 0 to 1, null where there is nothing to tell it by."""
    found = asdict(score)
    report = {
        **{name: found[name] for name in ("rmse_m", "median_m", "p95_m", "max_m")},
        **{name: found[name] for name in ("readings", "fixes", "rejections")},
        **{name: found[name] for name in ("groups", "groups_without_answer")},
        "share_without_answer": score.share_without_answer,
        **{name: found[name] for name in ("scored", "without_truth")},
        "accuracy": {
            "below_1": score.accuracy.below_1,
            "expected_1": EXPECTED_BELOW_1,
            "below_2": score.accuracy.below_2,
            "expected_2": EXPECTED_BELOW_2,
            "positions_with_covariance": score.accuracy.positions_with_covariance,
        },
        "nis": found["nis"],
    }
    rounded: dict[str, Any] = _rounded(report)
    return rounded


def as_table(score: Score) -> str:
    """Return the report as lines: what, and its value."""
    rows = [
        ("readings", str(score.readings)),
        ("fixes", str(score.fixes)),
        ("rejections", str(sum(score.rejections.values()))),
        *((f"  {reason}", str(count)) for reason, count in score.rejections.items()),
        ("groups scored", str(score.groups)),
        ("  without an answer", f"{score.groups_without_answer} ({_percent(score.share_without_answer)})"),
        ("positions scored", str(score.scored)),
        ("  without truth", str(score.without_truth)),
        ("error, RMSE", _metres(score.rmse_m)),
        ("error, median", _metres(score.median_m)),
        ("error, 95 %", _metres(score.p95_m)),
        ("error, largest", _metres(score.max_m)),
        ("positions with covariance", str(score.accuracy.positions_with_covariance)),
        ("  error within 1 sigma", f"{_percent(score.accuracy.below_1)} (expected {_percent(EXPECTED_BELOW_1)})"),
        ("  error within 2 sigma", f"{_percent(score.accuracy.below_2)} (expected {_percent(EXPECTED_BELOW_2)})"),
        ("positions with innovations", str(score.nis.positions)),
        ("  NIS by degree of freedom", f"{_number(score.nis.mean_ratio)} (expected 1)"),
        ("  NIS within 95 % bound", f"{_percent(score.nis.inside_95)} (expected 95.0 %)"),
    ]
    width = max(len(what) for what, _ in rows)
    return "\n".join(f"{what:<{width}}  {value}" for what, value in rows)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value


def _metres(value_m: float | None) -> str:
    return "-" if value_m is None else f"{value_m:.3f} m"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
