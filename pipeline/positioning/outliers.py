"""Ranges that contradict the others: whether there are any, and which.

That the ranges agree is tested by what is left of them after the fit: *Q = eᵀV⁻¹e* is distributed as *χ²* with
*n - p* degrees of freedom. What fails is searched for the smallest set of ranges without which the others agree;
leaving out is exhaustive for one range and, up to a bound, for two, so that a bad range cannot hide behind its own pull
on the fit.

Frame, units and the table of ranges are those of :mod:`pipeline.positioning.spheres`.

Sources:
    * R. G. Brown, "A baseline GPS RAIM scheme and a note on the equivalence of three RAIM methods", Navigation 39(3),
      1992: detection by the sum of squares, identification by leaving out.
    * P. J. Rousseeuw, A. M. Leroy, "Robust Regression and Outlier Detection", 1987: breakdown, and subsets.
    * A. Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, sections 2.6 and 14.2: the scaled-inverse-χ² variance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.both_sides import both_sides
from pipeline.positioning.compiled import compiled
from pipeline.positioning.spheres import COLUMNS, Table, flatness
from pipeline.site import COLLINEAR_RATIO

_PRIOR_READINGS = 8.0
"""How many surplus readings the prior on the scale of *V* is worth."""

SUSPICIOUS = 0.05
"""Where good ranges would disagree as much less often than this, bad ones are searched for."""

_CREDIBLE = 0.01
"""The rest agrees if good ranges would disagree as much at least this often."""

CONTRADICTION = 1e-4
"""Where no bad one can be named, ranges that disagree more than this are no noisy ones, and give no place at all."""

_CLEAR_LEAD = 7.0
"""The ranges left out are named only if leaving out others in their place fits worse by this chi-square."""

_EXHAUSTIVE_UP_TO = 12
"""Up to so many ranges every pair is tried (66); with more, the ranges are left out one after the other."""

Choice = NDArray[np.bool_]
"""Which rows of a table are kept."""


@compiled
def agreement(chi_square: float, surplus: int) -> float:
    """Return how probable it is that good ranges disagree as much: *P(χ² > Q)* with *n - p* degrees of freedom."""
    half = 0.5 * chi_square
    if surplus % 2 == 0:
        term, total, at = math.exp(-half), 0.0, 0.0
    else:
        term, total, at = 2.0 * math.sqrt(half / math.pi) * math.exp(-half), math.erfc(math.sqrt(half)), 0.5
    for _ in range(surplus // 2):
        total += term
        at += 1.0
        term *= half / at
    return total


@compiled
def scale(chi_square: float, surplus: int) -> float:
    """Return the scale of *V* after the fit, *(ν₀ + Q) / (ν₀ + n - p)*: few that happen to agree claim no millimetres.

    How noisy a site is, is only known roughly: the prior is scaled-inverse-χ² and worth *ν₀* readings (Gelman et al.).
    """
    return (_PRIOR_READINGS + chi_square) / (_PRIOR_READINGS + surplus)


@compiled
def most_outliers(count: int, unknowns: int) -> int:
    """Return how many bad ranges can be told from the good: the good must be more than the bad and the unknowns."""
    return max(0, min((count - unknowns - 1) // 2, max(2, count // 4)))


@compiled
def kept_rows(table: Table, kept: Choice) -> Table:
    """Return the table of the rows that are kept."""
    chosen, at = np.empty((kept.sum(), COLUMNS)), 0
    for row in range(len(table)):
        if kept[row]:
            chosen[at] = table[row]
            at += 1
    return chosen


@compiled
def agreeing(table: Table, lowest_z: float, highest_z: float) -> tuple[bool, Choice]:
    """Return whether the ranges that contradict the others can be named, and the ranges without them.

    Called with ranges that fail the test. The smallest number of ranges is left out without which the others pass.
    """
    count = len(table)
    unknowns = 3 if lowest_z < highest_z else 2
    kept = np.ones(count, np.bool_)
    for bad in range(1, most_outliers(count, unknowns) + 1):
        if bad == 2 and count <= _EXHAUSTIVE_UP_TO:  # noqa: PLR2004  (pairs)
            kept[:] = True
            lowest, second_lowest, first, second = np.inf, np.inf, 0, 0
            for one in range(count):
                kept[one] = False
                chi_square, runner_up, row = _leave_one_out(table, kept, one + 1, lowest_z, highest_z)
                kept[one] = True
                if chi_square < lowest:
                    second_lowest, lowest, first, second = min(lowest, runner_up), chi_square, one, row
                else:
                    second_lowest = min(second_lowest, chi_square)
            kept[first] = False
        else:
            lowest, second_lowest, second = _leave_one_out(table, kept, 0, lowest_z, highest_z)
        kept[second] = False
        surplus = count - bad - unknowns
        if agreement(lowest, surplus) >= _CREDIBLE:
            return second_lowest - lowest >= _CLEAR_LEAD * scale(lowest, surplus), kept
    return False, kept


@compiled
def _leave_one_out(
    table: Table, kept: Choice, start: int, lowest_z: float, highest_z: float
) -> tuple[float, float, int]:
    """Return the lowest and second lowest chi-square with one more row left out, from a row on, and which row it is.

    What leaves the anchors on one line counts as infinite.
    """
    lowest, second_lowest, lowest_row = np.inf, np.inf, start
    for row in range(start, len(table)):
        if not kept[row]:
            continue
        kept[row] = False
        rest = kept_rows(table, kept)
        kept[row] = True
        if not flatness(rest) >= COLLINEAR_RATIO:
            continue
        chi_square = both_sides(rest, lowest_z, highest_z).best.chi_square
        if chi_square < lowest:
            second_lowest, lowest, lowest_row = lowest, chi_square, row
        elif chi_square < second_lowest:
            second_lowest = chi_square
    return lowest, second_lowest, lowest_row
