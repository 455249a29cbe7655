"""The search for the least-squares place: derivatives, hard valleys, bounds, and no lower minimum overlooked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.positioning.both_sides import both_sides
from pipeline.positioning.least_squares import Symmetric, inverse, linearise, refine
from pipeline.positioning.spheres import COLUMNS, OWN, RANGE, SHARED, Place, Table, X, Y, Z
from pipeline.positioning.starting_points import starting_points

HEXAGON = [(10.0 * math.cos(k * math.pi / 3), 10.0 * math.sin(k * math.pi / 3)) for k in range(6)]
CEILING = [(0.0, 0.0, 3.0), (8.0, 0.0, 3.0), (8.0, 6.0, 3.0), (0.0, 6.0, 3.0), (4.0, 7.0, 3.0)]


def table_of(anchors: NDArray[np.float64], ranges: NDArray[np.floating[Any]], shared: float = 0.0) -> Table:
    table = np.zeros((len(anchors), COLUMNS))
    table[:, [X, Y, Z][: anchors.shape[1]]] = anchors
    table[:, RANGE], table[:, OWN], table[:, SHARED] = ranges, 0.0225, shared
    return table


def ceiling(tag: tuple[float, float, float]) -> Table:
    anchors = np.array(CEILING)
    return table_of(anchors, np.linalg.norm(anchors - tag, axis=1))


def matrix_of(symmetric: Symmetric) -> NDArray[np.float64]:
    xx, xy, yy, xz, yz, zz = symmetric
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


@settings(deadline=None)  # the first call compiles
@given(tag=st.tuples(st.floats(-8.0, 8.0), st.floats(-8.0, 8.0), st.floats(-2.0, 1.0)), shared=st.floats(0.0, 0.5))
def test_value_gradient_and_hessian_are_those_of_the_covariance(tag: tuple[float, float, float], shared: float) -> None:
    anchors = np.array([(x, y, 2.0 + 0.3 * k) for k, (x, y) in enumerate(HEXAGON)])
    table, step = table_of(anchors, np.linspace(6.0, 9.0, 6), shared), 1e-4
    here = linearise(table, Place(*tag))

    offsets = np.array(tag) - anchors
    distances = np.linalg.norm(offsets, axis=1)
    rows, errors = offsets / distances[:, None], distances - table[:, RANGE]
    weights = np.linalg.inv(np.diag(table[:, OWN]) + np.outer(table[:, SHARED], table[:, SHARED]))
    assert here.chi_square == pytest.approx(errors @ weights @ errors)
    assert here.gradient == pytest.approx(rows.T @ weights @ errors, rel=1e-6, abs=1e-6)
    assert matrix_of(here.normal) == pytest.approx(rows.T @ weights @ rows, rel=1e-6, abs=1e-6)
    for axis, column in enumerate(matrix_of(here.hessian)):
        ahead, behind = list(tag), list(tag)
        ahead[axis] += step
        behind[axis] -= step
        rise = np.subtract(linearise(table, Place(*ahead)).gradient, linearise(table, Place(*behind)).gradient)
        assert column == pytest.approx(rise / 2 / step, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("shared", [0.0, 0.2])
@pytest.mark.parametrize("sigma", [0.05, 0.15, 0.5])
def test_no_lower_minimum_is_overlooked(sigma: float, shared: float) -> None:
    rng, missed = np.random.default_rng(7), 0
    grid = [Place(float(x), float(y), 0.0) for x in range(-30, 31, 12) for y in range(-30, 31, 12)]
    for _ in range(60):
        plan = rng.uniform(-10.0, 10.0, (5, 2)) * [1.0, rng.choice([1.0, 0.1])]
        distances = np.abs(np.hypot(*(plan - rng.uniform(-15.0, 15.0, 2)).T) + rng.normal(0.0, sigma, 5))
        table = table_of(plan, distances, shared)
        best = both_sides(table, 0.0, 0.0).best
        lowest = min(refine(table, start, 0.0, 0.0).chi_square for start in grid)
        missed += not (best.converged and best.chi_square <= lowest * (1 + 1e-9) + 1e-9)
    assert missed <= (1 if sigma == 0.5 else 0)


def test_no_lower_minimum_is_overlooked_between_heights() -> None:
    rng, missed = np.random.default_rng(8), 0
    grid = [Place(x, y, z) for x in (-8.0, 0.0, 8.0) for y in (-8.0, 0.0, 8.0) for z in (0.1, 1.0, 1.9, 3.9)]
    for _ in range(100):
        anchors = rng.uniform([-10.0, -10.0, 0.0], [10.0, 10.0, 4.0], (6, 3))
        tag = rng.uniform([-9.0, -9.0, 0.0], [9.0, 9.0, 2.0])
        table = table_of(anchors, np.abs(np.linalg.norm(anchors - tag, axis=1) + rng.normal(0.0, 0.1, 6)))
        lowest = min(refine(table, start, 0.0, 4.0).chi_square for start in grid)
        missed += both_sides(table, 0.0, 4.0).best.chi_square > lowest * (1 + 1e-6) + 1e-6
    assert missed <= 1


def test_the_rival_is_the_mirror_image_in_a_row_of_anchors() -> None:
    plan = np.array([(0.0, 0.0), (4.0, 0.1), (8.0, -0.1), (12.0, 0.0)])
    best, other = both_sides(table_of(plan, np.hypot(*(plan - (5.0, 6.0)).T)), 0.0, 0.0)
    assert best.place == pytest.approx((5.0, 6.0, 0.0), abs=1e-6)
    assert other.place == pytest.approx((5.0, -6.0, 0.0), abs=0.3)


def test_the_rival_is_the_mirror_image_in_a_ceiling_only_where_that_is_within_the_heights() -> None:
    best, other = both_sides(ceiling((3.0, 2.0, 1.2)), 0.0, 6.0)
    assert sorted([best.place.z, other.place.z]) == pytest.approx([1.2, 4.8], abs=1e-6)
    for highest_z in (2.0, 3.0, math.inf):
        best, other = both_sides(ceiling((3.0, 2.0, 1.2)), -math.inf if highest_z < math.inf else 3.5, highest_z)
        assert best.place == pytest.approx((3.0, 2.0, 1.2 if highest_z < math.inf else 4.8), abs=1e-6)
        assert other == best


def test_a_height_beyond_the_bounds_ends_at_the_bound() -> None:
    found = refine(ceiling((3.0, 2.0, -1.0)), Place(4.0, 4.0, 1.0), 0.0, 2.0)
    assert found.converged
    assert found.place.z == 0.0


def test_a_search_that_starts_in_the_plane_of_the_ceiling_leaves_it() -> None:
    found = refine(ceiling((3.0, 2.0, 1.2)), Place(3.5, 2.5, 3.0), 0.0, 3.0)
    assert found.place == pytest.approx((3.0, 2.0, 1.2), abs=1e-6)


def test_a_tag_in_the_plane_of_the_anchors_converges_though_nothing_tells_its_height() -> None:
    found = both_sides(ceiling((3.0, 2.0, 3.0)), 2.5, 3.5).best
    assert found.converged
    assert found.place == pytest.approx((3.0, 2.0, 3.0), abs=0.01)


def test_a_tag_far_from_a_small_cluster_converges_round_the_bend() -> None:
    rows = [(0.0, 0.0, -0.63, 41.82), (0.0, 0.0, 0.84, 41.82)]  # hyu_los_case1: anchors on one vehicle
    rows += [(0.0, 1.74, 0.84, 41.80), (-1.888, 1.74, -0.63, 43.70)]
    for shared in (0.0, 0.2):
        table = table_of(np.array(rows)[:, :3], np.array(rows)[:, 3], shared)
        assert all(refine(table, start, 0.0, 0.0).converged for start in starting_points(table, 0.0))


def test_a_shallow_minimum_that_the_ranges_fit_badly_is_reached_all_the_same() -> None:
    plan = np.array([(4.1, -0.3), (-6.1, -1.0), (-4.7, 0.9), (-9.0, 0.1)])
    table = table_of(plan, np.array([4.1, 14.3, 13.8, 18.5]))
    assert all(
        refine(table, start, 0.0, 0.0).converged for start in starting_points(table, 0.0)
    )  # without H: 100 steps


def test_the_inverse_is_the_inverse() -> None:
    rows = np.array([[1.0, 0.2, 0.1], [0.4, 2.0, 0.3], [0.1, 0.2, 0.5], [0.3, 0.3, 0.3]])
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = rows.T @ rows
    matrix = Symmetric(xx, xy, yy, xz, yz, zz)
    assert matrix_of(inverse(matrix, False)) @ matrix_of(matrix) == pytest.approx(np.eye(3), abs=1e-12)  # noqa: FBT003
    in_plan = matrix_of(inverse(matrix, True))[:2, :2]  # noqa: FBT003
    assert in_plan @ matrix_of(matrix)[:2, :2] == pytest.approx(np.eye(2), abs=1e-12)
