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

from pipeline.positioning.compiled import compiled_in_place
from pipeline.positioning.track_motion import BIASES, OFFSET, VX, VY, Floats, Indexes, Model, State, X, Y, Z

_ITERATIONS = 6
_SETTLED = 0.02
"""A change of weights that no longer matters."""
_AT_THE_ANCHOR_M = 1e-6


class Ranges(NamedTuple):
    """The ranges of one group, of each the first ``size`` numbers.

    Attributes:
        lag_s: how long before the state's time each was measured (n).
        anchors: places (n, 3).
        ranges_m: ranges (n), less what the anchors are calibrated to.
        slots: index (n) of each anchor's bias, or -1 where it has none.
        weights: how far each is trusted (n), above 0 and up to 1; to begin with, and as it was found.
        bias_sigmas_m: what is believed, without any range, of each bias that the state ends with (standard deviation).
        size: how many there are.
    """

    lag_s: Floats
    anchors: Floats
    ranges_m: Floats
    slots: Indexes
    weights: Floats
    bias_sigmas_m: Floats
    size: int


class Room(NamedTuple):
    """Room for what is found on the way, for groups of up to n ranges and states of up to m numbers.

    Attributes:
        about: about which state (m) all is linear.
        foretold_m: the ranges (n) that it foretells, and
        directions: their derivatives (n, 3) by the place.
        crossed: *H P* (n, m).
        spread: *H P Hᵀ* (n, n; m²).
        innovations: the ranges less those foretold (n; m).
        factor: Cholesky factor (n, n).
        gains: (n).
        whitened: any *L⁻¹ A* of up to n or m columns.
        weights: other weights of the ranges (n).
        mean: another state (m), and
        cov: its covariance (m, m).
    """

    about: Floats
    foretold_m: Floats
    directions: Floats
    crossed: Floats
    spread: Floats
    innovations: Floats
    factor: Floats
    gains: Floats
    whitened: Floats
    weights: Floats
    mean: Floats
    cov: Floats


def room_for_ranges(count: int, biases: int) -> tuple[Ranges, Room]:
    """Return room for so many ranges and biases, and for what is found on the way."""
    size = BIASES + biases
    floats = np.zeros(count), np.zeros((count, 3)), np.zeros(count)
    ranges = Ranges(*floats, np.zeros(count, np.int64), np.zeros(count), np.zeros(biases), 0)
    room = Room(
        about=np.zeros(size),
        foretold_m=np.zeros(count),
        directions=np.zeros((count, 3)),
        crossed=np.zeros((count, size)),
        spread=np.zeros((count, count)),
        innovations=np.zeros(count),
        factor=np.zeros((count, count)),
        gains=np.zeros(count),
        whitened=np.zeros((count, max(count, size))),
        weights=np.zeros(count),
        mean=np.zeros(size),
        cov=np.zeros((size, size)),
    )
    return ranges, room


@compiled_in_place
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


@compiled_in_place
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


@compiled_in_place
def factorise(matrix: Floats, size: int) -> None:
    """Replace a positive definite matrix (n, n) by its Cholesky factor, in the lower triangle."""
    for row in range(size):
        for column in range(row + 1):
            total = matrix[row, column]
            for inner in range(column):
                total -= matrix[row, inner] * matrix[column, inner]
            matrix[row, column] = math.sqrt(total) if row == column else total / matrix[column, column]


@compiled_in_place
def whiten(factor: Floats, vector: Floats, size: int) -> None:
    """Replace *v* (n) by *L⁻¹ v*."""
    for row in range(size):
        for inner in range(row):
            vector[row] -= factor[row, inner] * vector[inner]
        vector[row] /= factor[row, row]


@compiled_in_place
def whiten_all(factor: Floats, vectors: Floats, size: int, count: int) -> None:
    """Replace each of so many columns of *V* (n, count) by *L⁻¹ v*."""
    for row in range(size):
        for inner in range(row):
            for column in range(count):
                vectors[row, column] -= factor[row, inner] * vectors[inner, column]
        for column in range(count):
            vectors[row, column] /= factor[row, row]


@compiled_in_place
def unwhiten(factor: Floats, vector: Floats, size: int) -> None:
    """Replace *v* (n) by *L⁻ᵀ v*."""
    for row in range(size - 1, -1, -1):
        for inner in range(row + 1, size):
            vector[row] -= factor[inner, row] * vector[inner]
        vector[row] /= factor[row, row]


@compiled_in_place
def keep(weights: Floats, others: Floats, count: int) -> None:
    """Make so many weights what others are."""
    for index in range(count):
        weights[index] = others[index]


@compiled_in_place
def refused_weight(model: Model) -> float:
    """Return the weight under which a range counts as refused: that of one at the gate."""
    return (model.tail_degrees + 1.0) / (model.tail_degrees + model.gate * model.gate)


@compiled_in_place
def look(ranges: Ranges, room: Room) -> None:
    """Foretell the ranges by the state that all is to be linear about."""
    for index in range(ranges.size):
        room.foretold_m[index] = foretell(room.about, ranges, index, room.directions[index])


@compiled_in_place
def linearise(state: State, ranges: Ranges, model: Model, room: Room) -> None:
    """Set *H P*, *H P Hᵀ* and innovations. A bias that the state does not know adds its own variance."""
    cov, crossed, spread = state.cov, room.crossed, room.spread
    for index in range(ranges.size):
        direction, lag_s, slot = room.directions[index], ranges.lag_s[index], ranges.slots[index]
        predicted_m = room.foretold_m[index]
        predicted_m += along(state.mean, ranges, index, direction)
        predicted_m -= along(room.about, ranges, index, direction)
        room.innovations[index] = ranges.ranges_m[index] - predicted_m
        for column in range(state.size):  # as along() for each column, but by rows
            crossed[index, column] = (
                direction[0] * (cov[X, column] - lag_s * cov[VX, column])
                + direction[1] * (cov[Y, column] - lag_s * cov[VY, column])
                + direction[2] * cov[Z, column]
                + cov[OFFSET, column]
            )
        if slot >= 0:
            for column in range(state.size):
                crossed[index, column] += cov[BIASES + slot, column]
    for row in range(ranges.size):
        for column in range(ranges.size):
            spread[row, column] = along(crossed[row], ranges, column, room.directions[column])
        if ranges.slots[row] < 0:
            spread[row, row] += model.bias_sigma_m * model.bias_sigma_m


@compiled_in_place
def weigh(ranges: Ranges, model: Model, room: Room) -> float:
    """Set the weights by what a state leaves of each range: *(ν + 1) / (ν + E[e²] / σ²)* (Agamennoni et al.).

    Returns the greatest change of a weight.
    """
    spread, left, count = room.spread, room.whitened, ranges.size
    for row in range(count):
        for column in range(count):
            left[row, column] = spread[column, row]
    whiten_all(room.factor, left, count, count)
    change = 0.0
    for index in range(count):
        error_m = ranges.ranges_m[index] - room.foretold_m[index]
        variance_m2 = spread[index, index]
        for inner in range(count):
            variance_m2 -= left[inner, index] * left[inner, index]
        ratio = (error_m * error_m + variance_m2) / (model.range_sigma_m * model.range_sigma_m)
        weight = (model.tail_degrees + 1.0) / (model.tail_degrees + ratio)
        change = max(change, abs(weight - ranges.weights[index]))
        ranges.weights[index] = weight
    return change


@compiled_in_place
def take(state: State, ranges: Ranges, model: Model, learnt: int, room: Room) -> None:
    """Update by a group's ranges, of the state the first ``learnt`` numbers, and set the ranges' weights.

    Iterated until the weights stay: linear about where the last iteration ended, with weights by what that left of the
    ranges. In ``room`` are then spread and innovations of the last.
    """
    mean, about = state.mean, room.about
    for row in range(state.size):
        about[row] = mean[row]
    look(ranges, room)
    for iteration in range(_ITERATIONS):
        linearise(state, ranges, model, room)
        find(state, ranges, model, learnt, room)
        if iteration + 1 == _ITERATIONS:
            break
        look(ranges, room)
        if weigh(ranges, model, room) < _SETTLED:
            break
    for row in range(state.size):
        mean[row] = about[row]
    reduce(state, ranges.size, learnt, room)


@compiled_in_place
def find(state: State, ranges: Ranges, model: Model, learnt: int, room: Room) -> None:
    """Set what all is linear about to what the ranges, with their weights, make of a state."""
    about, factor, gains, count = room.about, room.factor, room.gains, ranges.size
    for row in range(count):
        gains[row] = room.innovations[row]
        for column in range(row):
            factor[row, column] = room.spread[row, column]
        factor[row, row] = room.spread[row, row] + model.range_sigma_m * model.range_sigma_m / ranges.weights[row]
    factorise(factor, count)
    whiten(factor, gains, count)
    unwhiten(factor, gains, count)
    for row in range(state.size):
        about[row] = state.mean[row]
    for index in range(count):
        for row in range(learnt):
            about[row] += room.crossed[index, row] * gains[index]


@compiled_in_place
def reduce(state: State, count: int, learnt: int, room: Room) -> None:
    """Take from the covariance what ranges have told: *(L⁻¹ H P)ᵀ (L⁻¹ H P)*, but not between what is not learnt."""
    cov, told = state.cov, room.whitened
    for index in range(count):
        for column in range(state.size):
            told[index, column] = room.crossed[index, column]
    whiten_all(room.factor, told, count, state.size)
    for row in range(state.size):
        columns = min(row + 1, learnt)
        for index in range(count):
            for column in range(columns):
                cov[row, column] -= told[index, row] * told[index, column]
        for column in range(columns):
            cov[column, row] = cov[row, column]


@compiled_in_place
def squares_of_used(ranges: Ranges, model: Model, room: Room) -> float:
    """Return the normalised innovations squared, *νᵀ S⁻¹ ν*, of the ranges that are not refused."""
    factor, whitened, least = room.factor, room.gains, refused_weight(model)
    count = 0
    for row in range(ranges.size):
        if ranges.weights[row] >= least:
            whitened[count] = room.innovations[row]
            across = 0
            for column in range(row + 1):
                if ranges.weights[column] >= least:
                    factor[count, across] = room.spread[row, column]
                    across += 1
            factor[count, count] += model.range_sigma_m * model.range_sigma_m
            count += 1
    factorise(factor, count)
    whiten(factor, whitened, count)
    total = 0.0
    for row in range(count):
        total += whitened[row] * whitened[row]
    return total


@compiled_in_place
def likelihood(ranges: Ranges, model: Model, room: Room) -> float:
    """Return the log-likelihood of innovations, each given those before, under Student's t."""
    factor, whitened, count = room.factor, room.gains, ranges.size
    for row in range(count):
        whitened[row] = room.innovations[row]
        for column in range(row + 1):
            factor[row, column] = room.spread[row, column]
        factor[row, row] += model.range_sigma_m * model.range_sigma_m
    factorise(factor, count)
    whiten(factor, whitened, count)
    total = 0.0
    for index in range(count):
        total -= 0.5 * (model.tail_degrees + 1.0) * math.log1p(whitened[index] ** 2 / model.tail_degrees)
        total -= math.log(factor[index, index])
    return total


@compiled_in_place
def residual(mean: Floats, ranges: Ranges, model: Model, room: Room) -> float:
    """Return the RMS (m) of the ranges that are not refused less what the state says that they should be."""
    squares, count = 0.0, 0
    for index in range(ranges.size):
        if ranges.weights[index] >= refused_weight(model):
            squares += (ranges.ranges_m[index] - foretell(mean, ranges, index, room.directions[index])) ** 2
            count += 1
    return math.sqrt(squares / count) if count else 0.0
