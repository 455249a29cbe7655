"""What anchors make of a true distance: noise, a bias of each tag-anchor pair, no line of sight, lost rangings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.randomness import uniform
from pipeline.simulation.settings import SceneSettings

MIN_DISTANCE_M = float(np.nextafter(np.float32(1e-5), np.float32(1)))
"""The least distance that an anchor reports: 0.00001 m, rounded up to a float."""

_BIAS = 30


class Ranged(NamedTuple):
    """One element an attempted ranging; ``distance_m`` has the precision of the wire."""

    distance_m: NDArray[np.float32]
    is_heard: NDArray[np.bool_]
    is_lost: NDArray[np.bool_]
    is_outlier: NDArray[np.bool_]


class Ranging:
    """The error model. Its draws follow each other, so distances depend on all rangings before."""

    def __init__(self, settings: SceneSettings, random: np.random.Generator) -> None:
        """Take the model's parameters from the settings."""
        self._settings = settings
        self._random = random

    def measure(
        self,
        true_m: NDArray[np.float64],
        tags: NDArray[np.int64],
        anchors: NDArray[np.int64],
        max_range_m: float,
    ) -> Ranged:
        """Return what comes of ranging tags and anchors that are truly ``true_m`` apart, pair by pair.

        A distance that comes out over ``max_range_m`` is not heard.
        """
        settings, random = self._settings, self._random
        is_lost = random.random(true_m.size) < settings.lost_share
        is_outlier = random.random(true_m.size) < settings.outlier_share
        noise_m = settings.noise_m * random.standard_normal(true_m.size)
        detour_m = settings.outlier_mean_m * random.standard_exponential(true_m.size)
        measured_m = true_m + self.bias_m(tags, anchors) + noise_m + np.where(is_outlier, detour_m, 0.0)
        in_range = (true_m <= max_range_m) & (measured_m <= max_range_m)
        return Ranged(
            distance_m=np.maximum(measured_m, MIN_DISTANCE_M).astype(np.float32),
            is_heard=in_range & ~is_lost,
            is_lost=in_range & is_lost,
            is_outlier=is_outlier,
        )

    def bias_m(self, tags: NDArray[np.int64], anchors: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the constant error (m) of each pair."""
        spread = 2 * uniform(self._settings.seed, _BIAS, tags, anchors) - 1
        return self._settings.bias_m + self._settings.bias_spread_m * spread
