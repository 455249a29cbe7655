"""What a group of ranges tells of a track's state. Compiled.

A range *r* to an anchor *a* is *|p - a| + offset + bias + noise*. Offset and biases are learnt as far as the geometry
lets them be seen: where it does not, their covariance with the place says so.

The noise is Student's t. What its tails make of a range is found by iteration: a range far from where the track and all
the others have the tag loses its weight.

Sources:
    * G. Agamennoni, J. I. Nieto, E. M. Nebot, "Approximate inference in state-space models with heavy-tailed noise",
      IEEE Trans. Signal Processing 60(10), 2012: the weights of Student's t within a filter.
    * Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001: iterated
      extended filter (10.5), normalised innovations (5.4).
    * S. F. Schmidt, "Application of state-space methods to navigation problems", Advances in Control Systems 3, 1966:
      what is considered, but not learnt.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipeline.positioning.compiled import compiled
from pipeline.positioning.track_motion import BIASES, OFFSET, VX, VY, Floats, Indexes, Model, State, X, Y, Z

_ITERATIONS = 6
_SETTLED = 0.02
"""A change of weights that no longer matters."""
_AT_THE_ANCHOR_M = 1e-6


class Ranges(NamedTuple):
    """The ranges of one group.

    Attributes:
        lag_s: how long before the state's time each was measured (n).
        anchors: places (n, 3).
        ranges_m: ranges (n), less what the anchors are calibrated to.
        slots: index (n) of each anchor's bias, or -1 where it has none.
        weights: how far each is trusted (n), above 0 and up to 1; to begin with, and as it was found.
        bias_sigmas_m: what is believed, without any range, of each bias that the state ends with (standard deviation).
    """

    lag_s: Floats
    anchors: Floats
    ranges_m: Floats
    slots: Indexes
    weights: Floats
    bias_sigmas_m: Floats


class Evidence(NamedTuple):
    """The log-likelihood of a group's ranges, and the normalised innovations squared of those not refused."""

    likelihood: float
    squares: float


class Linear(NamedTuple):
    """A group's ranges, linear about a state: *H P* (n, m), *H P Hᵀ* (n, n; m²) and the innovations (n; m)."""

    crossed: Floats
    spread: Floats
    innovations: Floats


@compiled
def foretell(mean: Floats, ranges: Ranges, index: int, direction: Floats) -> float:
    """Return what a range should be (m), and set ``direction`` (3) to its derivative by the place."""
    lag_s, slot = ranges.lag_s[index], ranges.slots[index]
    direction[0] = mean[X] - lag_s * mean[VX] - ranges.anchors[index, 0]
    direction[1] = mean[Y] - lag_s * mean[VY] - ranges.anchors[index, 1]
    direction[2] = mean[Z] - ranges.anchors[index, 2]
    distance_m = math.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
    for axis in range(3):
        direction[axis] = direction[axis] / distance_m if distance_m > _AT_THE_ANCHOR_M else 0.0
    return float(distance_m + mean[OFFSET] + (mean[BIASES + slot] if slot >= 0 else 0.0))


@compiled
def along(state: Floats, ranges: Ranges, index: int, direction: Floats) -> float:
    """Return the row *H* of a range times a column (m) of the state's size."""
    lag_s, slot = ranges.lag_s[index], ranges.slots[index]
    return float(
        direction[0] * (state[X] - lag_s * state[VX])
        + direction[1] * (state[Y] - lag_s * state[VY])
        + direction[2] * state[Z]
        + state[OFFSET]
        + (state[BIASES + slot] if slot >= 0 else 0.0)
    )


@compiled
def factorise(matrix: Floats) -> None:
    """Replace a positive definite matrix (n, n) by its Cholesky factor, in the lower triangle."""
    for row in range(matrix.shape[0]):
        for column in range(row + 1):
            total = matrix[row, column]
            for inner in range(column):
                total -= matrix[row, inner] * matrix[column, inner]
            matrix[row, column] = math.sqrt(total) if row == column else total / matrix[column, column]


@compiled
def whiten(factor: Floats, vector: Floats) -> None:
    """Replace *v* (n) by *L⁻¹ v*."""
    for row in range(vector.size):
        for inner in range(row):
            vector[row] -= factor[row, inner] * vector[inner]
        vector[row] /= factor[row, row]


@compiled
def unwhiten(factor: Floats, vector: Floats) -> None:
    """Replace *v* (n) by *L⁻ᵀ v*."""
    for row in range(vector.size - 1, -1, -1):
        for inner in range(row + 1, vector.size):
            vector[row] -= factor[inner, row] * vector[inner]
        vector[row] /= factor[row, row]


@compiled
def refused_weight(model: Model) -> float:
    """Return the weight under which a range counts as refused: that of one at the gate."""
    return (model.tail_degrees + 1.0) / (model.tail_degrees + model.gate * model.gate)


@compiled
def linearise(state: State, about: Floats, ranges: Ranges, model: Model, linear: Linear) -> None:
    """Set ``linear`` about a state. A bias that the state does not know adds its own variance."""
    crossed, spread, innovations = linear
    count = ranges.ranges_m.size
    directions = np.empty((count, 3))
    for index in range(count):
        predicted_m = foretell(about, ranges, index, directions[index])
        predicted_m += along(state.mean, ranges, index, directions[index])
        predicted_m -= along(about, ranges, index, directions[index])
        innovations[index] = ranges.ranges_m[index] - predicted_m
        for column in range(state.mean.size):
            crossed[index, column] = along(state.cov[column], ranges, index, directions[index])
    for row in range(count):
        for column in range(count):
            spread[row, column] = along(crossed[row], ranges, column, directions[column])
        if ranges.slots[row] < 0:
            spread[row, row] += model.bias_sigma_m * model.bias_sigma_m


@compiled
def weigh(mean: Floats, spread: Floats, factor: Floats, ranges: Ranges, model: Model) -> float:
    """Set the weights by what a state leaves of each range: *(ν + 1) / (ν + E[e²] / σ²)* (Agamennoni et al.).

    Returns the greatest change of a weight.
    """
    direction, left = np.empty(3), np.empty(ranges.ranges_m.size)
    change = 0.0
    for index in range(left.size):
        error_m = ranges.ranges_m[index] - foretell(mean, ranges, index, direction)
        left[:] = spread[index]
        whiten(factor, left)
        variance_m2 = spread[index, index]
        for inner in range(left.size):
            variance_m2 -= left[inner] * left[inner]
        ratio = (error_m * error_m + variance_m2) / (model.range_sigma_m * model.range_sigma_m)
        weight = (model.tail_degrees + 1.0) / (model.tail_degrees + ratio)
        change = max(change, abs(weight - ranges.weights[index]))
        ranges.weights[index] = weight
    return change


@compiled
def take(state: State, ranges: Ranges, model: Model, learnt: int) -> Evidence:
    """Update by a group's ranges, of the state the first ``learnt`` numbers, and set the ranges' weights.

    Iterated until the weights stay: linear about where the last iteration ended, with weights by what that left of the
    ranges.
    """
    mean, cov = state.mean, state.cov
    count, size = ranges.ranges_m.size, mean.size
    linear = Linear(np.empty((count, size)), np.empty((count, count)), np.empty(count))
    crossed, spread, innovations = linear
    about = mean.copy()
    noise_m2 = model.range_sigma_m * model.range_sigma_m
    factor, gains = spread.copy(), innovations.copy()
    for iteration in range(_ITERATIONS):
        linearise(state, about, ranges, model, linear)
        factor[:] = spread
        for index in range(count):
            factor[index, index] += noise_m2 / ranges.weights[index]
        factorise(factor)
        gains[:] = innovations
        whiten(factor, gains)
        unwhiten(factor, gains)
        about[:] = mean
        for row in range(learnt):
            for index in range(count):
                about[row] += crossed[index, row] * gains[index]
        if iteration + 1 == _ITERATIONS or weigh(about, spread, factor, ranges, model) < _SETTLED:
            break
    mean[:] = about
    reduce(cov, crossed, factor, learnt)
    return Evidence(likelihood(spread, innovations, model), squares_of_used(spread, innovations, ranges, model))


@compiled
def reduce(cov: Floats, crossed: Floats, factor: Floats, learnt: int) -> None:
    """Take from the covariance what ranges have told: *(L⁻¹ H P)ᵀ (L⁻¹ H P)*, but not between what is not learnt."""
    told = crossed.copy()
    for column in range(told.shape[1]):
        whiten(factor, told[:, column])
    for row in range(cov.shape[0]):
        for column in range(row + 1):
            if column < learnt:
                for index in range(told.shape[0]):
                    cov[row, column] -= told[index, row] * told[index, column]
                cov[column, row] = cov[row, column]


@compiled
def squares_of_used(spread: Floats, innovations: Floats, ranges: Ranges, model: Model) -> float:
    """Return the normalised innovations squared, *νᵀ S⁻¹ ν*, of the ranges that are not refused."""
    used = np.flatnonzero(ranges.weights >= refused_weight(model))
    factor, whitened = np.empty((used.size, used.size)), innovations[used]
    for row in range(used.size):
        for column in range(used.size):
            factor[row, column] = spread[used[row], used[column]]
        factor[row, row] += model.range_sigma_m * model.range_sigma_m
    factorise(factor)
    whiten(factor, whitened)
    return float(np.sum(whitened * whitened))


@compiled
def likelihood(spread: Floats, innovations: Floats, model: Model) -> float:
    """Return the log-likelihood of innovations, each given those before, under Student's t."""
    factor, whitened = spread.copy(), innovations.copy()
    for index in range(whitened.size):
        factor[index, index] += model.range_sigma_m * model.range_sigma_m
    factorise(factor)
    whiten(factor, whitened)
    total = 0.0
    for index in range(whitened.size):
        total -= 0.5 * (model.tail_degrees + 1.0) * math.log1p(whitened[index] ** 2 / model.tail_degrees)
        total -= math.log(factor[index, index])
    return total


@compiled
def residual(mean: Floats, ranges: Ranges, model: Model) -> float:
    """Return the RMS (m) of the ranges that are not refused less what the state says that they should be."""
    squares, count, direction = 0.0, 0, np.empty(3)
    for index in range(ranges.ranges_m.size):
        if ranges.weights[index] >= refused_weight(model):
            squares += (ranges.ranges_m[index] - foretell(mean, ranges, index, direction)) ** 2
            count += 1
    return math.sqrt(squares / count) if count else 0.0
