"""Trilateration, tested as mathematics: recovery, invariance, derivatives, statistics, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.model import Reason
from pipeline.positioning.least_squares import linearise, refine, starting_points
from pipeline.positioning.spheres import Point, Sphere, predict, radical_centre
from pipeline.positioning.trilateration import Solution, SolverSettings, UnsolvableError, trilaterate
from pipeline.site import Anchor, plan_flatness

Plan = Sequence[tuple[float, float]]

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
    settings = SolverSettings(range_sigma_m=0.01)  # at 0.15 m some of these places could not be told from another
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


# --- derivatives ----------------------------------------------------------------------------------------------------


@given(anchor=places, drop=st.floats(-5.0, 5.0), tag=places)
def test_the_jacobian_is_the_numeric_one(anchor: tuple[float, float], drop: float, tag: tuple[float, float]) -> None:
    sphere, step = Sphere(*anchor, drop, 1.0), 1e-5
    assume(predict(sphere, Point(*tag)).distance_m > 0.1)
    x, y = tag
    numeric_x = predict(sphere, Point(x + step, y)).distance_m - predict(sphere, Point(x - step, y)).distance_m
    numeric_y = predict(sphere, Point(x, y + step)).distance_m - predict(sphere, Point(x, y - step)).distance_m
    _, along_x, along_y = predict(sphere, Point(x, y))
    assert (along_x, along_y) == pytest.approx((numeric_x / 2 / step, numeric_y / 2 / step), abs=1e-7)


@given(tag=st.tuples(st.floats(-8.0, 8.0), st.floats(-8.0, 8.0)))
def test_gradient_and_hessian_are_the_numeric_ones(tag: tuple[float, float]) -> None:
    spheres, step = [Sphere(x, y, 2.0, 7.0) for x, y in HEXAGON], 1e-5
    here = linearise(spheres, Point(*tag))
    east = linearise(spheres, Point(tag[0] + step, tag[1]))
    west = linearise(spheres, Point(tag[0] - step, tag[1]))
    north = linearise(spheres, Point(tag[0], tag[1] + step))
    south = linearise(spheres, Point(tag[0], tag[1] - step))
    assert here.gradient_x_m == pytest.approx((east.sum_squares_m2 - west.sum_squares_m2) / 4 / step, abs=1e-6)
    assert here.gradient_y_m == pytest.approx((north.sum_squares_m2 - south.sum_squares_m2) / 4 / step, abs=1e-6)
    assert here.hessian_xx == pytest.approx((east.gradient_x_m - west.gradient_x_m) / 2 / step, abs=1e-6)
    assert here.hessian_xy == pytest.approx((east.gradient_y_m - west.gradient_y_m) / 2 / step, abs=1e-6)
    assert here.hessian_yy == pytest.approx((north.gradient_y_m - south.gradient_y_m) / 2 / step, abs=1e-6)


@given(tag=places)
def test_the_dilution_of_the_closed_form_is_its_numeric_derivative(tag: tuple[float, float]) -> None:
    anchors, step = anchors_at(DEMO_SITE, 3.0), 1e-5
    exact = [Sphere(a.x_m, a.y_m, 3.0, r) for a, r in zip(anchors, ranges_from(anchors, tag, 0.0), strict=True)]
    square = 0.0
    for k in range(3):
        longer, shorter = list(exact), list(exact)
        longer[k] = exact[k]._replace(range_m=exact[k].range_m + step)
        shorter[k] = exact[k]._replace(range_m=exact[k].range_m - step)
        square += (math.dist(radical_centre(*longer)[0], radical_centre(*shorter)[0]) / 2 / step) ** 2
    dilution = radical_centre(*exact)[1]
    assert dilution == pytest.approx(math.sqrt(square), rel=1e-5)
    assert dilution >= linearise(exact, Point(*tag)).dilution() * (1 - 1e-9)


# --- statistics -----------------------------------------------------------------------------------------------------


def covariance(solution: Solution) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    xx, xy, yy = solution.cov_xx_m2, solution.cov_xy_m2, solution.cov_yy_m2
    assert xx is not None
    assert xy is not None
    assert yy is not None
    return np.array([[xx, xy], [xy, yy]])


def test_six_anchors_reach_the_cramer_rao_bound_and_say_so() -> None:
    rng, sigma, tag = np.random.default_rng(20240417), 0.15, (2.0, -3.0)
    anchors = anchors_at(HEXAGON, 3.0)
    exact = np.array(ranges_from(anchors, tag, 1.0))
    rows = np.array([(tag[0] - a.x_m, tag[1] - a.y_m) for a in anchors]) / exact[:, None]
    bound = sigma * math.sqrt(np.trace(np.linalg.inv(rows.T @ rows)))

    found = [trilaterate(anchors, (exact + rng.normal(0.0, sigma, 6)).tolist(), 1.0) for _ in range(2000)]
    errors = np.array([(s.x_m, s.y_m) for s in found]) - tag
    squares = [float(e @ np.linalg.solve(covariance(s), e)) for e, s in zip(errors, found, strict=True)]

    assert math.sqrt((errors**2).sum(axis=1).mean()) == pytest.approx(bound, rel=0.10)
    assert found[0].gdop == pytest.approx(bound / sigma, rel=0.05)
    assert np.mean(np.array(squares) < 1.0) == pytest.approx(0.39, abs=0.08)
    assert np.mean(np.array(squares) < 4.0) == pytest.approx(0.86, abs=0.08)


def test_ranges_that_happen_to_agree_do_not_claim_millimetres() -> None:
    anchors = anchors_at(HEXAGON[:4])
    solution = trilaterate(anchors, ranges_from(anchors, (1.0, 1.0)), None)
    assert math.sqrt(np.trace(covariance(solution))) > 0.8 * 0.15 * solution.gdop


def test_ranges_that_disagree_widen_the_covariance() -> None:
    anchors = anchors_at(HEXAGON)
    distances = ranges_from(anchors, (1.0, 1.0))
    agreed = trilaterate(anchors, distances, None)
    distances[2] += 1.5
    assert np.trace(covariance(trilaterate(anchors, distances, None))) > 2.0 * np.trace(covariance(agreed))


@pytest.mark.parametrize("sigma", [0.05, 0.15, 0.5])
def test_no_lower_minimum_is_overlooked(sigma: float) -> None:
    rng = np.random.default_rng(7)
    grid = [Point(float(x), float(y)) for x in range(-30, 31, 12) for y in range(-30, 31, 12)]
    for _ in range(60):
        plan = rng.uniform(-10.0, 10.0, (5, 2)) * [1.0, rng.choice([1.0, 0.1])]
        distances = np.hypot(*(plan - rng.uniform(-15.0, 15.0, 2)).T) + rng.normal(0.0, sigma, 5)
        spheres = [Sphere(float(x), float(y), 0.0, abs(float(r))) for (x, y), r in zip(plan, distances, strict=True)]
        fits = [refine(spheres, start) for start in starting_points(spheres, 0.15)]
        assert all(fit.converged for fit in fits)
        lowest = min(refine(spheres, start).linearised.sum_squares_m2 for start in grid)
        assert min(fit.linearised.sum_squares_m2 for fit in fits) <= lowest * (1 + 1e-9) + 1e-12


def test_a_tag_far_from_a_small_cluster_converges_round_the_bend() -> None:
    spheres = [Sphere(0.0, 0.0, -0.63, 41.82), Sphere(0.0, 0.0, 0.84, 41.82)]  # hyu_los_case1: anchors on one vehicle
    spheres += [Sphere(0.0, 1.74, 0.84, 41.80), Sphere(-1.888, 1.74, -0.63, 43.70)]
    assert all(refine(spheres, start).converged for start in starting_points(spheres, 0.15))


def test_a_shallow_minimum_that_the_ranges_fit_badly_is_reached_all_the_same() -> None:
    plan, distances = [(4.1, -0.3), (-6.1, -1.0), (-4.7, 0.9), (-9.0, 0.1)], [4.1, 14.3, 13.8, 18.5]
    spheres = [Sphere(x, y, 0.0, r) for (x, y), r in zip(plan, distances, strict=True)]
    assert all(refine(spheres, start).converged for start in starting_points(spheres, 0.15))  # without H: 100 steps


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
    anchors = anchors_at([(0.0, 0.0), (6.0, 0.2), (12.0, 0.0)])
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
        caught = refusal(anchors, ranges_from(anchors, (70.0, 40.0)))
        assert caught.reason is Reason.DEGENERATE_GEOMETRY
        assert "max_gdop is 25" in caught.detail


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


wild = st.floats(0.0, allow_nan=False, allow_infinity=False)


@given(distances=st.lists(wild, min_size=3, max_size=8), drop=wild)
def test_whatever_the_ranges_there_is_a_finite_place_or_a_reason(distances: list[float], drop: float) -> None:
    anchors = anchors_at([*HEXAGON, (1.0, 2.0), (-3.0, 4.0)][: len(distances)], drop)
    outcome = attempt(anchors, distances, 0.0)
    if isinstance(outcome, UnsolvableError):
        assert outcome.reason in {Reason.DEGENERATE_GEOMETRY, Reason.INCONSISTENT_RANGES}
    else:
        assert all(value is None or math.isfinite(value) for value in outcome)
        assert outcome.gdop <= 25.0


@given(plan=st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)), min_size=3, max_size=5))
def test_whatever_the_anchors_there_is_a_finite_place_or_a_reason(plan: Plan) -> None:
    outcome = attempt(anchors_at(plan), [5.0] * len(plan))
    assert isinstance(outcome, UnsolvableError) or all(value is None or math.isfinite(value) for value in outcome)


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


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_distance_that_is_not_finite_is_an_error_of_the_caller(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        trilaterate(anchors_at(DEMO_SITE), [1.0, bad, 1.0], None)


@pytest.mark.parametrize("name", ["range_sigma_m", "max_residual_m", "max_gdop"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_settings_are_checked(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
        SolverSettings(**{name: bad})


def test_settings_are_obeyed() -> None:
    anchors = anchors_at(HEXAGON)
    distances = ranges_from(anchors, (1.0, 1.0))
    distances[0] += 0.5
    trilaterate(anchors, distances, None)
    with pytest.raises(UnsolvableError, match="inconsistent_ranges"):
        trilaterate(anchors, distances, None, SolverSettings(max_residual_m=0.1))
    with pytest.raises(UnsolvableError, match="degenerate_geometry"):
        trilaterate(anchors, distances, None, SolverSettings(max_gdop=0.5))
