"""From ranges to the tag's place and its accuracy, or to what is wrong with the ranges: many groups in a compiled call.

Frame, units and the table of ranges are those of :mod:`pipeline.positioning.spheres`.

Sources, besides those of the modules used:
    * R. B. Langley, "Dilution of precision", GPS World 10(5), 1999: *GDOP*, the geometry's share of the error.
    * S. M. Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", 1993, chapter 3: Cramér-Rao.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipeline.positioning.both_sides import BothSides, both_sides
from pipeline.positioning.compiled import compiled
from pipeline.positioning.least_squares import Symmetric, inverse, linearise, refine
from pipeline.positioning.outliers import CONTRADICTION, SUSPICIOUS, Choice, agreeing, agreement, kept_rows, scale
from pipeline.positioning.spheres import (
    COLUMNS,
    OWN,
    RANGE,
    Floats,
    Indexes,
    Place,
    Table,
    X,
    Y,
    flatness,
    predict,
    prepare,
    radical_centre,
    residual_rms,
)
from pipeline.site import COLLINEAR_RATIO

SOLVED, ON_ONE_LINE, NO_SQUARE, DO_NOT_MEET, DILUTED, NOT_CONVERGED, CONTRADICTORY, TWO_PLACES, NO_RANGES = range(9)
"""What came of the ranges; ``NO_RANGES``: they are not three or more distances, from 0 up, to different anchors."""

AMBIGUOUS_CHI_SQUARE = 9.0
"""Two places whose chi-squares differ by less cannot be told apart: three sigmas, odds of about 90 to 1."""

_SAME_PLACE_CHI_SQUARE = 9.0
"""Two places nearer than three sigmas are both covered by the accuracy that is stated for the better one."""

_LEAST = 3


class Outcome(NamedTuple):
    """What came of the ranges; ``value`` and ``beside`` are what the verdict went by. Covariance (m²): NaN if none."""

    verdict: int
    value: float
    beside: float
    place: Place
    covariance: Symmetric
    residual: float
    gdop: float


class Demands(NamedTuple):
    """What is asked of a place.

    ``lowest_z`` and ``highest_z`` bound the tag's height (m), which is solved for unless they are equal. ``sigma`` is
    the standard deviation of a range without bias (m), by which what is known of the height compares with the ranges.
    ``max_residual`` (RMS, m) and ``max_gdop`` are the residual and the horizontal dilution above which there is none.
    """

    lowest_z: float
    highest_z: float
    sigma: float
    max_residual: float
    max_gdop: float


VERDICT, VALUE, BESIDE, PLACE_X, PLACE_Y, PLACE_Z, COV_XX, COV_XY, COV_YY, COV_ZZ, RESIDUAL, GDOP, REFUSED = range(13)
"""The columns of the answers: an outcome in plain numbers, and how many of the ranges were refused."""
FIGURES = 13


@compiled
def answer_all(  # noqa: PLR0917
    anchors: Table,
    rows: Indexes,
    distances: Floats,
    ends: Indexes,
    lowest_z: float,
    highest_z: float,
    sigma: float,
    max_residual: float,
    max_gdop: float,
) -> tuple[Floats, Choice]:
    """Do what :func:`solve` does for groups of ranges, one after the other, in numbers cheap to hand to Python.

    Args:
        anchors: what :func:`pipeline.positioning.spheres.prepare` takes of each anchor, shape (m, ``COLUMNS``).
        rows: which anchor each range is to: a row of ``anchors``, or -1 for one that is none of them; shape (n,).
        distances: the slant ranges (m), shape (n,).
        ends: where each group's ranges end, and those of the next begin; shape (g,).
        lowest_z: see :class:`Demands`, as of the other numbers.
        highest_z: see there.
        sigma: see there.
        max_residual: see there.
        max_gdop: see there.

    Returns:
        the outcome of each group, shape (g, ``FIGURES``), its place in the frame of ``anchors``; and, shape (n,),
        whether each range was kept.
    """
    found, kept = np.empty((len(ends), FIGURES)), np.ones(len(rows), np.bool_)
    demands = Demands(lowest_z, highest_z, sigma, max_residual, max_gdop)
    most = begin = 0
    for end in ends:
        most, begin = max(most, end - begin), end
    tables = np.empty((most, COLUMNS))
    begin = 0
    for group in range(len(ends)):
        end = ends[group]
        table, choice = tables[: end - begin], kept[begin:end]
        outcome, origin_x, origin_y = _unsolved(NO_RANGES, 0.0, 0.0), 0.0, 0.0
        if _tabulated(table, anchors, rows[begin:end], distances[begin:end]):
            origin_x, origin_y = table[0, X], table[0, Y]
            if prepare(table, sigma):
                outcome = solve(table, choice, demands)
        _tell(found[group], outcome, origin_x, origin_y)
        found[group, REFUSED] = end - begin - choice.sum()
        begin = end
    return found, kept


@compiled
def _tabulated(table: Table, anchors: Table, rows: Indexes, distances: Floats) -> bool:
    """Fill in the measurements of a group, if they are three or more and to different anchors."""
    if len(rows) < _LEAST:
        return False
    for at in range(len(rows)):
        row = rows[at]
        if row < 0:
            return False
        for before in range(at):
            if rows[before] == row:
                return False
        for column in range(COLUMNS):
            table[at, column] = anchors[row, column]
        table[at, RANGE] = distances[at]
    return True


@compiled
def _tell(figures: Floats, outcome: Outcome, origin_x: float, origin_y: float) -> None:
    """Write an outcome down, its place in the frame of the origin."""
    figures[VERDICT], figures[VALUE], figures[BESIDE] = outcome.verdict, outcome.value, outcome.beside
    place, covariance = outcome.place, outcome.covariance
    figures[PLACE_X], figures[PLACE_Y], figures[PLACE_Z] = origin_x + place.x, origin_y + place.y, place.z
    figures[COV_XX], figures[COV_XY], figures[COV_YY] = covariance.xx, covariance.xy, covariance.yy
    figures[COV_ZZ], figures[RESIDUAL], figures[GDOP] = covariance.zz, outcome.residual, outcome.gdop


@compiled
def solve(table: Table, kept: Choice, demands: Demands) -> Outcome:
    """Return the place that explains three or more ranges, whose numbers are finite.

    ``kept`` is True for each range, and after the call False for those that were refused.
    """
    flat = flatness(table)
    if not flat >= COLLINEAR_RATIO:
        return _unsolved(ON_ONE_LINE, flat, 0.0)
    squares = 0.0
    for row in range(len(table)):
        squares += table[row, RANGE] * table[row, RANGE]
    if not math.isfinite(squares):
        return _unsolved(NO_SQUARE, table[:, RANGE].max(), 0.0)
    if len(table) == _LEAST and demands.lowest_z == demands.highest_z:
        return _three(table, demands)
    unknowns = 3 if demands.lowest_z < demands.highest_z else 2
    fits, odds = both_sides(table, demands.lowest_z, demands.highest_z), 1.0
    if len(table) > unknowns:
        odds = agreement(fits.best.chi_square, len(table) - unknowns)
    if not odds >= SUSPICIOUS:
        named, without = agreeing(table, demands.lowest_z, demands.highest_z)
        if named:
            kept[:] = without
            table = kept_rows(table, kept)
            fits, odds = both_sides(table, demands.lowest_z, demands.highest_z), 1.0
    return _judged(table, fits, odds, demands)


@compiled
def _judged(table: Table, fits: BothSides, odds: float, demands: Demands) -> Outcome:
    """Return the best fit as the place, with its accuracy *(JᵀV⁻¹J)⁻¹*, if it is good enough and the only one."""
    residual = residual_rms(table, fits.best.place)
    if not residual <= demands.max_residual:
        return _unsolved(DO_NOT_MEET, residual, 0.0)
    gdop = dilution(table, fits.best.place, demands)
    if not gdop <= demands.max_gdop:
        return _unsolved(DILUTED, gdop, 0.0)
    if not fits.best.converged:
        return _unsolved(NOT_CONVERGED, residual, 0.0)
    if not odds >= CONTRADICTION:
        return _unsolved(CONTRADICTORY, odds, 0.0)
    table, fits = _rescaled(table, fits, demands)
    best = fits.best
    information = with_range(linearise(table, best.place).normal, best.place.z, demands)
    two = _two_places(fits, information)
    if two.verdict == TWO_PLACES:
        return two
    covariance = _unknown()
    if len(table) > _LEAST:
        covariance = inverse(information, demands.lowest_z == demands.highest_z)
    return Outcome(SOLVED, 0.0, 0.0, best.place, covariance, residual_rms(table, best.place), gdop)


@compiled
def _two_places(fits: BothSides, information: Symmetric) -> Outcome:
    """Return the verdict that a second place, beyond the accuracy of the best, fits about as well; else ``SOLVED``."""
    best, other = fits.best, fits.other
    worse = other.chi_square - best.chi_square
    x, y, z = other.place.x - best.place.x, other.place.y - best.place.y, other.place.z - best.place.z
    apart = information.xx * x * x + information.yy * y * y + 2.0 * information.xy * x * y
    apart += information.zz * z * z + 2.0 * z * (information.xz * x + information.yz * y)
    is_one = worse >= AMBIGUOUS_CHI_SQUARE or apart <= _SAME_PLACE_CHI_SQUARE
    return _unsolved(SOLVED if is_one else TWO_PLACES, math.sqrt(x * x + y * y + z * z), worse)


@compiled
def _rescaled(table: Table, fits: BothSides, demands: Demands) -> tuple[Table, BothSides]:
    """Return the ranges as noisy as they have turned out to be, and the fits to them."""
    unknowns = 3 if demands.lowest_z < demands.highest_z else 2
    if len(table) <= unknowns:
        return table, fits
    table = table.copy()
    table[:, OWN] *= scale(fits.best.chi_square, len(table) - unknowns)
    best = refine(table, fits.best.place, demands.lowest_z, demands.highest_z)
    if fits.best.place == fits.other.place:
        return table, BothSides(best, best)
    return table, BothSides(best, refine(table, fits.other.place, demands.lowest_z, demands.highest_z))


@compiled
def _three(table: Table, demands: Demands) -> Outcome:
    """Solve three ranges at a known height in closed form; they leave nothing over to judge their accuracy by.

    Held to the bound is the closed form's own dilution too: it weighs the ranges otherwise than least squares would, so
    that (Gauss-Markov) its error is never smaller, and with anchors near one line it is much larger.
    """
    place, closed_form_dilution = radical_centre(table, demands.lowest_z)
    residual = residual_rms(table, place)
    if not residual <= demands.max_residual:
        return _unsolved(DO_NOT_MEET, residual, 0.0)
    gdop = dilution(table, place, demands)
    if not max(gdop, closed_form_dilution) <= demands.max_gdop:
        return _unsolved(DILUTED, max(gdop, closed_form_dilution), 0.0)
    fits = both_sides(table, demands.lowest_z, demands.highest_z)
    two = _two_places(fits, linearise(table, fits.best.place).normal)
    if two.verdict == TWO_PLACES:
        return two
    return Outcome(SOLVED, 0.0, 0.0, place, _unknown(), residual, gdop)


@compiled
def with_range(normal: Symmetric, z: float, demands: Demands) -> Symmetric:
    """Return the information (1/m²) with what the bounds of z add.

    Its variance by them alone is the mean square of a uniform *z* about the place's.
    """
    width, off = demands.highest_z - demands.lowest_z, z - 0.5 * (demands.lowest_z + demands.highest_z)
    if not 0.0 < width < math.inf:
        return normal
    known = 1.0 / (width * width / 12.0 + off * off)
    return Symmetric(normal.xx, normal.xy, normal.yy, normal.xz, normal.yz, normal.zz + known)


@compiled
def dilution(table: Table, place: Place, demands: Demands) -> float:
    """Return the horizontal dilution of precision, *sqrt(trace((JᵀJ)⁻¹))* over x and y, infinite where it has none.

    Where z is solved for, the rows of *J* have its column, and its bounds count as a measurement of it.
    """
    xx = xy = yy = xz = yz = zz = 0.0
    for row in range(len(table)):
        _, x, y, z = predict(table, row, place)
        xx, xy, yy, xz, yz, zz = xx + x * x, xy + x * y, yy + y * y, xz + x * z, yz + y * z, zz + z * z
    bounds = with_range(Symmetric(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), place.z, demands)
    zz += bounds.zz * demands.sigma * demands.sigma
    squared = inverse(Symmetric(xx, xy, yy, xz, yz, zz), demands.lowest_z == demands.highest_z)
    return math.sqrt(squared.xx + squared.yy) if squared.xx > 0.0 and squared.yy > 0.0 else math.inf


@compiled
def _unsolved(verdict: int, value: float, beside: float) -> Outcome:
    nowhere = Place(math.nan, math.nan, math.nan)
    return Outcome(verdict, value, beside, nowhere, _unknown(), math.nan, math.nan)


@compiled
def _unknown() -> Symmetric:
    return Symmetric(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
