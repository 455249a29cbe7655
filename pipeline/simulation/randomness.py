"""Random numbers that are a function of what they are for, not of when they are drawn.

A tag's path, its blinks' phase and its bias to an anchor stay the same however many other tags there are and in
whatever order they are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, purpose: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on the arguments alone.

    SplitMix64's output function over a sum of the counters (Steele, Lea, Flood: Fast splittable pseudorandom number
    generators, OOPSLA 2014), chained once per counter.
    """
    mixed = _mix(np.array([seed], dtype=np.uint64) + np.array([purpose], dtype=np.uint64) * _STEP)
    mixed = _mix(mixed + first.astype(np.uint64) * _STEP)
    mixed = _mix(mixed + second.astype(np.uint64) * _STEP)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + _STEP
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
