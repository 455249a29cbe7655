"""The place that spheres round anchors fit best, by generalised least squares.

The errors of the ranges, *e = d - r*, have the covariance *V = diag(OWN) + SHARED SHAREDᵀ*: noise and what bias is each
range's own, and the bias that all have in common (the tag's antenna delay, mostly). *eᵀV⁻¹e* is by Sherman and Morrison
what is left of *Σ eᵢ² / OWNᵢ* once the likeliest common error is taken off, so anchors round the tag find that
error out, and anchors that see the tag from one side do not claim a distance to it that they cannot know.

Frame, units and the table of ranges are those of :mod:`pipeline.positioning.spheres`. Nothing here judges a solution,
and nothing raises: what cannot be computed is infinite, not a number, or not converged.

Sources:
    * W. H. Foy, "Position-location solutions by Taylor-series estimation", IEEE Trans. AES 12(2), 1976.
    * K. Levenberg, Quart. Appl. Math. 2, 1944; D. W. Marquardt, J. SIAM 11(2), 1963: the damped step.
    * J. E. Dennis, R. B. Schnabel, "Numerical Methods for Unconstrained Optimization and Nonlinear Equations", 1983:
      Newton's method for least squares whose residuals are not small.
    * S. M. Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", 1993, chapter 4: coloured noise.
    * J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., 2006, section 16.7: bounds held while active.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pipeline.positioning.compiled import compiled
from pipeline.positioning.spheres import NO_DIRECTION_M, OWN, RANGE, SHARED, Place, Table, X, Y, predict

_MAX_STEPS = 100

_STEP_TOLERANCE = 1e-9
"""A step under this fraction of the mean range ends the search: nanometres, far below what a radio can tell."""

_LEAST_GAIN = 1e-18
"""So does one by which chi-square falls no more: a billionth of a sigma. Minima as flat as a fourth power end here."""

_ASIDE = 0.05
"""Of the mean range, or of the range of heights: a step off a plane about which all is symmetric."""

_FIRST_DAMPING, _MIN_DAMPING, _MAX_DAMPING = 1e-3, 1e-9, 1e12


class Symmetric(NamedTuple):
    """A symmetric 3-by-3 matrix over *x, y, z*."""

    xx: float
    xy: float
    yy: float
    xz: float
    yz: float
    zz: float


class Linearised(NamedTuple):
    """Half of *eᵀV⁻¹e* about a place: twice its value, its gradient (1/m), *JᵀV⁻¹J* and its Hessian (1/m²).

    The Hessian is *JᵀV⁻¹J + Σ (V⁻¹e)ᵢ (I - uᵢuᵢᵀ) / dᵢ*, with the unit vectors *uᵢ* the rows of *J*.
    """

    chi_square: float
    gradient: Place
    normal: Symmetric
    hessian: Symmetric


class Fit(NamedTuple):
    """A local minimum of *eᵀV⁻¹e*; where ``converged`` is False, only the best place met on the way to one."""

    place: Place
    chi_square: float
    converged: bool


@compiled
def linearise(table: Table, place: Place) -> Linearised:
    """Return what the search, and the statement of its accuracy, need to know about the ranges at a place."""
    loads = drift = 0.0
    for row in range(len(table)):
        residual = predict(table, row, place).distance - table[row, RANGE]
        loads += table[row, SHARED] * table[row, SHARED] / table[row, OWN]
        drift += table[row, SHARED] * residual / table[row, OWN]
    common = drift / (1.0 + loads)
    chi_square = common * common
    gx = gy = gz = mx = my = mz = 0.0
    xx = xy = yy = xz = yz = zz = 0.0
    bend_xx = bend_xy = bend_yy = bend_xz = bend_yz = bend_zz = 0.0
    for row in range(len(table)):
        distance, ux, uy, uz = predict(table, row, place)
        weight, load = 1.0 / table[row, OWN], table[row, SHARED] / table[row, OWN]
        residual = distance - table[row, RANGE] - table[row, SHARED] * common
        chi_square += weight * residual * residual
        pull = weight * residual
        gx, gy, gz = gx + pull * ux, gy + pull * uy, gz + pull * uz
        mx, my, mz = mx + load * ux, my + load * uy, mz + load * uz
        xx, xy, yy = xx + weight * ux * ux, xy + weight * ux * uy, yy + weight * uy * uy
        xz, yz, zz = xz + weight * ux * uz, yz + weight * uy * uz, zz + weight * uz * uz
        if distance >= NO_DIRECTION_M:
            bend = pull / distance
            bend_xx, bend_xy = bend_xx + bend * (1.0 - ux * ux), bend_xy - bend * ux * uy
            bend_yy, bend_xz = bend_yy + bend * (1.0 - uy * uy), bend_xz - bend * ux * uz
            bend_zz, bend_yz = bend_zz + bend * (1.0 - uz * uz), bend_yz - bend * uy * uz
    shrink = 1.0 / (1.0 + loads)
    xx, xy, yy = xx - shrink * mx * mx, xy - shrink * mx * my, yy - shrink * my * my
    xz, yz, zz = xz - shrink * mx * mz, yz - shrink * my * mz, zz - shrink * mz * mz
    return Linearised(
        chi_square,
        Place(gx, gy, gz),
        Symmetric(xx, xy, yy, xz, yz, zz),
        Symmetric(xx + bend_xx, xy + bend_xy, yy + bend_yy, xz + bend_xz, yz + bend_yz, zz + bend_zz),
    )


@compiled
def damped_step(matrix: Symmetric, gradient: Place, damping: float, held: bool) -> tuple[bool, Place]:  # noqa: FBT001
    """Return whether *A + λ trace(A) I* is positive definite, and the step *δ* that it takes down the gradient.

    By elimination; in x and y alone where the height is held.
    """
    added = damping * (matrix.xx + matrix.yy + (0.0 if held else matrix.zz))
    first = matrix.xx + added
    ratio_y = matrix.xy / first
    second = matrix.yy + added - ratio_y * matrix.xy
    right_y = ratio_y * gradient.x - gradient.y
    if held:
        y = right_y / second
        return first > 0.0 and second > 0.0, Place((-gradient.x - matrix.xy * y) / first, y, 0.0)
    ratio_z = matrix.xz / first
    crossed = matrix.yz - ratio_z * matrix.xy
    third = matrix.zz + added - ratio_z * matrix.xz - crossed * crossed / second
    z = (ratio_z * gradient.x - gradient.z - crossed / second * right_y) / third
    y = (right_y - crossed * z) / second
    x = (-gradient.x - matrix.xy * y - matrix.xz * z) / first
    return first > 0.0 and second > 0.0 and third > 0.0, Place(x, y, z)


@compiled
def refine(table: Table, start: Place, lowest_z: float, highest_z: float) -> Fit:
    """Return the least-squares place with *z* within bounds that Levenberg-Marquardt reaches from a start.

    The step solves *(H + λ trace(H) I) δ = -g*. The damping is the same in all directions, so that turning the site
    turns the path, and a step is taken only if it lowers *eᵀV⁻¹e*. *H* is the Hessian where that is positive definite
    (Dennis and Schnabel 1983), for a quadratic end even where the ranges do not fit or the minimum is shallow, and
    *JᵀV⁻¹J* elsewhere. At a bound towards which the search is drawn, *z* is held. Equal bounds make it a search
    in plan. In the plane of a ceiling of anchors nothing tells up from down: the search steps off it, once.
    """
    count = len(table)
    mean_range = centre_x = centre_y = 0.0
    for row in range(count):
        mean_range += table[row, RANGE] / count
        centre_x += table[row, X] / count
        centre_y += table[row, Y] / count
    tolerance = _STEP_TOLERANCE * mean_range
    place = Place(start.x, start.y, min(max(start.z, lowest_z), highest_z))
    here = linearise(table, place)
    damping, on_saddle_before = _FIRST_DAMPING, False
    for _ in range(_MAX_STEPS):
        held = (place.z <= lowest_z and here.gradient.z >= 0.0) or (place.z >= highest_z and here.gradient.z <= 0.0)
        held = held or lowest_z == highest_z
        sound, _ = damped_step(here.hessian, here.gradient, 0.0, held)
        matrix = here.hessian if sound else here.normal
        sound, step = damped_step(matrix, here.gradient, damping, held)
        if not sound:
            break
        to_z = min(max(place.z + step.z, lowest_z), highest_z)
        to_x, to_y = _step_round(centre_x, centre_y, place, step)
        trial_place = Place(to_x, to_y, to_z)
        trial = linearise(table, trial_place)
        moved = math.sqrt(step.x * step.x + step.y * step.y + (to_z - place.z) ** 2)
        gradient = here.gradient
        lower = trial.chi_square <= here.chi_square
        if lower:
            place, here = trial_place, trial
        damping = max(damping / 10.0, _MIN_DAMPING) if lower else min(damping * 10.0, _MAX_DAMPING)
        gain = abs(gradient.x * step.x + gradient.y * step.y + gradient.z * step.z)
        if moved <= tolerance or gain <= _LEAST_GAIN:
            if on_saddle_before or not (lowest_z < highest_z and here.hessian.zz < 0.0):
                return Fit(place, here.chi_square, True)  # noqa: FBT003  (compiled code knows no keywords)
            on_saddle_before = True
            aside = _ASIDE * min(mean_range, highest_z - lowest_z)
            place = Place(place.x, place.y, place.z + (aside if place.z < highest_z - aside else -aside))
            here, damping = linearise(table, place), _FIRST_DAMPING
    return Fit(place, here.chi_square, False)  # noqa: FBT003


@compiled
def _step_round(centre_x: float, centre_y: float, place: Place, step: Place) -> tuple[float, float]:
    """Return the place in plan after a step whose part across the line of sight from the centre follows the arc.

    From afar the ranges fix the distance to the anchors far better than the direction: the minimum lies in a valley
    bent round them, down which straight steps have to be short. To first order the two are one.
    """
    x, y = place.x - centre_x, place.y - centre_y
    square = x * x + y * y
    if not step.x * step.x + step.y * step.y < square:
        return place.x + step.x, place.y + step.y
    turn = (x * step.y - y * step.x) / square
    stretch = 1.0 + (x * step.x + y * step.y) / square
    cosine, sine = stretch * math.cos(turn), stretch * math.sin(turn)
    return centre_x + cosine * x - sine * y, centre_y + sine * x + cosine * y


@compiled
def inverse(matrix: Symmetric, plan_only: bool) -> Symmetric:  # noqa: FBT001
    """Return the inverse of a symmetric matrix, infinite where it is singular; with x and y alone, z is NaN."""
    if plan_only:
        determinant = matrix.xx * matrix.yy - matrix.xy * matrix.xy
        return Symmetric(
            matrix.yy / determinant, -matrix.xy / determinant, matrix.xx / determinant, math.nan, math.nan, math.nan
        )
    xx = matrix.yy * matrix.zz - matrix.yz * matrix.yz
    xy = matrix.xz * matrix.yz - matrix.xy * matrix.zz
    xz = matrix.xy * matrix.yz - matrix.xz * matrix.yy
    determinant = matrix.xx * xx + matrix.xy * xy + matrix.xz * xz
    return Symmetric(
        xx / determinant,
        xy / determinant,
        (matrix.xx * matrix.zz - matrix.xz * matrix.xz) / determinant,
        xz / determinant,
        (matrix.xy * matrix.xz - matrix.xx * matrix.yz) / determinant,
        (matrix.xx * matrix.yy - matrix.xy * matrix.xy) / determinant,
    )
