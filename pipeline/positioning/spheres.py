"""One range as a sphere about its anchor: what it says of a place, and where three such spheres meet in plan.

A slant range *r* from an anchor at *(a, b, c)* says of the tag's place *(x, y, z)*::

    d(x, y, z) = sqrt((x - a)² + (y - b)² + (z - c)²) = r

Ranges come as a table, a row each, in the columns ``X``, ``Y``, ``Z`` (the anchor, m), ``RANGE`` (the slant range, m),
``OWN`` (variance of the error that this range has for itself, m²) and ``SHARED`` (standard deviation of the error that
all ranges have in common, m). Any flat frame will do; rounding is least with the origin among the anchors. Where
heights are data, *c* is the anchor's height over the tag and *z* is 0.

Nothing here raises: what cannot be computed is infinite or not a number.

Source: J. J. Caffery, "A new approach to the geometry of TOA location", IEEE VTC-Fall 2000: circles made into lines.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.compiled import compiled

Floats = NDArray[np.float64]
Indexes = NDArray[np.int64]
Table = NDArray[np.float64]
"""Ranges, shape (n, ``COLUMNS``)."""

X, Y, Z, RANGE, OWN, SHARED = range(6)
BIAS, BIAS_SIGMA = OWN, SHARED
"""What stands in the last two columns of measurements."""
COLUMNS = 6

NO_DIRECTION_M = 1e-9
"""Nearer to an anchor than this, the direction to it is rounding: its range then says nothing about direction."""


class Place(NamedTuple):
    """A place in the frame of the table (m)."""

    x: float
    y: float
    z: float


class Prediction(NamedTuple):
    """The measurement model at a place: the slant distance *d* (m) and its gradient, the unit vector to the tag."""

    distance: float
    along_x: float
    along_y: float
    along_z: float


COMMON_SHARE = 0.6
"""How much of the variance of the ranges' biases all of them have in common, being the tag's and the radio's."""


@compiled
def prepare(table: Table, noise_sigma: float) -> bool:
    """Make a table, in place, of measurements: anchors' x, y, z, distance, its bias, and the bias' standard deviation.

    Return False where a number is not finite, or a distance negative.

    The first anchor is taken for the origin in plan, where great map coordinates lose no digits. The bias is taken off
    the distance, down to 0. Its variance is the range's own but for the share that is common to all.
    """
    first_x, first_y = table[0, X], table[0, Y]
    for row in range(len(table)):
        for column in range(COLUMNS):
            if not math.isfinite(table[row, column]):
                return False
        if table[row, RANGE] < 0.0:
            return False
        bias, bias_sigma = table[row, BIAS], table[row, BIAS_SIGMA]
        table[row, X] -= first_x
        table[row, Y] -= first_y
        table[row, RANGE] = max(table[row, RANGE] - bias, 0.0)
        table[row, OWN] = noise_sigma * noise_sigma + (1.0 - COMMON_SHARE) * bias_sigma * bias_sigma
        table[row, SHARED] = math.sqrt(COMMON_SHARE) * abs(bias_sigma)
    return True


@compiled
def predict(table: Table, row: int, place: Place) -> Prediction:
    """Return the slant distance from an anchor to a place, and its derivative by the place.

    At the anchor itself the derivative does not exist, and is given as zero.
    """
    dx, dy, dz = place.x - table[row, X], place.y - table[row, Y], place.z - table[row, Z]
    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
    if distance < NO_DIRECTION_M:
        return Prediction(distance, 0.0, 0.0, 0.0)
    return Prediction(distance, dx / distance, dy / distance, dz / distance)


@compiled
def squared_range_in_plan(table: Table, row: int, z: float) -> float:
    """Return *r² - (z - c)²* (m²); noise may put it below zero straight under an anchor, and no root is taken."""
    slant, drop = table[row, RANGE], z - table[row, Z]
    return float(slant * slant - drop * drop)


@compiled
def residual_rms(table: Table, place: Place) -> float:
    """Return the root mean square of *d - r* (m)."""
    total = 0.0
    for row in range(len(table)):
        total += (predict(table, row, place).distance - table[row, RANGE]) ** 2
    return math.sqrt(total / len(table))


@compiled
def radical_centre(table: Table, z: float) -> tuple[Place, float]:
    """Return the point of equal power to three circles in plan, and the dilution of precision of this closed form.

    Subtracting the first circle's equation from the others leaves two lines (Caffery 2000), with *ρ² = r² - (z - c)²*::

        2 (aᵢ - a₁) x + 2 (bᵢ - b₁) y = ρ₁² - ρᵢ² + |(aᵢ, bᵢ)|² - |(a₁, b₁)|²,  i = 2, 3

    A height common to all cancels. The circles meet in this point if they meet in one at all. Differentiating by the
    ranges gives the standard deviation of the point for each metre of a range's: *sqrt(Σ (dᵢ Lᵢ)²) / 2A*, with *dᵢ* the
    slant distance, *Lᵢ* the side of the anchors' triangle across from anchor *i*, and *A* the triangle's area.
    The anchors must not lie on one line.
    """
    ax, ay = table[1, X] - table[0, X], table[1, Y] - table[0, Y]
    bx, by = table[2, X] - table[0, X], table[2, Y] - table[0, Y]
    squared = squared_range_in_plan(table, 0, z)
    right_a = (squared - squared_range_in_plan(table, 1, z) + ax * ax + ay * ay) / 2.0
    right_b = (squared - squared_range_in_plan(table, 2, z) + bx * bx + by * by) / 2.0
    twice_area = ax * by - bx * ay
    place = Place(
        table[0, X] + (right_a * by - right_b * ay) / twice_area,
        table[0, Y] + (ax * right_b - bx * right_a) / twice_area,
        z,
    )
    first = predict(table, 0, place).distance * math.hypot(bx - ax, by - ay)
    second = predict(table, 1, place).distance * math.hypot(bx, by)
    third = predict(table, 2, place).distance * math.hypot(ax, ay)
    return place, math.sqrt(first * first + second * second + third * third) / abs(twice_area)


@compiled
def flatness(table: Table) -> float:
    """Return how wide the anchors lie in plan for each metre along their line of best fit, as ``plan_flatness`` does.

    Differences come first, so that equal places cancel without rounding.
    """
    count, magnitude = len(table), 0.0
    for row in range(1, count):
        magnitude = max(magnitude, abs(table[row, X] - table[0, X]), abs(table[row, Y] - table[0, Y]))
    if not 0.0 < magnitude < math.inf:
        return 0.0
    mean_x = mean_y = xx = xy = yy = 0.0
    for row in range(count):
        mean_x += (table[row, X] - table[0, X]) / magnitude / count
        mean_y += (table[row, Y] - table[0, Y]) / magnitude / count
    for row in range(count):
        x, y = (table[row, X] - table[0, X]) / magnitude - mean_x, (table[row, Y] - table[0, Y]) / magnitude - mean_y
        xx, xy, yy = xx + x * x, xy + x * y, yy + y * y
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    cosine, sine = math.cos(angle), math.sin(angle)
    along = across = 0.0
    for row in range(count):
        x, y = (table[row, X] - table[0, X]) / magnitude - mean_x, (table[row, Y] - table[0, Y]) / magnitude - mean_y
        along += (x * cosine + y * sine) ** 2
        across += (y * cosine - x * sine) ** 2
    return min(1.0, math.sqrt(across / along)) if along > 0.0 else 0.0
