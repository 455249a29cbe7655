"""What ranges tell of a state, compiled, against the same formulas as matrices."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.positioning.track_motion import BIASES, OFFSET, REST, VX, VY, Model, State, X, Y, Z
from pipeline.positioning.track_ranges import (
    Ranges,
    likelihood,
    refused_weight,
    residual,
    room_for_ranges,
    squares_of_used,
    take,
)
from pipeline.positioning.track_settings import TrackSettings
from pipeline.site import Site

Floats = NDArray[np.float64]
MODEL: Model = TrackSettings().model(Site("", {}))
ROOM = 16


def some_state(random: np.random.Generator, biases: int) -> State:
    """A state with more room than it needs, filled with what must not be looked at."""
    size, most = BIASES + biases, BIASES + 12
    mean, cov = np.full(most, np.nan), np.full((most, most), np.nan)
    mean[:size] = random.normal(0.0, 0.3, size)
    root = random.normal(0.0, 0.3, (size, size))
    cov[:size, :size] = root @ root.T + 1e-4 * np.eye(size)
    cov[:size, :size] = (cov[:size, :size] + cov[:size, :size].T) / 2.0
    return State(mean, cov, np.zeros(REST), size)


def some_ranges(random: np.random.Generator, count: int, biases: int) -> Ranges:
    ranges, _ = room_for_ranges(ROOM, 12)
    ranges.lag_s[:count] = random.uniform(0.0, 1.0, count)
    ranges.anchors[:count] = random.uniform(-20.0, 20.0, (count, 3))
    ranges.ranges_m[:count] = np.linalg.norm(ranges.anchors[:count], axis=1) + random.normal(0.0, 0.3, count)
    ranges.ranges_m[0] += random.choice([0.0, 3.0])
    ranges.slots[:count] = random.permutation(max(biases, count))[:count]
    ranges.slots[:count][ranges.slots[:count] >= biases] = -1
    ranges.weights[:count] = random.choice([1.0, refused_weight(MODEL)], count)
    return ranges._replace(size=count)


class Reference:
    """The iterated update with Student's t, as in the literature: dense and slow."""

    def __init__(self, state: State, ranges: Ranges, learnt: int) -> None:
        size, count = state.size, ranges.size
        self.mean, cov = state.mean[:size], state.cov[:size, :size]
        self.ranges, self.weights = ranges, ranges.weights[:count].copy()
        unknown = np.diag(np.where(ranges.slots[:count] < 0, MODEL.bias_sigma_m**2, 0.0))
        about = self.mean
        for iteration in range(6):
            foretold, jacobian = self.foretell(about)
            self.innovations = ranges.ranges_m[:count] - foretold - jacobian @ (self.mean - about)
            self.spread = jacobian @ cov @ jacobian.T + unknown
            total = self.spread + np.diag(MODEL.range_sigma_m**2 / self.weights)
            gain = cov @ jacobian.T @ np.linalg.inv(total)
            about = self.mean + np.where(np.arange(size) < learnt, gain @ self.innovations, 0.0)
            told = gain @ total @ gain.T
            if iteration == 5:
                break
            errors = ranges.ranges_m[:count] - self.foretell(about)[0]
            variances = np.diag(self.spread - self.spread @ np.linalg.inv(total) @ self.spread)
            weights = (MODEL.tail_degrees + 1.0) / (
                MODEL.tail_degrees + (errors**2 + variances) / MODEL.range_sigma_m**2
            )
            change = np.abs(weights - self.weights).max()
            self.weights = weights
            if change < 0.02:
                break
        told[learnt:, learnt:] = 0.0
        self.mean, self.cov = about, cov - told

    def foretell(self, mean: Floats) -> tuple[Floats, Floats]:
        """Return the ranges that a state foretells, and their derivatives by it."""
        ranges, count = self.ranges, self.ranges.size
        lag_s, slots = ranges.lag_s[:count], ranges.slots[:count]
        places = mean[[X, Y, Z]] - np.outer(lag_s, [mean[VX], mean[VY], 0.0])
        away = places - ranges.anchors[:count]
        distances = np.linalg.norm(away, axis=1)
        jacobian = np.zeros((count, mean.size))
        jacobian[:, X : Z + 1] = away / distances[:, None]
        jacobian[:, [VX, VY]] = -lag_s[:, None] * jacobian[:, [X, Y]]
        jacobian[:, OFFSET] = 1.0
        jacobian[slots >= 0, BIASES + slots[slots >= 0]] = 1.0
        return distances + jacobian[:, OFFSET:] @ mean[OFFSET:], jacobian


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, ROOM), st.integers(0, 12), st.booleans())
def test_an_update_is_that_of_the_formulas(seed: int, count: int, biases: int, is_at_rest: bool) -> None:  # noqa: FBT001
    random = np.random.default_rng(seed)
    state, ranges = some_state(random, biases), some_ranges(random, count, biases)
    learnt = OFFSET if is_at_rest else state.size
    expected = Reference(state._replace(mean=state.mean.copy(), cov=state.cov.copy()), ranges, learnt)
    _, room = room_for_ranges(ROOM, 12)
    take(state, ranges, MODEL, learnt, room)
    np.testing.assert_allclose(ranges.weights[:count], expected.weights, rtol=1e-7)
    np.testing.assert_allclose(state.mean[: state.size], expected.mean, atol=1e-8)
    np.testing.assert_allclose(state.cov[: state.size, : state.size], expected.cov, atol=1e-8)
    assert (state.cov[: state.size, : state.size] == state.cov[: state.size, : state.size].T).all()

    noise = MODEL.range_sigma_m**2
    used = ranges.weights[:count] >= refused_weight(MODEL)
    left = expected.innovations[used]
    squares = left @ np.linalg.solve(expected.spread[np.ix_(used, used)] + noise * np.eye(left.size), left)
    assert np.isclose(squares_of_used(ranges, MODEL, room), squares, rtol=1e-6, atol=1e-9)
    factor = np.linalg.cholesky(expected.spread + noise * np.eye(count))
    whitened = np.linalg.solve(factor, expected.innovations)
    degrees = MODEL.tail_degrees
    told = -0.5 * (degrees + 1.0) * np.log1p(whitened**2 / degrees) - np.log(np.diag(factor))
    assert np.isclose(likelihood(ranges, MODEL, room), told.sum(), rtol=1e-6, atol=1e-6)
    errors = ranges.ranges_m[:count] - expected.foretell(expected.mean)[0]
    rms_m = np.sqrt(np.mean(errors[used] ** 2)) if used.any() else 0.0
    assert np.isclose(residual(state.mean, ranges, MODEL, room), rms_m, rtol=1e-6, atol=1e-7)
