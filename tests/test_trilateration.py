"""Trilateration, tested as mathematics: recovery, invariance, derivatives, statistics, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.model import Reason
from pipeline.positioning.spheres import COMMON_SHARE
from pipeline.positioning.trilateration import Solution, SolverSettings, UnsolvableError, trilaterate, warm_up
from pipeline.site import Anchor, plan_flatness

Plan = Sequence[tuple[float, float]]


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    warm_up()


HEXAGON: Plan = [(10.0 * math.cos(k * math.pi / 3), 10.0 * math.sin(k * math.pi / 3)) for k in range(6)]
DEMO_SITE: Plan = [(2.0, 0.0), (0.0, 2.0), (2.0, 3.0)]


def anchors_at(plan: Plan, heights: Sequence[float | None] | float | None = None) -> list[Anchor]:
    each = heights if isinstance(heights, Sequence) else [heights] * len(plan)
    return [Anchor(f"A{k}", x, y, z) for k, ((x, y), z) in enumerate(zip(plan, each, strict=True))]


def ranges_from(anchors: Sequence[Anchor], tag: tuple[float, float], height: float | None = None) -> list[float]:
    """Return the exact slant ranges; an unknown height counts as no difference in height."""
    drops = [0.0 if a.z_m is None or height is None else a.z_m - height for a in anchors]
    return [math.hypot(a.x_m - tag[0], a.y_m - tag[1], drop) for a, drop in zip(anchors, drops, strict=True)]


def refusal(anchors: Sequence[Anchor], distances: Sequence[float], height: float | None = None) -> UnsolvableError:
    with pytest.raises(UnsolvableError) as caught:
        trilaterate(anchors, distances, height)
    return caught.value


def attempt(
    anchors: Sequence[Anchor], distances: Sequence[float], height: float | None = None
) -> Solution | UnsolvableError:
    try:
        return trilaterate(anchors, distances, height)
    except UnsolvableError as error:
        return error


def error_m(solution: Solution, tag: tuple[float, float]) -> float:
    return math.dist((solution.x_m, solution.y_m), tag)


def largest_parallelogram(plan: Plan) -> float:
    return max(
        abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) for ax, ay in plan for bx, by in plan for cx, cy in plan
    )


metres = st.floats(-15.0, 15.0)
places = st.tuples(metres, metres)
heights = st.one_of(st.none(), st.floats(0.0, 6.0))
good_plans = st.lists(places, min_size=3, max_size=8).filter(lambda plan: largest_parallelogram(plan) > 150.0)


# --- recovery -------------------------------------------------------------------------------------------------------


@given(plan=good_plans, tag=places, tag_height=heights, data=st.data())
def test_exact_ranges_give_the_exact_place(
    plan: Plan, tag: tuple[float, float], tag_height: float | None, data: st.DataObject
) -> None:
    anchors = anchors_at(plan, data.draw(st.lists(heights, min_size=len(plan), max_size=len(plan))))
    assume(plan_flatness(plan) > 0.2)
    settings = SolverSettings(range_sigma_m=0.01, bias_sigma_m=0.01)  # else some could not be told from another
    solution = trilaterate(anchors, ranges_from(anchors, tag, tag_height), tag_height, settings)
    assert error_m(solution, tag) < 1e-6
    assert solution.z_m == tag_height
    assert (solution.residual_m is None) == (solution.cov_xx_m2 is None) == (len(plan) == 3)
    assert solution.residual_m is None or solution.residual_m < 1e-6


@pytest.mark.parametrize("count", [3, 4, 6])
@pytest.mark.parametrize("height", [1.0, 2.0, 3.0])
def test_anchors_all_at_one_height_over_the_tag_are_no_trap(count: int, height: float) -> None:
    anchors = anchors_at([(0.0, 0.0), (8.0, 0.0), (0.0, 6.0), (8.0, 6.0), (4.0, -1.0), (9.0, 3.0)][:count], height)
    for tag in [(1.5, 1.0), (4.0, 3.0), (6.5, 5.0)]:
        assert error_m(trilaterate(anchors, ranges_from(anchors, tag, 0.0), 0.0), tag) < 1e-6


@pytest.mark.parametrize("plan", [DEMO_SITE, [*DEMO_SITE, (0.5, 0.5)]], ids=["three", "four"])
@pytest.mark.parametrize("height", [1.0, 2.0, 3.0])
def test_the_trap_is_real_for_ranges_taken_as_flat(plan: Plan, height: float) -> None:
    anchors, tag = anchors_at(plan, height), (1.9, 0.2)
    distances = ranges_from(anchors, tag, 0.0)
    x, y = np.meshgrid(np.arange(-5.0, 8.0, 0.02), np.arange(-5.0, 8.0, 0.02))
    misfit = sum((np.hypot(x - a.x_m, y - a.y_m) - r) ** 2 for a, r in zip(anchors, distances, strict=True))
    naive = np.argmin(misfit)
    assert math.dist((x.flat[naive], y.flat[naive]), tag) > 0.3
    assert error_m(trilaterate(anchors, distances, 0.0), tag) < 1e-6


@pytest.mark.parametrize("count", [3, 6])
def test_a_tag_straight_under_an_anchor(count: int) -> None:
    anchors = anchors_at(HEXAGON[:count], 3.0)
    distances = ranges_from(anchors, HEXAGON[0], 1.0)
    assert error_m(trilaterate(anchors, distances, 1.0), HEXAGON[0]) < 1e-6
    distances[0] -= 0.1  # shorter than the difference in height
    assert error_m(trilaterate(anchors, distances, 1.0), HEXAGON[0]) < 0.2


@pytest.mark.parametrize("count", [3, 6])
@pytest.mark.parametrize("tiny", [0.0, 1e-5, 0.1])
def test_a_tag_at_an_anchor(count: int, tiny: float) -> None:
    anchors = anchors_at(HEXAGON[:count])
    distances = ranges_from(anchors, HEXAGON[0])
    distances[0] = tiny
    solution = trilaterate(anchors, distances, None)
    assert error_m(solution, HEXAGON[0]) < 1e-6 + tiny
    assert solution.gdop < 5.0


def test_great_map_coordinates_lose_no_digits() -> None:
    anchors = anchors_at([(500_000.0 + x, 5_400_000.0 + y) for x, y in HEXAGON])
    tag = (500_003.25, 5_399_998.5)
    assert error_m(trilaterate(anchors, ranges_from(anchors, tag), None), tag) < 1e-6


# --- invariance -----------------------------------------------------------------------------------------------------


@given(
    count=st.integers(3, 6),
    tag=st.tuples(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0)),
    noise=st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    mirror=st.sampled_from([1.0, -1.0]),
    order=st.permutations(range(6)),
)
def test_moving_turning_mirroring_and_reordering_the_site_changes_nothing(
    *,
    count: int,
    tag: tuple[float, float],
    noise: list[float],
    angle: float,
    shift: tuple[float, float],
    mirror: float,
    order: list[int],
) -> None:
    anchors = anchors_at([HEXAGON[0], (-7.0, 8.0), (-4.0, -9.0), HEXAGON[1], (1.0, 2.0), HEXAGON[5]][:count], 2.0)
    distances = [max(r + e, 0.0) for r, e in zip(ranges_from(anchors, tag, 1.0), noise, strict=False)]
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) @ np.diag([1.0, mirror])

    def moved(x: float, y: float) -> tuple[float, float]:
        new_x, new_y = turn @ [x, y] + shift
        return float(new_x), float(new_y)

    picked = [k for k in order if k < count]
    elsewhere = [Anchor(anchors[k].id, *moved(anchors[k].x_m, anchors[k].y_m), 2.0) for k in picked]
    here = trilaterate(anchors, distances, 1.0)
    there = trilaterate(elsewhere, [distances[k] for k in picked], 1.0)

    assert (there.x_m, there.y_m) == pytest.approx(moved(here.x_m, here.y_m), abs=1e-6)
    assert there.gdop == pytest.approx(here.gdop, rel=1e-6)
    if here.cov_xx_m2 is not None:
        assert there.residual_m == pytest.approx(here.residual_m, abs=1e-7)
        assert covariance(there) == pytest.approx(turn @ covariance(here) @ turn.T, abs=1e-7)


# --- statistics -----------------------------------------------------------------------------------------------------


def covariance(solution: Solution) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    xx, xy, yy = solution.cov_xx_m2, solution.cov_xy_m2, solution.cov_yy_m2
    assert xx is not None
    assert xy is not None
    assert yy is not None
    return np.array([[xx, xy], [xy, yy]])


def unbiased(anchors: Sequence[Anchor]) -> list[Anchor]:
    return [replace(anchor, bias_sigma_m=0.0) for anchor in anchors]


@pytest.mark.parametrize("tag", [(0.0, 0.0), (2.0, -3.0), (-7.0, 1.0), (12.0, 6.0)])
def test_calibrated_anchors_reach_the_cramer_rao_bound_and_say_so(tag: tuple[float, float]) -> None:
    rng, sigma = np.random.default_rng(20240417), 0.15
    anchors = unbiased(anchors_at(HEXAGON, 3.0))
    exact = np.array(ranges_from(anchors, tag, 1.0))
    rows = np.array([(tag[0] - a.x_m, tag[1] - a.y_m) for a in anchors]) / exact[:, None]
    bound = sigma * math.sqrt(np.trace(np.linalg.inv(rows.T @ rows)))
    settings = SolverSettings(range_sigma_m=sigma)

    found = [trilaterate(anchors, (exact + rng.normal(0.0, sigma, 6)).tolist(), 1.0, settings) for _ in range(2000)]
    kept = [s for s in found if not s.refused]
    errors = np.array([(s.x_m, s.y_m) for s in kept]) - tag

    assert len(kept) > 0.99 * len(found)
    assert bound**2 / (errors**2).sum(axis=1).mean() == pytest.approx(1.0, abs=0.08)  # the efficiency
    assert found[0].gdop == pytest.approx(bound / sigma, rel=0.05)
    assert coverage(kept, errors, 1.0) == pytest.approx(0.39, abs=0.05)
    assert coverage(kept, errors, 2.0) == pytest.approx(0.86, abs=0.05)


@pytest.mark.parametrize("tag", [(0.0, 0.0), (2.0, -3.0), (-3.0, 4.0)])
def test_not_knowing_the_biases_costs_little_among_anchors_without_any(tag: tuple[float, float]) -> None:
    rng, sigma = np.random.default_rng(3), 0.1
    anchors = anchors_at(HEXAGON)
    exact = np.array(ranges_from(anchors, tag))
    rows = np.array([(tag[0] - a.x_m, tag[1] - a.y_m) for a in anchors]) / exact[:, None]
    bound = sigma * math.sqrt(np.trace(np.linalg.inv(rows.T @ rows)))
    found = [trilaterate(anchors, (exact + rng.normal(0.0, sigma, 6)).tolist(), None) for _ in range(2000)]
    errors = np.array([(s.x_m, s.y_m) for s in found]) - tag
    assert bound**2 / (errors**2).sum(axis=1).mean() > 0.9


@pytest.mark.parametrize("tag", [(2.0, -3.0), (-20.0, 5.0), (30.0, 20.0)], ids=["inside", "outside", "far"])
def test_ranges_with_biases_as_believed_are_as_accurate_as_is_said(tag: tuple[float, float]) -> None:
    rng, count = np.random.default_rng(5), 1500
    anchors, settings = anchors_at(HEXAGON), SolverSettings(range_sigma_m=0.07, bias_sigma_m=0.2)
    own = math.hypot(0.07, 0.2 * math.sqrt(1.0 - COMMON_SHARE))
    errors_m = rng.normal(0.0, own, (count, 6)) + rng.normal(0.0, 0.2 * math.sqrt(COMMON_SHARE), (count, 1))
    exact = np.array(ranges_from(anchors, tag))
    found = [trilaterate(anchors, (exact + error).tolist(), None, settings) for error in errors_m]
    errors = np.array([(s.x_m, s.y_m) for s in found]) - tag
    assert coverage(found, errors, 1.0) == pytest.approx(0.39, abs=0.05)
    assert coverage(found, errors, 2.0) == pytest.approx(0.86, abs=0.05)


def coverage(
    found: Sequence[Solution], errors: np.ndarray[tuple[int, ...], np.dtype[np.float64]], bound: float
) -> float:
    squares = [float(e @ np.linalg.solve(covariance(s), e)) for e, s in zip(errors, found, strict=True)]
    return float(np.mean(np.array(squares) < bound * bound))


@given(bias=st.floats(-0.5, 0.5), tag=st.tuples(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0)))
def test_a_known_bias_is_taken_off(bias: float, tag: tuple[float, float]) -> None:
    anchors = anchors_at([*HEXAGON, (0.0, 1.0)])
    exact = ranges_from(anchors, tag)
    assume(min(exact) > 0.5)
    biased = [replace(anchors[0], bias_m=bias), *anchors[1:-1], replace(anchors[-1], bias_m=-bias)]
    distances = [exact[0] + bias, *exact[1:-1], exact[-1] - bias]
    assert error_m(trilaterate(biased, distances, None), tag) < 1e-6


def test_a_distance_shorter_than_its_bias_counts_as_none() -> None:
    anchors = [replace(anchor, bias_m=0.3) for anchor in anchors_at(HEXAGON)]
    distances = [distance + 0.3 for distance in ranges_from(anchors, HEXAGON[0])]
    distances[0] = 0.1
    assert error_m(trilaterate(anchors, distances, None), HEXAGON[0]) < 1e-6


def test_an_anchor_that_is_known_better_weighs_more() -> None:
    anchors = anchors_at(HEXAGON)
    distances = ranges_from(anchors, (1.0, 1.0))
    distances[0] += 0.3
    sure = [replace(anchors[0], bias_sigma_m=0.5), *(replace(anchor, bias_sigma_m=0.02) for anchor in anchors[1:])]
    assert error_m(trilaterate(sure, distances, None), (1.0, 1.0)) < 0.1 * error_m(
        trilaterate(anchors, distances, None), (1.0, 1.0)
    )


def test_ranges_that_happen_to_agree_do_not_claim_millimetres() -> None:
    anchors = anchors_at(HEXAGON[:4])
    solution = trilaterate(anchors, ranges_from(anchors, (1.0, 1.0)), None)
    assert math.sqrt(np.trace(covariance(solution))) > 0.8 * 0.14 * solution.gdop


def test_ranges_that_disagree_widen_the_covariance() -> None:
    anchors = anchors_at(HEXAGON)
    distances = ranges_from(anchors, (1.0, 1.0))
    settings = SolverSettings(bias_sigma_m=0.05)
    agreed = trilaterate(anchors, distances, None, settings)
    disagreed = trilaterate(anchors, [d + e for d, e in zip(distances, [0.1, -0.1] * 3, strict=True)], None, settings)
    assert not disagreed.refused
    assert np.trace(covariance(disagreed)) > 1.3 * np.trace(covariance(agreed))


# --- refusals: geometry ---------------------------------------------------------------------------------------------


@given(
    at=st.lists(st.floats(-50.0, 50.0), min_size=3, max_size=8),
    angle=st.floats(-math.pi, math.pi),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    tag=places,
)
def test_anchors_on_one_line_or_at_one_place_are_refused(
    at: list[float], angle: float, scale: float, tag: tuple[float, float]
) -> None:
    plan = [(0.1 + scale * s * math.cos(angle), 0.2 + scale * s * math.sin(angle)) for s in at]
    assume(max(at) - min(at) > 1e-3 or len(set(plan)) == 1)  # not so short that rounding makes a triangle of it
    anchors = anchors_at(plan)
    assert refusal(anchors, ranges_from(anchors, tag)).reason is Reason.DEGENERATE_GEOMETRY


@pytest.mark.parametrize("plan", [[(2.0, 0.0), (2.0, 1.0), (2.0, 3.0)], [(0.0, 0.0), (1.0, 1.0), (3.0, 3.0)]])
def test_collinear_anchors_do_not_give_a_tenth_and_a_tenth(plan: Plan) -> None:
    caught = refusal(anchors_at(plan), [1.0, 2.0, 3.0])
    assert caught.reason is Reason.DEGENERATE_GEOMETRY
    assert "on one line" in str(caught)


def test_three_anchors_near_one_line_are_refused_for_the_error_of_the_closed_form() -> None:
    anchors = anchors_at([(0.0, 0.0), (6.0, 0.15), (12.0, 0.0)])
    caught = refusal(anchors, ranges_from(anchors, (5.0, 6.0)))
    assert caught.reason is Reason.DEGENERATE_GEOMETRY
    assert "dilution" in caught.detail


@pytest.mark.parametrize("count", [4, 6, 8])
def test_anchors_near_one_line_never_give_the_mirrored_place_in_silence(count: int) -> None:
    rng, wrong, refused = np.random.default_rng(count), 0, 0
    for _ in range(400):
        width = rng.choice([0.2, 0.5, 1.0])
        plan = [(12.0 * k / (count - 1), float(width) * (k % 2)) for k in range(count)]
        tag = (float(rng.uniform(0.0, 12.0)), float(rng.uniform(3.0, 8.0)))
        exact = np.array(ranges_from(anchors_at(plan), tag))
        outcome = attempt(anchors_at(plan), (exact + rng.normal(0.0, 0.15, count)).tolist())
        if isinstance(outcome, UnsolvableError):
            assert outcome.reason is Reason.DEGENERATE_GEOMETRY
            refused += 1
        else:
            wrong += outcome.y_m < 0.0
    assert refused > 50
    assert wrong <= 4  # one in a hundred: the odds that two places are told apart at


def test_a_tag_far_from_all_anchors_is_refused_for_its_dilution() -> None:
    for count in (3, 4):
        anchors = anchors_at([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)][:count])
        caught = refusal(anchors, ranges_from(anchors, (140.0, 80.0)))
        assert caught.reason is Reason.DEGENERATE_GEOMETRY
        assert "max_gdop is 50" in caught.detail


# --- refusals: ranges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "distances"),
    [
        pytest.param(DEMO_SITE, [0.1, 0.1, 0.1], id="disjoint"),
        pytest.param(DEMO_SITE, [1.0, 9.0, 20.0], id="nested"),
        pytest.param(HEXAGON[::2], [0.0, 0.0, 0.0], id="zero"),
        pytest.param(HEXAGON, [0.0] * 6, id="zero, six"),
        pytest.param(HEXAGON, [1.0] * 6, id="disjoint, six"),
        pytest.param(HEXAGON, [40.0, 1.0, 1.0, 40.0, 1.0, 1.0], id="nested, six"),
        pytest.param(DEMO_SITE, [1e9, 1e9, 1e9], id="huge"),
        pytest.param(HEXAGON, [1e9] * 6, id="huge, six"),
        pytest.param(DEMO_SITE, [1e200, 1.0, 1.0], id="without a square"),
        pytest.param(HEXAGON, [1e150] * 6, id="almost without a square"),
    ],
)
def test_ranges_that_cannot_meet_are_refused(plan: Plan, distances: list[float]) -> None:
    assert refusal(anchors_at(plan), distances).reason is Reason.INCONSISTENT_RANGES


@pytest.mark.parametrize("count", [3, 6])
def test_ranges_much_shorter_than_the_height_are_refused(count: int) -> None:
    caught = refusal(anchors_at(HEXAGON[:count], 15.0), [11.0] * count, 1.0)
    assert caught.reason is Reason.INCONSISTENT_RANGES
    assert "max_residual_m is 1" in caught.detail


def is_finite(solution: Solution) -> bool:
    return all(value is None or math.isfinite(value) for value in solution[:-1] if not isinstance(value, tuple))


wild = st.floats(0.0, allow_nan=False, allow_infinity=False)


@given(distances=st.lists(wild, min_size=3, max_size=8), drop=wild)
def test_whatever_the_ranges_there_is_a_finite_place_or_a_reason(distances: list[float], drop: float) -> None:
    anchors = anchors_at([*HEXAGON, (1.0, 2.0), (-3.0, 4.0)][: len(distances)], drop)
    outcome = attempt(anchors, distances, 0.0)
    if isinstance(outcome, UnsolvableError):
        assert outcome.reason in {Reason.DEGENERATE_GEOMETRY, Reason.INCONSISTENT_RANGES}
    else:
        assert is_finite(outcome)
        assert outcome.gdop <= 50.0


@given(plan=st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)), min_size=3, max_size=5))
def test_whatever_the_anchors_there_is_a_finite_place_or_a_reason(plan: Plan) -> None:
    outcome = attempt(anchors_at(plan), [5.0] * len(plan))
    assert isinstance(outcome, UnsolvableError) or is_finite(outcome)


# --- refusals: arguments --------------------------------------------------------------------------------------------


def test_arguments_that_are_no_ranges_to_anchors_are_errors_of_the_caller() -> None:
    three = anchors_at(DEMO_SITE)
    with pytest.raises(ValueError, match="3 or more anchors"):
        trilaterate(three[:2], [1.0, 1.0], None)
    with pytest.raises(ValueError, match="got 4 for 3"):
        trilaterate(three, [1.0] * 4, None)
    with pytest.raises(ValueError, match="must differ"):
        trilaterate([*three[:2], three[0]], [1.0] * 3, None)
    with pytest.raises(ValueError, match="must be 0 or more, got -1"):
        trilaterate(three, [1.0, -1.0, 1.0], None)
    with pytest.raises(ValueError, match="tag_height_m must be finite"):
        trilaterate(three, [1.0] * 3, math.inf)
    with pytest.raises(ValueError, match="must be finite"):
        trilaterate(anchors_at(DEMO_SITE, math.nan), [1.0] * 3, 0.0)
    with pytest.raises(ValueError, match="must be finite"):
        trilaterate([*three[:2], replace(three[2], bias_m=math.nan)], [1.0] * 3, None)
    for bad in ((2.0, 0.0), (1.0, 1.0), (0.0, math.nan)):
        with pytest.raises(ValueError, match="tag_height_range_m must be lowest and highest"):
            trilaterate(anchors_at(DEMO_SITE, 3.0), [2.5] * 3, None, tag_height_range_m=bad)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_distance_that_is_not_finite_is_an_error_of_the_caller(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        trilaterate(anchors_at(DEMO_SITE), [1.0, bad, 1.0], None)


@pytest.mark.parametrize("name", ["range_sigma_m", "bias_sigma_m", "max_residual_m", "max_gdop"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_settings_are_checked(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
        SolverSettings(**{name: bad})


def test_settings_are_obeyed() -> None:
    anchors = anchors_at(HEXAGON)
    distances = ranges_from(anchors, (1.0, 1.0))
    distances[0] += 0.3
    trilaterate(anchors, distances, None)
    with pytest.raises(UnsolvableError, match="inconsistent_ranges"):
        trilaterate(anchors, distances, None, SolverSettings(max_residual_m=0.1))
    with pytest.raises(UnsolvableError, match="degenerate_geometry"):
        trilaterate(anchors, distances, None, SolverSettings(max_gdop=0.5))
