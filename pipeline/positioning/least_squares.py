"""The place that spheres round anchors fit best: two starts from linear equations, refined by least squares.

All algebra is 2-by-2 and done on floats, which for the handful of anchors that hear a tag is several times faster than
arrays. Nothing here judges a solution, and nothing raises: what cannot be computed is infinite, not a number, or not
converged. Frame and units are those of :mod:`pipeline.positioning.spheres`.

Sources:
    * J. J. Caffery, "A new approach to the geometry of TOA location", IEEE VTC-Fall 2000: circles made into lines.
    * W. H. Foy, "Position-location solutions by Taylor-series estimation", IEEE Trans. AES 12(2), 1976.
    * K. Levenberg, Quart. Appl. Math. 2, 1944; D. W. Marquardt, J. SIAM 11(2), 1963: the damped step.
    * J. E. Dennis, R. B. Schnabel, "Numerical Methods for Unconstrained Optimization and Nonlinear Equations", 1983:
      Newton's method for least squares whose residuals are not small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.positioning.spheres import NO_DIRECTION_M, Point, Sphere, predict

_MAX_STEPS = 100

_STEP_TOLERANCE = 1e-9
"""A step under this fraction of the mean range ends the search: nanometres, far below what a radio can tell."""

_FIRST_DAMPING, _MIN_DAMPING, _MAX_DAMPING = 1e-3, 1e-9, 1e12


class Linearised(NamedTuple):
    """The residuals *e = d - r* about a point: *eᵀe*, the gradient *Jᵀe* of its half, *JᵀJ*, and the half's Hessian.

    The Hessian is *JᵀJ + Σ (eᵢ / dᵢ) (I - uᵢuᵢᵀ)*, with *uᵢ* the rows of *J*.
    """

    sum_squares_m2: float
    gradient_x_m: float
    gradient_y_m: float
    normal_xx: float
    normal_xy: float
    normal_yy: float
    hessian_xx: float
    hessian_xy: float
    hessian_yy: float

    def dilution(self) -> float:
        """Return the horizontal dilution of precision *sqrt(trace((JᵀJ)⁻¹))*, infinite where *JᵀJ* is singular."""
        determinant = self.normal_xx * self.normal_yy - self.normal_xy * self.normal_xy
        return math.sqrt((self.normal_xx + self.normal_yy) / determinant) if determinant > 0.0 else math.inf


class Fit(NamedTuple):
    """A local minimum of *eᵀe*; where ``converged`` is False, only the best point met on the way to one."""

    point: Point
    linearised: Linearised
    converged: bool


def linearise(spheres: Sequence[Sphere], point: Point) -> Linearised:
    """Return what the search, and the statement of its accuracy, need to know about the ranges at a point."""
    sum_squares = gradient_x = gradient_y = 0.0
    normal_xx = normal_xy = normal_yy = 0.0
    bend_xx = bend_xy = bend_yy = 0.0
    for sphere in spheres:
        distance, along_x, along_y = predict(sphere, point)
        residual = distance - sphere.range_m
        sum_squares += residual * residual
        gradient_x += along_x * residual
        gradient_y += along_y * residual
        normal_xx += along_x * along_x
        normal_xy += along_x * along_y
        normal_yy += along_y * along_y
        if distance >= NO_DIRECTION_M:
            bend = residual / distance
            bend_xx += bend * (1.0 - along_x * along_x)
            bend_xy -= bend * along_x * along_y
            bend_yy += bend * (1.0 - along_y * along_y)
    return Linearised(
        sum_squares,
        gradient_x,
        gradient_y,
        normal_xx,
        normal_xy,
        normal_yy,
        normal_xx + bend_xx,
        normal_xy + bend_xy,
        normal_yy + bend_yy,
    )


def starting_points(spheres: Sequence[Sphere], range_sigma_m: float) -> tuple[Point, Point]:
    """Return two starts for :func:`refine`, one on each side of the anchors' (weighted) line of best fit.

    With the origin in the weighted mean of the anchors, the circles' equations
    *s - 2aᵢx - 2bᵢy = rᵢ² - dzᵢ² - aᵢ² - bᵢ²* are linear in *(x, y)* and *s = x² + y²* (Caffery 2000). Their weights
    are *1 / (rᵢ² + σ²/2)*, for *var(r²) = 4r²σ² + 2σ⁴*. Along the line of best fit the solution is sound. Across it,
    where anchors near one line tell little, there is a second opinion: plus or minus what *s* leaves over by
    Pythagoras, which is also where the mirrored solution is to be sought.
    """
    weights = [1.0 / (sphere.range_m * sphere.range_m + 0.5 * range_sigma_m * range_sigma_m) for sphere in spheres]
    total = sum(weights)
    mean_x = sum(weight * sphere.x_m for weight, sphere in zip(weights, spheres, strict=True)) / total
    mean_y = sum(weight * sphere.y_m for weight, sphere in zip(weights, spheres, strict=True)) / total
    xx = xy = yy = right_x = right_y = square = 0.0
    for weight, sphere in zip(weights, spheres, strict=True):
        x, y = sphere.x_m - mean_x, sphere.y_m - mean_y
        right = weight * (sphere.squared_range_in_plan() - x * x - y * y)
        xx += weight * x * x
        xy += weight * x * y
        yy += weight * y * y
        right_x -= right * x / 2.0
        right_y -= right * y / 2.0
        square += right / total
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    cosine, sine = math.cos(angle), math.sin(angle)
    scatter_along = xx * cosine * cosine + 2.0 * xy * cosine * sine + yy * sine * sine
    scatter_across = xx * sine * sine - 2.0 * xy * cosine * sine + yy * cosine * cosine
    along = (right_x * cosine + right_y * sine) / scatter_along if scatter_along > 0.0 else 0.0
    across = (right_y * cosine - right_x * sine) / scatter_across if scatter_across > 0.0 else 0.0
    left_over = square - along * along
    mirrored = math.copysign(math.sqrt(left_over) if left_over > 0.0 else across, across)

    def place(offset: float) -> Point:
        return Point(mean_x + along * cosine - offset * sine, mean_y + along * sine + offset * cosine)

    same_side = min((place(across), place(mirrored)), key=lambda point: linearise(spheres, point).sum_squares_m2)
    return same_side, place(-mirrored)


def refine(spheres: Sequence[Sphere], start: Point) -> Fit:
    """Return the least-squares point that Levenberg-Marquardt reaches from a start.

    The step solves *(H + λ trace(H) I) δ = -Jᵀe*. The damping is the same in all directions, so that turning the site
    turns the path, and a step is taken only if it lowers *eᵀe*. *H* is the Hessian where that is positive definite
    (Dennis and Schnabel 1983), for a quadratic end even where the ranges do not fit or the minimum is shallow, and
    *JᵀJ* elsewhere.
    """
    point, here = start, linearise(spheres, start)
    count = len(spheres)
    tolerance_m = _STEP_TOLERANCE * sum(sphere.range_m for sphere in spheres) / count
    centre = Point(sum(sphere.x_m for sphere in spheres) / count, sum(sphere.y_m for sphere in spheres) / count)
    damping = _FIRST_DAMPING
    for _ in range(_MAX_STEPS):
        xx, xy, yy = here.hessian_xx, here.hessian_xy, here.hessian_yy
        if not (xx > 0.0 and xx * yy > xy * xy):
            xx, xy, yy = here.normal_xx, here.normal_xy, here.normal_yy
        added = damping * (xx + yy)
        xx, yy = xx + added, yy + added
        determinant = xx * yy - xy * xy
        if not determinant > 0.0:
            break
        step_x = (xy * here.gradient_y_m - yy * here.gradient_x_m) / determinant
        step_y = (xy * here.gradient_x_m - xx * here.gradient_y_m) / determinant
        trial_point = _step_round(centre, point, step_x, step_y)
        trial = linearise(spheres, trial_point)
        lower = trial.sum_squares_m2 <= here.sum_squares_m2
        if lower:
            point, here = trial_point, trial
        if math.hypot(step_x, step_y) <= tolerance_m:
            return Fit(point, here, converged=True)
        damping = max(damping / 10.0, _MIN_DAMPING) if lower else min(damping * 10.0, _MAX_DAMPING)
    return Fit(point, here, converged=False)


def _step_round(centre: Point, point: Point, step_x: float, step_y: float) -> Point:
    """Return the point moved by a step whose part across the line of sight from the centre is laid along the arc.

    From afar the ranges fix the distance to the anchors far better than the direction: the minimum lies in a valley
    bent round them, down which straight steps have to be short. To first order the two are one.
    """
    x, y = point.x_m - centre.x_m, point.y_m - centre.y_m
    radius = math.hypot(x, y)
    if not math.hypot(step_x, step_y) < radius:
        return Point(point.x_m + step_x, point.y_m + step_y)
    turn = (x * step_y - y * step_x) / (radius * radius)
    stretch = 1.0 + (x * step_x + y * step_y) / (radius * radius)
    cosine, sine = stretch * math.cos(turn), stretch * math.sin(turn)
    return Point(centre.x_m + cosine * x - sine * y, centre.y_m + sine * x + cosine * y)
