"""Estimates that some wrong ranges do not spoil, and uncertainties that errors alike for a while do not flatter.

Weights are those of iteratively reweighted least squares. Arrays are of numpy; lengths are metres, times seconds.

Sources:
    * P. J. Huber, "Robust Statistics", 1981, chapters 3 (location, scale) and 7 (regression).
    * A. E. Beaton, J. W. Tukey, Technometrics 16(2), 1974: the biweight.
    * K.-Y. Liang, S. L. Zeger, Biometrika 73(1), 1986: the covariance from clusters of errors that go together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = NDArray[np.int64] | NDArray[np.bool_]
"""Of an array: their numbers, or a mask."""

MIN_SIGMA_M = 0.01
"""No range is taken to be better than this, however well made-up data agree."""
_HUBER, _TUKEY = 1.345, 4.685
"""Each costs 5 % of efficiency where the errors are normal after all."""
_MIN_SLOPE = 0.1
_MAD_TO_SIGMA = 1.4826
_ITERATIONS = 20


def mad_sigma(residuals: Floats) -> float:
    """Return the standard deviation that the median absolute residual stands for, were the residuals normal."""
    return max(_MAD_TO_SIGMA * float(np.median(np.abs(residuals))), MIN_SIGMA_M) if residuals.size else MIN_SIGMA_M


def huber_weights(standardised: Floats) -> Floats:
    """Return weights that hold the pull of large residuals constant."""
    weights: Floats = _HUBER / np.maximum(np.abs(standardised), _HUBER)
    return weights


def tukey_weights(standardised: Floats) -> Floats:
    """Return weights that let go of large residuals: 0 from 4.685 sigmas on."""
    weights: Floats = np.square(np.clip(1.0 - np.square(standardised / _TUKEY), 0.0, None))
    return weights


def tukey_influences(standardised: Floats) -> Floats:
    """Return by how much each of the residuals moves the location, times their number: *ψ / mean ψ'*."""
    squares = np.square(standardised / _TUKEY)
    slopes = np.where(squares < 1.0, (1.0 - squares) * (1.0 - 5.0 * squares), 0.0)
    influences: Floats = tukey_weights(standardised) * standardised / max(float(slopes.mean()), _MIN_SLOPE)
    return influences


def location(values: Floats) -> float:
    """Return the middle of values (n > 0): Tukey's biweight from the median on, scaled by the median deviation."""
    middle = float(np.median(values))
    sigma = mad_sigma(values - middle)
    for _ in range(_ITERATIONS):
        weights = tukey_weights((values - middle) / sigma)
        middle = float(np.average(values, weights=weights))
    return middle


def cluster_sums(scores: Floats, clusters: Integers) -> Floats:
    """Return the sums of rows (n, k) by cluster (n, numbered from 0) as (number of clusters, k)."""
    sums = np.zeros((int(clusters.max(initial=-1)) + 1, scores.shape[1]))
    np.add.at(sums, clusters, scores)
    return sums


def cluster_meat(scores: Floats, clusters: Integers, parameters: int = 1) -> Floats:
    """Return the covariance (k, k) of the sum of scores (n, k), of which those of different clusters are independent.

    It is scaled for the number *G* of clusters that are not empty, and *K* of parameters fitted, by *G / (G - K)*.
    """
    sums = cluster_sums(scores, clusters)
    count = np.unique(clusters).size
    meat: Floats = sums.T @ sums * (count / max(count - parameters, 1))
    return meat


def clusters_of(tags: Integers, at_s: Floats, places_m: Floats, min_time_s: float, min_way_m: float) -> Integers:
    """Number what is in time order (n; places (n, d)) by clusters, each of one tag.

    The errors of ranges are alike for as long as reflections are. A cluster therefore ends only when it has lasted
    ``min_time_s`` and its tag has got ``min_way_m`` away from where the cluster began: all that a tag tells from one
    place is one cluster, however long it stands there.
    """
    numbers = np.empty(tags.size, dtype=np.int64)
    begun: dict[int, tuple[int, float, Floats]] = {}
    count = 0
    for index, (tag, now_s) in enumerate(zip(tags.tolist(), at_s.tolist(), strict=True)):
        place = places_m[index]
        cluster = begun.get(tag)
        if cluster is None or (
            now_s - cluster[1] >= min_time_s and float(np.linalg.norm(place - cluster[2])) >= min_way_m
        ):
            cluster = begun[tag] = (count, now_s, place)
            count += 1
        numbers[index] = cluster[0]
    return numbers
