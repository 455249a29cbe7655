"""The lowest least-squares minimum, and its rival: the mirror solution, or whatever else the ranges fit nearly as well.

Frame, units and the table of ranges are those of :mod:`pipeline.positioning.spheres`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pipeline.positioning.compiled import compiled
from pipeline.positioning.least_squares import Fit, refine
from pipeline.positioning.spheres import RANGE, Place, Table, Z
from pipeline.positioning.starting_points import starting_points

_SAME_MINIMUM = 1e-4
"""Searches that end within this fraction of the mean range of each other have found the same minimum."""


class BothSides(NamedTuple):
    """The best fit, and the best one that lies elsewhere; the best twice where there is no other."""

    best: Fit
    other: Fit


@compiled
def both_sides(table: Table, lowest_z: float, highest_z: float) -> BothSides:
    """Return the minima reached from either side of the anchors' line of best fit.

    Where z is not given, from there at both ends of its range, which has the anchors' plane between its ends if the
    mirror image of the tag in that plane is within the range.
    """
    mean_range = middle = 0.0
    for row in range(len(table)):
        mean_range += table[row, RANGE] / len(table)
        middle += table[row, Z] / len(table)
    from_z = lowest_z if math.isfinite(lowest_z) else min(middle, highest_z) - 0.5 * mean_range
    to_z = highest_z if math.isfinite(highest_z) else max(middle, lowest_z) + 0.5 * mean_range
    first, second = starting_points(table, from_z)
    best = refine(table, first, lowest_z, highest_z)
    other = refine(table, second, lowest_z, highest_z)
    best, other = _ranked(best, other, other, mean_range)
    if lowest_z < highest_z:
        third, fourth = starting_points(table, to_z)
        best, other = _ranked(best, other, refine(table, third, lowest_z, highest_z), mean_range)
        best, other = _ranked(best, other, refine(table, fourth, lowest_z, highest_z), mean_range)
    return BothSides(best, other)


@compiled
def _ranked(best: Fit, other: Fit, found: Fit, mean_range: float) -> tuple[Fit, Fit]:
    """Return the best two of three, that are not the same minimum."""
    if found.chi_square < best.chi_square or math.isnan(best.chi_square):
        best, found = found, best
    if _is_same(best.place, found.place, mean_range):
        found = best
    if _is_same(best.place, other.place, mean_range):
        return best, found
    if not _is_same(best.place, found.place, mean_range) and found.chi_square < other.chi_square:
        return best, found
    return best, other


@compiled
def _is_same(first: Place, second: Place, mean_range: float) -> bool:
    apart = abs(first.x - second.x) + abs(first.y - second.y) + abs(first.z - second.z)
    return apart <= _SAME_MINIMUM * mean_range
