"""How the state of a track goes on with time: motion, and the fading of what is known of biases. Compiled.

State (SI units, the site's frame), ``BIASES`` numbers and one more for each anchor that it knows::

    x, y, z        place; z stays as it is where the height is known (its variance is 0)
    vx, vy         velocity
    offset         by how much all ranges of the tag are too long
    bias 0 ...     by how much those of one anchor are longer still

Sources:
    * R. A. Singer, "Estimating optimal tracking filter performance for manned maneuvering targets", IEEE Trans. AES
      6(4), 1970: what is correlated in time (there acceleration, here velocity, offset and biases).
    * Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section
      6.2: white acceleration.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.compiled import compiled_in_place

X, Y, Z, VX, VY, OFFSET, BIASES = range(7)

IS_STILL, EVIDENCE, WHERE_X, WHERE_Y, VARIANCE, SINCE, DOUBTS, STOP_XX, STOP_XY, STOP_YY = range(10)
REST = 10

Floats = NDArray[np.float64]
Indexes = NDArray[np.int64]


class Model(NamedTuple):
    """What the filter believes: see :class:`pipeline.positioning.track_settings.TrackSettings`."""

    range_sigma_m: float
    tail_degrees: float
    gate: float
    acceleration_psd: float
    velocity_memory_s: float
    place_psd: float
    height_psd: float
    still_psd: float
    start_speed_m_s: float
    still_after_s: float
    still_radius_m: float
    still_within_m: float
    moving_evidence: float
    turn_m: float
    turn_speed_m_s: float
    offset_sigma_m: float
    offset_memory_s: float
    bias_sigma_m: float
    bias_memory_s: float
    speed_limit_m_s: float


class State(NamedTuple):
    """The filter of one tag, changed in place.

    Attributes:
        mean: the state (m), in the first ``size`` numbers.
        cov: its covariance (m, m), likewise; symmetric to the bit.
        rest: of the tag's standing still (``REST``): whether it does, and the evidence (log-likelihood ratio) that it
            has started; while it moves, a place, the variance of that, and for how long (s) the tag has not left it.
            Then how many groups in a row most ranges of which spoke against the track; and the covariance of the place
            when the tag came to rest.
        size: how many numbers the state has.
    """

    mean: Floats
    cov: Floats
    rest: Floats
    size: int


@compiled_in_place
def assign(state: State, other: State) -> None:
    """Make the place and all else but ``rest`` that of another state of the same size."""
    for row in range(state.size):
        state.mean[row] = other.mean[row]
        for column in range(state.size):
            state.cov[row, column] = other.cov[row, column]


@compiled_in_place
def decay(state: State, index: int, kept: float, sigma_m: float) -> None:
    """Let one Gauss-Markov number, of stationary deviation ``sigma_m``, keep the fraction ``kept`` of what it was."""
    state.mean[index] *= kept
    scale(state, index, kept)
    state.cov[index, index] += sigma_m * sigma_m * (1.0 - kept * kept)


@compiled_in_place
def scale(state: State, index: int, factor: float) -> None:
    """Multiply row and column of the covariance."""
    cov = state.cov
    for column in range(state.size):
        cov[index, column] *= factor
    for row in range(state.size):
        cov[row, index] *= factor


@compiled_in_place
def forget(state: State, elapsed_s: float, bias_sigmas_m: Floats, model: Model) -> None:
    """Let offset and biases fade towards what is believed of them without any range."""
    decay(state, OFFSET, math.exp(-elapsed_s / model.offset_memory_s), model.offset_sigma_m)
    kept = math.exp(-elapsed_s / model.bias_memory_s)
    for index in range(BIASES, state.size):
        decay(state, index, kept, bias_sigmas_m[index - BIASES])


@compiled_in_place
def move(state: State, elapsed_s: float, model: Model) -> None:
    """Move a tag on: *p += f v, v *= e* with *e = exp(-t / memory)*, *f = memory (1 - e)*, plus the noise of both.

    The noise of the velocity is that of Singer's model; that of the place is to the leading order in *t / memory*.
    """
    mean, cov = state.mean, state.cov
    kept = math.exp(-elapsed_s / model.velocity_memory_s)
    reach_s = model.velocity_memory_s * (1.0 - kept)
    power = model.acceleration_psd * model.velocity_memory_s * (1.0 - kept * kept) / 2.0
    for axis in range(2):
        place, velocity = X + axis, VX + axis
        mean[place] += reach_s * mean[velocity]
        mean[velocity] *= kept
        for column in range(state.size):
            cov[place, column] += reach_s * cov[velocity, column]
        for row in range(state.size):
            cov[row, place] += reach_s * cov[row, velocity]
        scale(state, velocity, kept)
        cov[velocity, velocity] += power
        cov[place, velocity] += power * reach_s / 2.0
        cov[velocity, place] += power * reach_s / 2.0
        cov[place, place] += power * reach_s * reach_s / 3.0 + model.place_psd * elapsed_s
    if cov[Z, Z] > 0.0:
        cov[Z, Z] += model.height_psd * elapsed_s


@compiled_in_place
def stand(state: State, elapsed_s: float, model: Model) -> None:
    """Leave a tag where it is."""
    for axis in range(2):
        state.cov[X + axis, X + axis] += model.still_psd * elapsed_s


@compiled_in_place
def stop(state: State) -> None:
    """Make the velocity zero, for certain."""
    for velocity in (VX, VY):
        state.mean[velocity] = 0.0
        for index in range(state.size):
            state.cov[velocity, index] = 0.0
            state.cov[index, velocity] = 0.0


@compiled_in_place
def loosen(state: State, place_m: float, speed_m_s: float) -> None:
    """Admit that place and velocity may be so much further off (standard deviations)."""
    for axis in range(2):
        state.cov[X + axis, X + axis] += place_m * place_m
        state.cov[VX + axis, VX + axis] += speed_m_s * speed_m_s


@compiled_in_place
def limit_speed(state: State, model: Model) -> None:
    """Hold the speed to the site's limit."""
    speed_m_s = math.hypot(state.mean[VX], state.mean[VY])
    if speed_m_s > model.speed_limit_m_s:
        state.mean[VX] *= model.speed_limit_m_s / speed_m_s
        state.mean[VY] *= model.speed_limit_m_s / speed_m_s


@compiled_in_place
def settle(state: State) -> None:
    """Round all but place and ``rest`` to 32 bits, as a track is kept."""
    mean, cov = state.mean, state.cov
    for row in range(state.size):
        if row >= VX:
            mean[row] = np.float32(mean[row])
        for column in range(state.size):
            cov[row, column] = np.float32(cov[row, column])
