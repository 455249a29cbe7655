"""Where the geometry of a site fails: anchors on one line in plan, or on one plane in space.

The frame is the site map's; lengths are metres. Ranges to anchors on one line cannot tell the two sides of that line
apart, ranges to anchors on one plane (a ceiling) not the two sides of that plane: a place and its mirror image have the
same distances to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

COLLINEAR_RATIO = 0.01
"""Anchors this flat in plan (30 cm across a row of 30 m) are on one line: no position is solved from them."""
NEARLY_COLLINEAR_RATIO = 0.05
NEARLY_COPLANAR_RATIO = 0.05
"""Anchors no further off a plane than this part of their spread along it do not tell its sides apart.

An anchor *e* off the plane and *d* from a tag *h* off it sees the mirror image *2 e h / d* further away or nearer; with
*e / d* of 0.05 that is a tenth of *h*, for a tag 2 m off the plane no more than the error of a UWB range.
"""

_ROUNDING = 1e-9
"""Of lengths that are at most 1."""

Place = tuple[float, float, float]


def plan_flatness(places_m: Sequence[tuple[float, float]]) -> float:
    """Return how wide places (x, y) lie across their line of best fit for each metre along it.

    0 for a line, 1 for as wide as long: the root of the ratio of the scatter matrix's eigenvalues, which does not
    change when the site is moved, turned or scaled.
    """
    if not places_m:
        return 0.0
    first_x, first_y = places_m[0]  # differences first, so that equal places cancel without rounding
    offsets = [(x - first_x, y - first_y) for x, y in places_m]
    magnitude = max(max(abs(x), abs(y)) for x, y in offsets)
    if not 0.0 < magnitude < math.inf:
        return 0.0
    scaled = [(x / magnitude, y / magnitude) for x, y in offsets]
    mean_x, mean_y = (sum(column) / len(scaled) for column in zip(*scaled, strict=True))
    centred = [(x - mean_x, y - mean_y) for x, y in scaled]
    xx, yy, xy = (sum(terms) for terms in zip(*((x * x, y * y, x * y) for x, y in centred), strict=True))
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)  # of the line of best fit
    cos, sin = math.cos(angle), math.sin(angle)
    along = sum((x * cos + y * sin) ** 2 for x, y in centred)
    across = sum((y * cos - x * sin) ** 2 for x, y in centred)
    return min(1.0, math.sqrt(across / along)) if along > 0.0 else 0.0


def mirror_excluding_heights(places_m: Sequence[Place], heights_m: tuple[float, float]) -> tuple[float, float] | None:
    """Tell whether tag heights leave no doubt on which side of the anchors' plane a tag is.

    A tag at *(x, y, z)*, under or over the anchors' plane of best fit with unit normal *n*, which is at height
    *p(x, y)* there, has its mirror image at height *z + 2 n_z² (p - z)*. There is no doubt where, over the site (the
    convex hull of the anchors in plan, where the extremes of *p* are at anchors), all heights are on one side of the
    plane, and all mirror images are outside the heights. For a horizontal plane the second follows from the first.

    Args:
        places_m: the anchors, (x, y, z).
        heights_m: the lowest and highest height of a tag.

    Returns:
        None where the side is clear, or the anchors are on no plane; else the lowest and highest *p* over the site (not
        finite where the plane is upright).
    """
    scale = max(np.abs(places_m).max(), np.abs(heights_m).max())  # so that squares of huge lengths are finite
    if not scale > 0.0:
        return 0.0, 0.0
    places = np.asarray(places_m) / scale
    lowest, highest = (height / scale for height in heights_m)
    centre = places.mean(axis=0)
    _, spreads, axes = np.linalg.svd(places - centre, full_matrices=False)
    if spreads[-1] > NEARLY_COPLANAR_RATIO * spreads[0]:
        return None
    normal = axes[-1]
    upright = float(normal[2] ** 2)
    if upright < np.finfo(float).eps:
        return -math.inf, math.inf
    plane = centre[2] - (places[:, :2] - centre[:2]) @ normal[:2] / normal[2]
    plane_low, plane_high = float(plane.min()), float(plane.max())
    is_under = highest <= plane_low + _ROUNDING and lowest + 2.0 * upright * (plane_low - lowest) >= highest - _ROUNDING
    is_over = (
        lowest >= plane_high - _ROUNDING and highest - 2.0 * upright * (highest - plane_high) <= lowest + _ROUNDING
    )
    return None if is_under or is_over else (plane_low * scale, plane_high * scale)
