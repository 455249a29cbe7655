"""Bad ranges among good ones: found, named and left out; and good ones left in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.model import Reason
from pipeline.positioning.outliers import agreement, most_outliers
from pipeline.positioning.trilateration import Solution, UnsolvableError, trilaterate, warm_up
from pipeline.site import Anchor, plan_flatness


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    warm_up()


class Scene:
    """A hall of 20 by 15 m with anchors at random places, and a tag in it."""

    def __init__(self, rng: np.random.Generator, count: int, flattest: float = 0.4) -> None:
        self.plan: NDArray[np.float64] = np.zeros((count, 2))
        while plan_flatness([(float(x), float(y)) for x, y in self.plan]) < flattest:
            self.plan = rng.uniform([0.0, 0.0], [20.0, 15.0], (count, 2))
        self.tag = rng.uniform([2.0, 2.0], [18.0, 13.0])
        self.anchors = [Anchor(f"A{k}", float(x), float(y), 3.0) for k, (x, y) in enumerate(self.plan)]
        self.exact = np.hypot(np.hypot(*(self.plan - self.tag).T), 2.0)
        self.clean = self.exact + rng.normal(0.0, 0.1, count) + rng.uniform(0.0, 0.3, count)

    def solve(self, distances: NDArray[np.float64]) -> Solution | UnsolvableError:
        try:
            return trilaterate(self.anchors, np.maximum(distances, 0.0).tolist(), 1.0)
        except UnsolvableError as error:
            return error

    def error_m(self, solution: Solution) -> float:
        return math.dist((solution.x_m, solution.y_m), self.tag)


@pytest.mark.parametrize(
    ("surplus", "chi_square", "odds"),
    [(1, 3.841, 0.05), (1, 6.635, 0.01), (2, 9.210, 0.01), (3, 7.815, 0.05), (6, 16.812, 0.01), (9, 27.877, 0.001)],
)
def test_agreement_is_that_of_the_tables(surplus: int, chi_square: float, odds: float) -> None:
    assert agreement(chi_square, surplus) == pytest.approx(odds, rel=2e-3)


def test_agreement_of_what_has_no_number_is_none() -> None:
    assert agreement(0.0, 3) == pytest.approx(1.0)
    assert agreement(1e300, 4) == 0.0
    assert not agreement(math.nan, 4) >= 0.0


def test_the_good_are_more_than_the_bad_and_the_unknowns() -> None:
    assert [most_outliers(count, 2) for count in (3, 4, 5, 6, 7, 12, 16)] == [0, 0, 1, 1, 2, 3, 4]
    assert [most_outliers(count, 3) for count in (4, 5, 6, 7, 8)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("count", [4, 5, 6, 8, 13])
def test_good_ranges_are_not_refused(count: int) -> None:
    rng, refused = np.random.default_rng(count), 0
    for _ in range(300):
        scene = Scene(rng, count)
        found = scene.solve(scene.clean)
        refused += isinstance(found, UnsolvableError) or bool(found.refused)
    assert refused < 0.02 * 300


@pytest.mark.parametrize("where", ["nearest", "any"])
@pytest.mark.parametrize("wild", [-10.0, -3.0, -1.5, -0.8, 0.8, 1.5, 3.0, 10.0, 46.0])
@pytest.mark.parametrize("count", [5, 8])
def test_one_bad_range_is_named_or_does_little_harm(count: int, wild: float, where: str) -> None:
    rng, named, wrong, answered = np.random.default_rng(17), 0, 0, []
    trials = 0
    while trials < 60:
        scene = Scene(rng, count)
        bad = int(np.argmin(scene.exact)) if where == "nearest" and wild > -3.0 else int(rng.integers(count))
        if scene.clean[bad] + wild < 0.0:
            continue
        trials += 1
        distances = scene.clean.copy()
        distances[bad] += wild
        found = scene.solve(distances)
        if isinstance(found, Solution):
            answered.append(scene.error_m(found))
            named += bad in found.refused
            wrong += bool(found.refused) and found.refused != (bad,)
    assert wrong <= 2
    assert named > {0.8: 0.2, 1.5: 0.65}.get(abs(wild), 0.85) * trials
    assert np.sqrt(np.mean(np.square(answered))) < 0.8


@pytest.mark.parametrize("count", [7, 8, 10, 14])
def test_two_bad_ranges_of_seven_are_named(count: int) -> None:
    rng, named, wrong = np.random.default_rng(count), 0, 0
    for _ in range(40):
        scene = Scene(rng, count)
        bad = sorted(rng.choice(count, 2, replace=False).tolist())
        distances = scene.clean.copy()
        distances[bad] += rng.uniform(2.0, 46.0, 2)
        found = scene.solve(distances)
        if isinstance(found, Solution):
            named += found.refused == tuple(bad)
            wrong += found.refused != tuple(bad)
    assert named >= 37
    assert wrong <= 1


@settings(deadline=None)
@given(bad=st.integers(0, 4), wild=st.one_of(st.floats(1.5, 1e6), st.floats(-8.0, -1.5)))
def test_one_wild_range_of_five_leaves_the_place_as_it_was(bad: int, wild: float) -> None:
    plan = [(0.0, 0.0), (20.0, 0.0), (20.0, 15.0), (0.0, 15.0), (9.0, -4.0)]
    anchors = [Anchor(f"A{k}", x, y, 3.0) for k, (x, y) in enumerate(plan)]
    distances = [math.hypot(x - 11.0, y - 8.0, 2.0) for x, y in plan]
    distances[bad] += wild
    found = trilaterate(anchors, distances, 1.0)
    assert found.refused == (bad,)
    assert math.dist((found.x_m, found.y_m), (11.0, 8.0)) < 1e-6
    assert found.residual_m is not None
    assert found.residual_m < 1e-6  # over the ranges used


def test_with_four_ranges_a_bad_one_is_noticed_but_not_named() -> None:
    anchors = [Anchor(f"A{k}", x, y) for k, (x, y) in enumerate([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])]
    distances = [math.hypot(a.x_m - 4.0, a.y_m - 5.0) for a in anchors]
    distances[2] += 1.8
    with pytest.raises(UnsolvableError) as caught:
        trilaterate(anchors, distances, None)
    assert caught.value.reason is Reason.INCONSISTENT_RANGES
    assert "the bad cannot be told from the good" in caught.value.detail
    distances[2] += 6.0
    with pytest.raises(UnsolvableError, match="max_residual_m is 1"):
        trilaterate(anchors, distances, None)


def test_a_bad_range_without_which_the_anchors_are_on_one_line_is_not_left_out() -> None:
    plan = [(0.0, 0.0), (5.0, 0.0), (10.0, 0.0), (15.0, 0.0), (7.0, 8.0)]
    anchors = [Anchor(f"A{k}", x, y) for k, (x, y) in enumerate(plan)]
    distances = [math.hypot(x - 6.0, y - 4.0) for x, y in plan]
    distances[4] += 9.0
    with pytest.raises(UnsolvableError):
        trilaterate(anchors, distances, None)


def test_the_order_of_the_ranges_changes_nothing() -> None:
    scene = Scene(np.random.default_rng(2), 8)
    distances = scene.clean.copy()
    distances[[1, 6]] += [4.0, -1.9]
    found = scene.solve(distances)
    assert isinstance(found, Solution)
    assert found.refused == (1, 6)
    turned = trilaterate(scene.anchors[::-1], distances[::-1].tolist(), 1.0)
    assert turned.refused == (1, 6)  # 8 - 1 - 6 and 8 - 1 - 1
    assert (turned.x_m, turned.y_m) == pytest.approx((found.x_m, found.y_m), abs=1e-6)
