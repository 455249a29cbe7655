"""From the ranges between one tag and three or more anchors to the tag's place, or to the reason why there is none.

The frame is the site map's: metres, x and y in plan, z up. Ranges are slant; each is reduced by the height of its
anchor over the tag, where both heights are known. Where either is not, the tag is taken to be at the anchor's height.

Three ranges are solved in closed form and leave nothing over to judge their accuracy by. More are solved by least
squares on the slant ranges, with a covariance.

Sources, besides those of the modules ``spheres`` and ``least_squares``:
    * R. B. Langley, "Dilution of precision", GPS World 10(5), 1999: *GDOP*, the geometry's share of the error.
    * A. Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, sections 2.6 and 14.2: the scaled-inverse-χ² variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from pipeline.model import Reason
from pipeline.positioning.least_squares import Fit, Linearised, linearise, refine, starting_points
from pipeline.positioning.spheres import Point, Sphere, radical_centre
from pipeline.site import COLLINEAR_RATIO, MIN_ANCHORS, Anchor, plan_flatness

_COORDINATES = 2

_PRIOR_READINGS = 4.0
"""How many surplus readings the prior on a range's sigma is worth."""

_AMBIGUOUS_CHI_SQUARE = 9.0
"""Two places whose sums of squares differ by less cannot be told apart: three sigmas, odds of about 90 to 1."""

_SAME_PLACE_SIGMAS = 3.0
"""Two places nearer than this are both covered by the accuracy that is stated for the better one."""


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """What is believed of the ranges, and what is asked of a solution.

    Attributes:
        range_sigma_m: standard deviation of a range before any is seen: UWB noise and the spread of the bias together.
        max_residual_m: RMS of the range residuals above which the ranges do not meet.
        max_gdop: horizontal dilution of precision above which the geometry is hopeless.

    Raises:
        ValueError: a setting is not a positive, finite number.
    """

    range_sigma_m: float = 0.15
    max_residual_m: float = 1.0
    max_gdop: float = 25.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{field.name} must be positive and finite, got {value!r}")


DEFAULT_SETTINGS = SolverSettings()


class Solution(NamedTuple):
    """Where a tag is, in the site's frame. The covariance and the residual are None with exactly three ranges.

    ``z_m`` is the tag height that was given. ``residual_m`` is the RMS of the slant range residuals; ``gdop`` is
    *sqrt(trace((JᵀJ)⁻¹))*, the rows of *J* being the horizontal parts of the unit vectors from the anchors.
    """

    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    residual_m: float | None
    gdop: float


class UnsolvableError(Exception):
    """The ranges give no position.

    ``reason`` is :attr:`Reason.DEGENERATE_GEOMETRY` (the anchors cannot tell) or :attr:`Reason.INCONSISTENT_RANGES`
    (the ranges contradict each other); ``detail`` names what failed, its bound and its value.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"


def trilaterate(
    anchors: Sequence[Anchor],
    distances_m: Sequence[float],
    tag_height_m: float | None,
    settings: SolverSettings = DEFAULT_SETTINGS,
) -> Solution:
    """Return the place that explains the slant ranges from a tag to anchors.

    Args:
        anchors: three or more, all different.
        distances_m: the slant range to each anchor, in the anchors' order.
        tag_height_m: the tag's height in the frame of the anchors' ``z_m``, or None where it is not known.
        settings: what is believed of the ranges and asked of the solution.

    Raises:
        UnsolvableError: no position can be had from these ranges. None is ever made up.
        ValueError: these are not ranges to anchors: too few, an anchor twice, of unequal number, negative, not finite.
    """
    spheres, origin = _spheres(anchors, distances_m, tag_height_m)
    flat = plan_flatness([(sphere.x_m, sphere.y_m) for sphere in spheres])
    if not flat >= COLLINEAR_RATIO:
        raise UnsolvableError(
            Reason.DEGENERATE_GEOMETRY,
            f"anchors on one line: width for length is {flat:.3g}, must be {COLLINEAR_RATIO} or more",
        )
    if not math.isfinite(sum(distance_m * distance_m for distance_m in distances_m)):
        raise UnsolvableError(
            Reason.INCONSISTENT_RANGES, f"longest range is {max(distances_m):.3g} m, which has no finite square"
        )
    solve = _by_closed_form if len(spheres) == MIN_ANCHORS else _by_least_squares
    solution = solve(spheres, settings)
    return solution._replace(x_m=solution.x_m + origin.x_m, y_m=solution.y_m + origin.y_m, z_m=tag_height_m)


def _spheres(
    anchors: Sequence[Anchor], distances_m: Sequence[float], tag_height_m: float | None
) -> tuple[list[Sphere], Point]:
    """Return the ranges with the first anchor as origin, where great map coordinates lose no digits; and its place."""
    if len(anchors) != len(distances_m):
        raise ValueError(f"as many distances as anchors are needed, got {len(distances_m)} for {len(anchors)}")
    if len(anchors) < MIN_ANCHORS:
        raise ValueError(f"{MIN_ANCHORS} or more anchors are needed, got {len(anchors)}")
    if len({anchor.id for anchor in anchors}) < len(anchors):
        raise ValueError(f"anchors must differ, got {[anchor.id for anchor in anchors]}")
    if not (tag_height_m is None or math.isfinite(tag_height_m)):
        raise ValueError(f"tag_height_m must be finite or None, got {tag_height_m!r}")
    origin = Point(anchors[0].x_m, anchors[0].y_m)
    spheres = []
    for anchor, distance_m in zip(anchors, distances_m, strict=True):
        dz_m = 0.0 if anchor.z_m is None or tag_height_m is None else anchor.z_m - tag_height_m
        sphere = Sphere(anchor.x_m - origin.x_m, anchor.y_m - origin.y_m, dz_m, distance_m)
        if not all(map(math.isfinite, sphere)):
            raise ValueError(f"coordinates and distance must be finite, got {anchor} and {distance_m!r}")
        if distance_m < 0.0:
            raise ValueError(f"distance to {anchor.id} must be 0 or more, got {distance_m!r}")
        spheres.append(sphere)
    return spheres, origin


def _by_closed_form(spheres: Sequence[Sphere], settings: SolverSettings) -> Solution:
    """Solve three ranges.

    Held to the bound is the closed form's own dilution too: it weighs the ranges otherwise than least squares would, so
    that (Gauss-Markov) its error is never smaller, and with anchors near one line it is much larger.
    """
    point, closed_form_dilution = radical_centre(*spheres)
    linearised = linearise(spheres, point)
    _demand_meeting(_rms(linearised, len(spheres)), settings)
    gdop = linearised.dilution()
    _demand_geometry(max(gdop, closed_form_dilution), settings)
    return Solution(point.x_m, point.y_m, None, None, None, None, None, gdop)


def _by_least_squares(spheres: Sequence[Sphere], settings: SolverSettings) -> Solution:
    """Solve four or more ranges: the lower of two minima, sought on either side of the anchors' line of best fit.

    The variance of a range has a scaled-inverse-χ² prior with scale *σ²* worth *ν₀* readings; its posterior has the
    scale *s² = (ν₀ σ² + eᵀe) / (ν₀ + n - 2)* (Gelman et al.), so that two surplus ranges that happen to agree do not
    claim millimetres. The covariance is *s² (JᵀJ)⁻¹* (Foy 1976).
    """
    starts = starting_points(spheres, settings.range_sigma_m)
    best, other = sorted((refine(spheres, start) for start in starts), key=lambda fit: fit.linearised.sum_squares_m2)
    residual_m = _rms(best.linearised, len(spheres))
    _demand_meeting(residual_m, settings)
    gdop = best.linearised.dilution()
    _demand_geometry(gdop, settings)
    if not best.converged:
        raise UnsolvableError(
            Reason.INCONSISTENT_RANGES, f"no least-squares point: the search ended at {residual_m:.3g} m RMS"
        )
    surplus = len(spheres) - _COORDINATES
    prior_m2 = settings.range_sigma_m * settings.range_sigma_m
    variance_m2 = (_PRIOR_READINGS * prior_m2 + best.linearised.sum_squares_m2) / (_PRIOR_READINGS + surplus)
    _demand_one_place(best, other, variance_m2, gdop)
    xx, xy, yy = best.linearised.normal_xx, best.linearised.normal_xy, best.linearised.normal_yy
    unit = variance_m2 / (xx * yy - xy * xy)
    return Solution(best.point.x_m, best.point.y_m, None, unit * yy, -unit * xy, unit * xx, residual_m, gdop)


def _rms(linearised: Linearised, count: int) -> float:
    return math.sqrt(linearised.sum_squares_m2 / count)


def _demand_meeting(residual_m: float, settings: SolverSettings) -> None:
    if not residual_m <= settings.max_residual_m:  # so written that what is not a number fails
        raise UnsolvableError(
            Reason.INCONSISTENT_RANGES,
            f"range residual is {residual_m:.3g} m RMS, max_residual_m is {settings.max_residual_m:g}",
        )


def _demand_geometry(dilution: float, settings: SolverSettings) -> None:
    if not dilution <= settings.max_gdop:
        raise UnsolvableError(
            Reason.DEGENERATE_GEOMETRY, f"dilution of precision is {dilution:.3g}, max_gdop is {settings.max_gdop:g}"
        )


def _demand_one_place(best: Fit, other: Fit, variance_m2: float, gdop: float) -> None:
    """Refuse to pick one of two places, far apart, that the ranges fit about equally well: anchors near one line."""
    chi_square = (other.linearised.sum_squares_m2 - best.linearised.sum_squares_m2) / variance_m2
    apart_m = math.dist(best.point, other.point)
    if chi_square < _AMBIGUOUS_CHI_SQUARE and apart_m > _SAME_PLACE_SIGMAS * gdop * math.sqrt(variance_m2):
        raise UnsolvableError(
            Reason.DEGENERATE_GEOMETRY,
            f"two places {apart_m:.3g} m apart fit: their chi-squares differ by {chi_square:.3g}, "
            f"must be {_AMBIGUOUS_CHI_SQUARE:g} or more",
        )
