"""From the ranges between one tag and three or more anchors to the tag's place, or to the reason why there is none.

The frame is the site map's: metres, x and y in plan, z up. Ranges are slant. Where the tag's height is known, they are
reduced by it; where a range of heights is known, the height is solved for within it; where neither is, or an anchor's
height is not, the tag is taken to be at the anchor's height.

Three ranges leave nothing over to judge their accuracy by. More have a covariance, and those that contradict the
others are refused, by name. The science is in ``solver`` and the modules that it uses, with its sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, NoReturn

import numpy as np

from pipeline.model import Reason
from pipeline.positioning.outliers import CONTRADICTION
from pipeline.positioning.solver import (
    AMBIGUOUS_CHI_SQUARE,
    CONTRADICTORY,
    DILUTED,
    DO_NOT_MEET,
    NO_RANGES,
    NO_SQUARE,
    NOT_CONVERGED,
    ON_ONE_LINE,
    SOLVED,
    TWO_PLACES,
    answer_all,
)
from pipeline.positioning.spheres import COLUMNS, Table
from pipeline.site import COLLINEAR_RATIO, MIN_ANCHORS, Anchor


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """What is believed of the ranges, and what is asked of a solution.

    Attributes:
        range_sigma_m: standard deviation of a range's noise, before any range of the tag is seen.
        bias_sigma_m: standard deviation of the bias of ranges to an anchor that is not calibrated.
        max_residual_m: RMS of the range residuals above which the ranges do not meet.
        max_gdop: horizontal dilution of precision above which the geometry is hopeless.

    Raises:
        ValueError: a setting is not a positive, finite number.
    """

    range_sigma_m: float = 0.07
    bias_sigma_m: float = 0.2
    max_residual_m: float = 1.0
    max_gdop: float = 50.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{field.name} must be positive and finite, got {value!r}")


DEFAULT_SETTINGS = SolverSettings()


class Solution(NamedTuple):
    """Where a tag is, in the site's frame. The covariance and the residual are None with exactly three ranges.

    ``z_m`` is the tag height that was given, or was solved for; only then is there ``var_zz_m2``. ``residual_m`` is the
    RMS of the slant range residuals; ``gdop`` is *sqrt(trace((JᵀJ)⁻¹))* in x and y, the rows of *J* being the unit
    vectors from the anchors. Both are over the ranges used: ``refused`` are the indexes of those that were not.
    """

    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    var_zz_m2: float | None
    residual_m: float | None
    gdop: float
    refused: tuple[int, ...]


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
    tag_height_range_m: tuple[float, float] | None = None,
) -> Solution:
    """Return the place that explains the slant ranges from a tag to anchors.

    Args:
        anchors: three or more, all different. Their biases are taken off the distances.
        distances_m: the slant range to each anchor, in the anchors' order.
        tag_height_m: the tag's height in the frame of the anchors' ``z_m``, or None where it is not known.
        settings: what is believed of the ranges and asked of the solution.
        tag_height_range_m: lowest and highest height of the tag where ``tag_height_m`` is None; either may be infinite.

    Raises:
        UnsolvableError: no position can be had from these ranges. None is ever made up.
        ValueError: these are not ranges to anchors: too few, an anchor twice, of unequal number, negative, not finite.
    """
    solve_z = tag_height_m is None and tag_height_range_m is not None and None not in [a.z_m for a in anchors]
    _check(anchors, distances_m, tag_height_m)
    lowest_z, highest_z = tag_height_range_m if solve_z and tag_height_range_m is not None else (0.0, 0.0)
    if solve_z and not lowest_z < highest_z:
        raise ValueError(f"tag_height_range_m must be lowest and highest, got {tag_height_range_m!r}")
    found, kept = answer_all(
        measurements(anchors, tag_height_m, settings.bias_sigma_m, solve_z=solve_z),
        np.arange(len(anchors)),
        np.array(distances_m, np.float64),
        np.array([len(anchors)]),
        float(lowest_z),
        float(highest_z),
        float(settings.range_sigma_m),
        float(settings.max_residual_m),
        float(settings.max_gdop),
    )
    verdict, value, beside, x_m, y_m, z_m, cov_xx_m2, cov_xy_m2, cov_yy_m2, cov_zz_m2, residual_m, gdop, bad = found[
        0
    ].tolist()
    if verdict == NO_RANGES:
        _refuse_values(anchors, distances_m)
    if verdict != SOLVED:
        raise UnsolvableError(*why_not(verdict, value, beside, settings))
    height_m = z_m if solve_z else tag_height_m
    refused = tuple(np.flatnonzero(~kept).tolist()) if bad else ()
    if math.isnan(cov_xx_m2):
        return Solution(x_m, y_m, height_m, None, None, None, None, None, gdop, refused)
    var_zz_m2 = cov_zz_m2 if solve_z else None
    return Solution(x_m, y_m, height_m, cov_xx_m2, cov_xy_m2, cov_yy_m2, var_zz_m2, residual_m, gdop, refused)


def warm_up() -> None:
    """Compile the solver, or load it compiled: seconds where it has never run, and none in the middle of a stream."""
    anchors = [Anchor("A", 0.0, 0.0, 2.0), Anchor("B", 4.0, 0.0, 2.0), Anchor("C", 0.0, 3.0, 2.0)]
    trilaterate(anchors, [2.5, 2.5, 2.5], 2.0)


def measurements(anchors: Iterable[Anchor], tag_height_m: float | None, bias_sigma_m: float, *, solve_z: bool) -> Table:
    """Return what :func:`pipeline.positioning.solver.answer_all` takes of anchors, a row each.

    Heights are over the tag where its height is known, and the site's where it is solved for.
    """
    is_flat = tag_height_m is None and not solve_z
    base_m = tag_height_m or 0.0
    cells: list[float] = []
    for anchor in anchors:
        z_m, sigma_m = anchor.z_m, anchor.bias_sigma_m
        cells += (
            anchor.x_m,
            anchor.y_m,
            0.0 if z_m is None or is_flat else z_m - base_m,
            0.0,
            anchor.bias_m,
            bias_sigma_m if sigma_m is None else sigma_m,
        )
    return np.array(cells, np.float64).reshape(-1, COLUMNS)


def why_not(verdict: int, value: float, beside: float, settings: SolverSettings) -> tuple[Reason, str]:
    """Return why there is no place: what failed, its bound and its value."""
    name, bound = {
        ON_ONE_LINE: ("anchors on one line: width for length is", f"must be {COLLINEAR_RATIO} or more"),
        NO_SQUARE: ("longest range is", "which has no finite square"),
        DO_NOT_MEET: ("range residual is", f"max_residual_m is {settings.max_residual_m:g}"),
        DILUTED: ("dilution of precision is", f"max_gdop is {settings.max_gdop:g}"),
        NOT_CONVERGED: ("no least-squares point: the search ended at", "without a minimum"),
        CONTRADICTORY: (
            "ranges contradict each other, and the bad cannot be told from the good: odds are",
            f"must be {CONTRADICTION:g} or more",
        ),
        TWO_PLACES: (
            "two places fit, apart by",
            f"their chi-squares differ by {beside:.3g}, must be {AMBIGUOUS_CHI_SQUARE:g} or more",
        ),
    }[verdict]
    unit = {NO_SQUARE: " m", DO_NOT_MEET: " m RMS", NOT_CONVERGED: " m RMS", TWO_PLACES: " m"}.get(verdict, "")
    degenerate = verdict in {ON_ONE_LINE, DILUTED, TWO_PLACES}
    reason = Reason.DEGENERATE_GEOMETRY if degenerate else Reason.INCONSISTENT_RANGES
    return reason, f"{name} {value:.3g}{unit}, {bound}"


def _check(anchors: Sequence[Anchor], distances_m: Sequence[float], tag_height_m: float | None) -> None:
    count = len(anchors)
    if count != len(distances_m):
        raise ValueError(f"as many distances as anchors are needed, got {len(distances_m)} for {count}")
    if count < MIN_ANCHORS:
        raise ValueError(f"{MIN_ANCHORS} or more anchors are needed, got {count}")
    if len({anchor.id for anchor in anchors}) < count:
        raise ValueError(f"anchors must differ, got {[anchor.id for anchor in anchors]}")
    if not (tag_height_m is None or math.isfinite(tag_height_m)):
        raise ValueError(f"tag_height_m must be finite or None, got {tag_height_m!r}")


def _refuse_values(anchors: Sequence[Anchor], distances_m: Sequence[float]) -> NoReturn:
    for anchor, distance_m in zip(anchors, distances_m, strict=True):
        numbers = (anchor.x_m, anchor.y_m, anchor.z_m, distance_m, anchor.bias_m, anchor.bias_sigma_m)
        if not all(math.isfinite(number) for number in numbers if number is not None):
            raise ValueError(f"coordinates and distance must be finite, got {anchor} and {distance_m!r}")
        if distance_m < 0.0:
            raise ValueError(f"distance to {anchor.id} must be 0 or more, got {distance_m!r}")
    raise ValueError("heights over the tag must be finite")
