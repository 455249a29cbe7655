"""One range as a sphere about its anchor: what it says of a place in plan, and where three such spheres meet.

A slant range *r* from an anchor at *(a, b)*, *dz* over the tag, says of the tag's place *(x, y)*::

    d(x, y) = sqrt((x - a)² + (y - b)² + dz²) = r

The heights are data, so two coordinates are left. Lengths are metres, in any flat frame; rounding is least with the
origin among the anchors.

Source: J. J. Caffery, "A new approach to the geometry of TOA location", IEEE VTC-Fall 2000: circles made into lines.
"""

from __future__ import annotations

import math
from typing import NamedTuple

NO_DIRECTION_M = 1e-9
"""Nearer to an anchor than this, the direction to it is rounding: its range then says nothing about direction."""


class Sphere(NamedTuple):
    """One range: the anchor's place in plan, its height over the tag, and the slant range."""

    x_m: float
    y_m: float
    dz_m: float
    range_m: float

    def squared_range_in_plan(self) -> float:
        """Return *r² - dz²* (m²); noise may put it below zero straight under an anchor, and no root is taken."""
        return self.range_m * self.range_m - self.dz_m * self.dz_m


class Point(NamedTuple):
    """A place in plan."""

    x_m: float
    y_m: float


class Prediction(NamedTuple):
    """The measurement model at a point: the slant distance *d* (m) and the row *(∂d/∂x, ∂d/∂y)* of the Jacobian."""

    distance_m: float
    along_x: float
    along_y: float


def predict(sphere: Sphere, point: Point) -> Prediction:
    """Return the slant distance from a point to an anchor, and its derivative (the unit vector's horizontal part).

    The derivative is zero straight under an anchor. At the anchor itself it does not exist, and is given as zero.
    """
    x_m, y_m, dz_m, _ = sphere
    dx_m, dy_m = point[0] - x_m, point[1] - y_m
    distance_m = math.sqrt(dx_m * dx_m + dy_m * dy_m + dz_m * dz_m)
    if distance_m < NO_DIRECTION_M:
        return Prediction(distance_m, 0.0, 0.0)
    return Prediction(distance_m, dx_m / distance_m, dy_m / distance_m)


def radical_centre(first: Sphere, second: Sphere, third: Sphere) -> tuple[Point, float]:
    """Return the point of equal power to three circles in plan, and the dilution of precision of this closed form.

    Subtracting the first circle's equation from the others leaves two lines (Caffery 2000)::

        2 (aᵢ - a₁) x + 2 (bᵢ - b₁) y = (r₁² - dz₁²) - (rᵢ² - dzᵢ²) + |(aᵢ, bᵢ)|² - |(a₁, b₁)|²,  i = 2, 3

    A height common to all cancels. The circles meet in this point if they meet in one at all. Differentiating by the
    ranges gives the standard deviation of the point for each metre of a range's: *sqrt(Σ (dᵢ Lᵢ)²) / 2A*, with *dᵢ* the
    slant distance, *Lᵢ* the side of the anchors' triangle across from anchor *i*, and *A* the triangle's area.
    The anchors must not lie on one line.
    """
    ax, ay = second.x_m - first.x_m, second.y_m - first.y_m
    bx, by = third.x_m - first.x_m, third.y_m - first.y_m
    squared = first.squared_range_in_plan()
    right_a = (squared - second.squared_range_in_plan() + ax * ax + ay * ay) / 2.0
    right_b = (squared - third.squared_range_in_plan() + bx * bx + by * by) / 2.0
    twice_area = ax * by - bx * ay
    point = Point(
        first.x_m + (right_a * by - right_b * ay) / twice_area,
        first.y_m + (ax * right_b - bx * right_a) / twice_area,
    )
    spread = math.hypot(
        predict(first, point).distance_m * math.hypot(bx - ax, by - ay),
        predict(second, point).distance_m * math.hypot(bx, by),
        predict(third, point).distance_m * math.hypot(ax, ay),
    )
    return point, spread / abs(twice_area)
