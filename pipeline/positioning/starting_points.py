"""Where the search for a tag's place starts: solutions of linear equations on both sides of the anchors.

Frame, units and the table of ranges are those of :mod:`pipeline.positioning.spheres`.

Source: J. J. Caffery, "A new approach to the geometry of TOA location", IEEE VTC-Fall 2000: circles made into lines.
"""

from __future__ import annotations

import math

from pipeline.positioning.compiled import compiled
from pipeline.positioning.spheres import OWN, RANGE, SHARED, Place, Table, X, Y, residual_rms, squared_range_in_plan


@compiled
def starting_points(table: Table, z: float) -> tuple[Place, Place]:
    """Return two starts at a height, one on each side of the anchors' (weighted) line of best fit in plan.

    With the origin in the weighted mean of the anchors, the circles' equations
    *s - 2aᵢx - 2bᵢy = rᵢ² - (z - cᵢ)² - aᵢ² - bᵢ²* are linear in *(x, y)* and *s = x² + y²* (Caffery 2000). Their
    weights are *1 / σᵢ² (rᵢ² + σᵢ²/2)*, for *var(r²) = 4r²σ² + 2σ⁴*. Along the line of best fit the solution is sound.
    Across it, where anchors near one line tell little, there is a second opinion: plus or minus what *s* leaves over by
    Pythagoras, which is also where the mirrored solution is to be sought.
    """
    total = mean_x = mean_y = 0.0
    for row in range(len(table)):
        weight = _weight(table, row)
        total, mean_x, mean_y = total + weight, mean_x + weight * table[row, X], mean_y + weight * table[row, Y]
    mean_x, mean_y = mean_x / total, mean_y / total
    xx = xy = yy = right_x = right_y = square = 0.0
    for row in range(len(table)):
        x, y, weight = table[row, X] - mean_x, table[row, Y] - mean_y, _weight(table, row)
        right = weight * (squared_range_in_plan(table, row, z) - x * x - y * y)
        xx, xy, yy = xx + weight * x * x, xy + weight * x * y, yy + weight * y * y
        right_x, right_y, square = right_x - right * x / 2.0, right_y - right * y / 2.0, square + right / total
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    cosine, sine = math.cos(angle), math.sin(angle)
    scatter_along = xx * cosine * cosine + 2.0 * xy * cosine * sine + yy * sine * sine
    scatter_across = xx * sine * sine - 2.0 * xy * cosine * sine + yy * cosine * cosine
    along = (right_x * cosine + right_y * sine) / scatter_along if scatter_along > 0.0 else 0.0
    across = (right_y * cosine - right_x * sine) / scatter_across if scatter_across > 0.0 else 0.0
    left_over = square - along * along
    mirrored = math.copysign(math.sqrt(left_over) if left_over > 0.0 else across, across)
    near_x, near_y = mean_x + along * cosine, mean_y + along * sine
    first = Place(near_x - across * sine, near_y + across * cosine, z)
    second = Place(near_x - mirrored * sine, near_y + mirrored * cosine, z)
    same_side = first if residual_rms(table, first) <= residual_rms(table, second) else second
    return same_side, Place(near_x + mirrored * sine, near_y - mirrored * cosine, z)


@compiled
def _weight(table: Table, row: int) -> float:
    variance = table[row, OWN] + table[row, SHARED] * table[row, SHARED]
    return float(1.0 / (variance * (table[row, RANGE] * table[row, RANGE] + 0.5 * variance)))
