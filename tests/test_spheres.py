"""The measurement model, and the closed form for three ranges, against numeric derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.positioning.spheres import (
    COLUMNS,
    COMMON_SHARE,
    OWN,
    RANGE,
    SHARED,
    Place,
    Table,
    X,
    Y,
    Z,
    flatness,
    predict,
    prepare,
    radical_centre,
    residual_rms,
)
from pipeline.site import plan_flatness

metres = st.floats(-15.0, 15.0)
spots = st.tuples(metres, metres, st.floats(-5.0, 5.0))


def table_of(anchors: list[tuple[float, float, float]], ranges: list[float]) -> Table:
    table = np.zeros((len(anchors), COLUMNS))
    table[:, X], table[:, Y], table[:, Z] = np.array(anchors).T
    table[:, RANGE] = ranges
    table[:, OWN] = 0.01
    return table


@settings(deadline=None)  # the first call compiles
@given(anchor=spots, tag=spots)
def test_the_gradient_is_the_numeric_one(anchor: tuple[float, float, float], tag: tuple[float, float, float]) -> None:
    table, step = table_of([anchor], [1.0]), 1e-5
    assume(math.dist(anchor, tag) > 0.1)
    numeric = []
    for axis in range(3):
        ahead, behind = list(tag), list(tag)
        ahead[axis] += step
        behind[axis] -= step
        rise = predict(table, 0, Place(*ahead)).distance - predict(table, 0, Place(*behind)).distance
        numeric.append(rise / 2 / step)
    distance, *along = predict(table, 0, Place(*tag))
    assert distance == pytest.approx(math.dist(anchor, tag))
    assert along == pytest.approx(numeric, abs=1e-7)


def test_at_the_anchor_there_is_no_direction() -> None:
    assert predict(table_of([(1.0, 2.0, 3.0)], [1.0]), 0, Place(1.0, 2.0, 3.0)) == (0.0, 0.0, 0.0, 0.0)


@settings(deadline=None)
@given(tag=st.tuples(metres, metres), drop=st.floats(0.0, 3.0))
def test_the_dilution_of_the_closed_form_is_its_numeric_derivative(tag: tuple[float, float], drop: float) -> None:
    anchors = [(0.0, 0.0, drop), (9.0, 1.0, drop), (2.0, 7.0, drop)]
    exact, step = table_of(anchors, [math.dist(anchor, (*tag, 0.0)) for anchor in anchors]), 1e-6
    assume(exact[:, RANGE].min() > 0.1)
    place, dilution = radical_centre(exact, 0.0)
    assert (place.x, place.y) == pytest.approx(tag, abs=1e-9)
    square = 0.0
    for row in range(3):
        longer, shorter = exact.copy(), exact.copy()
        longer[row, RANGE] += step
        shorter[row, RANGE] -= step
        square += (math.dist(radical_centre(longer, 0.0)[0], radical_centre(shorter, 0.0)[0]) / 2 / step) ** 2
    assert dilution == pytest.approx(math.sqrt(square), rel=1e-5)


@settings(deadline=None)
@given(plan=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=3, max_size=8))
def test_flatness_is_that_of_the_site_map(plan: list[tuple[float, float]]) -> None:
    table = table_of([(x, y, 0.0) for x, y in plan], [1.0] * len(plan))
    assert flatness(table) == pytest.approx(plan_flatness(plan), rel=1e-6, abs=1e-9)


def test_residuals_are_those_of_the_ranges() -> None:
    table = table_of([(3.0, 0.0, 0.0), (0.0, 4.0, 0.0)], [2.0, 5.0])
    assert residual_rms(table, Place(0.0, 0.0, 0.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("column", range(COLUMNS))
def test_measurements_without_a_number_are_not_ranges(column: int) -> None:
    for bad in (math.nan, math.inf, -math.inf):
        table = np.ones((3, COLUMNS))
        table[1, column] = bad
        assert not prepare(table, 0.1)
    table = np.ones((3, COLUMNS))
    table[2, RANGE] = -0.1
    assert not prepare(table, 0.1)


def test_measurements_become_ranges() -> None:
    table = np.array([[7.0, 8.0, 2.0, 5.0, 0.3, 0.2], [9.0, 11.0, 2.5, 0.1, 0.3, 0.0]])
    assert prepare(table, 0.1)
    assert table[:, :3].tolist() == [[0.0, 0.0, 2.0], [2.0, 3.0, 2.5]]
    assert table[:, RANGE].tolist() == [4.7, 0.0]
    assert table[:, OWN] == pytest.approx([0.01 + (1.0 - COMMON_SHARE) * 0.04, 0.01])
    assert table[:, OWN] + table[:, SHARED] ** 2 == pytest.approx([0.05, 0.01])
