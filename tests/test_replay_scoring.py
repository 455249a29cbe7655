"""The score of a replay, by numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.replay.replay import Estimate, Replayed, Round
from pipeline.replay.scoring import (
    EXPECTED_BELOW_1,
    EXPECTED_BELOW_2,
    Window,
    check_accuracy,
    check_innovations,
    chi_square_survival,
    errors_of,
    mahalanobis,
    score,
)

TRUTH = {"T": np.array([[0.0, 0.0, 0.0], [10.0, 10.0, 20.0]])}
"""A tag that goes by (1, 2) metres a second."""


def estimate(
    at_s: float,
    error_m: tuple[float, float] = (0.0, 0.0),
    *,
    tag: str = "T",
    cov_m2: tuple[float, float, float] | None = None,
    nis: float | None = None,
    nis_dof: int = 0,
    rows: tuple[int, ...] = (),
) -> Estimate:
    """An estimate so far off the truth."""
    x_m, y_m = at_s + error_m[0], 2 * at_s + error_m[1]
    return Estimate(tag, round(at_s * 1e6), x_m, y_m, cov_m2, nis, nis_dof, frozenset(rows))


def replayed(*estimates: Estimate, rounds: tuple[Round, ...] = ()) -> Replayed:
    return Replayed(40, estimates, [{} for _ in estimates], {"late": 2, "stale": 1}, rounds)


def test_errors_are_horizontal_distances_from_the_truth_between_its_times() -> None:
    known = [estimate(1.0, (3.0, 4.0)), estimate(2.5, (0.0, -1.0)), estimate(9.75, (2.0, 0.0))]
    scored = score(replayed(*known), TRUTH)
    assert (scored.readings, scored.fixes, scored.scored, scored.without_truth) == (40, 3, 3, 0)
    assert scored.rejections == {"late": 2, "stale": 1}
    assert scored.rmse_m == pytest.approx(math.sqrt((25 + 1 + 4) / 3))
    assert scored.median_m == pytest.approx(2.0)
    assert scored.max_m == pytest.approx(5.0)
    assert scored.p95_m == pytest.approx(2.0 + 0.9 * 3.0)  # nine tenths of the way from the second to the third


def test_a_position_is_compared_with_its_own_tag() -> None:
    truth = {**TRUTH, "U": np.array([[0.0, 5.0, 5.0], [10.0, 5.0, 5.0]])}
    far = errors_of([estimate(1.0, tag="U")], truth)
    assert (far.dx_m.tolist(), far.dy_m.tolist()) == ([-4.0], [-3.0])


def test_positions_without_truth_are_counted_not_scored() -> None:
    known = [estimate(-0.001), estimate(0.0), estimate(10.0), estimate(10.000001), estimate(5.0, tag="U")]
    scored = score(replayed(*known), TRUTH)
    assert (scored.scored, scored.without_truth, scored.fixes) == (2, 3, 5)


def test_only_the_window_is_scored_with_both_its_ends() -> None:
    known = [estimate(at_s, (1.0, 0.0)) for at_s in (0.999999, 1.0, 52.13 / 10, 5.213001)]
    scored = score(replayed(*known), TRUTH, Window(1.0, 5.213))
    assert (scored.scored, scored.without_truth, scored.fixes) == (2, 0, 4)


def test_a_group_has_an_answer_if_a_position_holds_one_of_its_readings() -> None:
    rounds = tuple(Round("T", 1_000_000 * number, frozenset({2 * number, 2 * number + 1})) for number in range(4))
    known = [estimate(0.0, rows=(0, 1)), estimate(2.0, rows=(4, 5))]
    scored = score(replayed(*known, rounds=rounds), TRUTH)
    assert (scored.groups, scored.groups_without_answer, scored.share_without_answer) == (4, 2, 0.5)
    within = score(replayed(*known, rounds=rounds), TRUTH, Window(1.0, 2.0))
    assert (within.groups, within.groups_without_answer) == (2, 1)


def test_without_a_truth_there_are_no_errors_and_no_made_up_ones() -> None:
    scored = score(replayed(estimate(1.0, cov_m2=(1.0, 0.0, 1.0))), {})
    assert (scored.scored, scored.without_truth) == (0, 1)
    assert (scored.rmse_m, scored.median_m, scored.p95_m, scored.max_m) == (None, None, None, None)
    assert (scored.accuracy.below_1, scored.accuracy.positions_with_covariance) == (None, 0)
    assert scored.share_without_answer is None


@pytest.mark.parametrize(
    ("error_m", "cov_m2", "distance"),
    [
        ((3.0, 4.0), (1.0, 0.0, 1.0), 5.0),
        ((2.0, 0.0), (4.0, 0.0, 1.0), 1.0),
        ((1.0, 1.0), (2.0, 1.0, 2.0), math.sqrt(2 / 3)),  # along the long axis, of variance 3
        ((1.0, -1.0), (2.0, 1.0, 2.0), math.sqrt(2.0)),  # across it, of variance 1
        ((0.0, 0.0), (1.0, 0.5, 1.0), 0.0),
        ((1.0, 0.0), (1.0, 1.0, 1.0), math.inf),
        ((1.0, 0.0), (-1.0, 0.0, -1.0), math.inf),
        ((0.0, 0.0), (0.0, 0.0, 0.0), math.inf),
    ],
)
def test_mahalanobis_distances(
    error_m: tuple[float, float], cov_m2: tuple[float, float, float], distance: float
) -> None:
    assert mahalanobis(*error_m, cov_m2) == pytest.approx(distance)


def test_gaussian_errors_give_39_and_86_percent() -> None:
    random = np.random.default_rng(5)
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    drawn = random.multivariate_normal([0.0, 0.0], covariance, size=20_000)
    known = [estimate(5.0, (dx_m, dy_m), cov_m2=(0.04, 0.03, 0.09)) for dx_m, dy_m in drawn.tolist()]
    check = check_accuracy(errors_of([*known, estimate(5.0)], TRUTH))
    assert check.positions_with_covariance == 20_000
    assert check.below_1 == pytest.approx(EXPECTED_BELOW_1, abs=0.01)
    assert check.below_2 == pytest.approx(EXPECTED_BELOW_2, abs=0.01)
    assert (round(EXPECTED_BELOW_1, 4), round(EXPECTED_BELOW_2, 4)) == (0.3935, 0.8647)


def test_shares_within_one_and_two_sigma() -> None:
    known = [estimate(5.0, (error_m, 0.0), cov_m2=(1.0, 0.0, 1.0)) for error_m in (0.5, 0.9, 1.5, 2.5)]
    check = check_accuracy(errors_of(known, TRUTH))
    assert (check.below_1, check.below_2) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("value", "dof"), [(3.841459, 1), (5.991465, 2), (7.814728, 3), (9.487729, 4), (15.507313, 8), (16.918978, 9)]
)
def test_the_95_percent_bound_of_chi_square(value: float, dof: int) -> None:
    """The tables' values."""
    assert chi_square_survival(value, dof) == pytest.approx(0.05, abs=1e-6)
    assert chi_square_survival(0.0, dof) == 1.0


def test_innovations_are_pooled_over_their_degrees_of_freedom() -> None:
    known = [
        estimate(1.0, nis=3.0, nis_dof=4),
        estimate(2.0, nis=9.0, nis_dof=2),  # above 5.99
        estimate(3.0),
        estimate(4.0, nis=0.0, nis_dof=0),
    ]
    check = check_innovations(known)
    assert (check.positions, check.mean_ratio, check.inside_95) == (2, 2.0, 0.5)
    nothing = check_innovations([estimate(1.0)])
    assert (nothing.positions, nothing.mean_ratio, nothing.inside_95) == (0, None, None)
