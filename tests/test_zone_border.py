"""How surely a position is inside a zone: plane geometry, held against what chance says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.positioning.zone_border import Border, Certainty, probability
from pipeline.zones import Whereabouts, Zone

SQUARE = Zone("square", (((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)),))
CERTAINTY = Certainty()


def at(x_m: float, y_m: float, sigma_m: float = 0.2, *, z_m: float | None = None) -> Whereabouts:
    return Whereabouts("T", 1, 1, x_m, y_m, z_m, sigma_m**2, 0.0, sigma_m**2, None)


def border(zone: Zone = SQUARE) -> Border:
    return Border(zone, CERTAINTY)


@pytest.mark.parametrize(
    ("x_m", "y_m", "sigmas"),
    [(1.0, 5.0, 5.0), (-1.0, 5.0, -5.0), (5.0, 5.0, 25.0), (0.0, 5.0, 0.0), (13.0, 14.0, -25.0)],
)
def test_the_distance_to_the_border_counts_in_sigmas(x_m: float, y_m: float, sigmas: float) -> None:
    assert border().sigmas(at(x_m, y_m)) == pytest.approx(sigmas)


def test_only_the_error_across_the_border_counts() -> None:
    where = at(1.0, 5.0)._replace(cov_xx_m2=0.01, cov_yy_m2=25.0)
    assert border().sigmas(where) == pytest.approx(10.0)
    slanted = Zone("slanted", (((0.0, 0.0), (20.0, 20.0), (0.0, 40.0)),))
    along = 0.5 * np.array([[1.0, 1.0], [1.0, 1.0]]) * 25.0 + 0.5 * np.array([[1.0, -1.0], [-1.0, 1.0]]) * 0.01
    where = at(8.0, 10.0)._replace(cov_xx_m2=along[0, 0], cov_xy_m2=along[0, 1], cov_yy_m2=along[1, 1])
    assert border(slanted).sigmas(where) == pytest.approx(math.sqrt(2.0) / 0.1)


def test_a_position_without_covariance_is_known_as_well_as_the_settings_say() -> None:
    where = at(1.0, 5.0)._replace(cov_xx_m2=None, cov_xy_m2=None, cov_yy_m2=None)
    assert border().sigmas(where) == pytest.approx(1.0 / CERTAINTY.unknown_sigma_m)


@pytest.mark.parametrize("var_m2", [0.0, 1e-12, -1e-9])
def test_no_position_is_known_better_than_the_settings_say(var_m2: float) -> None:
    where = at(1.0, 5.0)._replace(cov_xx_m2=var_m2, cov_yy_m2=var_m2)
    assert border().sigmas(where) == pytest.approx(1.0 / CERTAINTY.least_sigma_m)


def test_a_tolerance_moves_the_border_outwards() -> None:
    assert border().sigmas(at(-1.0, 5.0), 1.5) == pytest.approx(2.5)


def test_what_is_cut_out_of_a_zone_is_outside() -> None:
    ring = replace(SQUARE, rings=(*SQUARE.rings, ((4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0))))
    assert border(ring).sigmas(at(5.0, 4.5)) == pytest.approx(-2.5)
    assert border(ring).sigmas(at(3.0, 5.0)) == pytest.approx(5.0)


def test_of_plan_and_height_the_more_doubtful_counts() -> None:
    zone = border(replace(SQUARE, z_m=(0.0, 3.0)))
    where = at(5.0, 5.0, z_m=2.0)._replace(var_zz_m2=0.25)
    assert zone.sigmas(where) == pytest.approx(2.0)
    assert zone.sigmas(where._replace(z_m=4.0)) == pytest.approx(-2.0)
    assert zone.sigmas(where._replace(z_m=4.0, var_zz_m2=None)) == pytest.approx(-1.0 / CERTAINTY.least_sigma_m)
    assert zone.sigmas(where._replace(z_m=None)) == pytest.approx(25.0)


@given(
    st.floats(-20.0, 20.0),
    st.floats(-20.0, 20.0),
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(0.0, 2.0 * math.pi),
)
def test_moving_and_turning_the_site_changes_nothing(
    x_m: float, y_m: float, dx_m: float, dy_m: float, angle: float
) -> None:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def moved(x: float, y: float) -> tuple[float, float]:
        new_x, new_y = turn @ (x, y) + (dx_m, dy_m)
        return float(new_x), float(new_y)

    triangle = ((0.0, 0.0), (9.0, 1.0), (2.0, 7.0))
    zone, moved_zone = Zone("a", (triangle,)), Zone("b", (tuple(moved(*corner) for corner in triangle),))
    one, other = border(zone).sigmas(at(x_m, y_m)), border(moved_zone).sigmas(at(*moved(x_m, y_m)))
    assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("depth_m", "width_m"), [(0.3, 10.0), (0.0, 10.0), (-0.4, 10.0), (0.7, 1.4)])
def test_the_probability_is_that_of_a_straight_border_and_no_less_than_promised(depth_m: float, width_m: float) -> None:
    """Against drawing places: exact by a straight border, in a narrow strip by twice the doubt at the most."""
    generator = np.random.default_rng(7)
    strip = Zone("strip", (((0.0, -50.0), (width_m, -50.0), (width_m, 50.0), (0.0, 50.0)),))
    told = probability(border(strip).sigmas(at(depth_m, 0.0, 0.3)))
    drawn = depth_m + 0.3 * generator.standard_normal(200_000)
    found = float(np.mean((drawn > 0.0) & (drawn < width_m)))
    is_narrow = width_m < 2.0
    assert found == pytest.approx(1.0 - 2.0 * (1.0 - told) if is_narrow else told, abs=0.005)


def test_a_zone_holds_what_is_within_its_rectangle() -> None:
    assert border().may_hold(at(10.0, 0.0))
    assert not border().may_hold(at(10.1, 5.0))


@pytest.mark.parametrize(
    "values",
    [
        {"enter_probability": 0.4},
        {"leave_probability": 0.5},
        {"leave_probability": 0.0},
        {"enter_probability": 1.0},
        {"least_sigma_m": 0.0},
        {"unknown_sigma_m": -1.0},
        {"unknown_sigma_m": math.nan},
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Certainty(**values)
