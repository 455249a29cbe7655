"""By how much each anchor's ranges are too long, measured against places that are known.

A range is *measured = true + bias + error*. The frame is the site map's; lengths are metres, times seconds. What is the
error of a range to one place stays as long as the tag does, so uncertainties count independent places and times
(:func:`pipeline.positioning.robust.clusters_of`), not readings. Biases of tag-anchor pairs differ; the sigma of an
anchor's bias covers a tag that was not there: it holds the spread between tags, as far as several tags show it.

An anchor that stands elsewhere than the map says has errors that depend on the direction. It is told of, with the place
that fits best, and never moved.

Sources, besides those of :mod:`pipeline.positioning.robust`:
    * R. DerSimonian, N. Laird, Controlled Clinical Trials 7(3), 1986: the spread between groups by moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.positioning.robust import (
    Floats,
    Integers,
    Rows,
    cluster_meat,
    clusters_of,
    huber_weights,
    location,
    mad_sigma,
    tukey_influences,
    tukey_weights,
)

MIN_READINGS = 10
CLUSTER_S, CLUSTER_WAY_M = 5.0, 0.5
DOUBTFUL_OFFSET_M = 0.15
_CHANCE = 0.001
_CHI_SQUARE_PLAN, _CHI_SQUARE_HEIGHT = 13.8, 10.8
"""Passed with that chance, with two and with one degree of freedom."""
MIN_RISE = 0.2
"""Rays rising less than this (RMS) for each metre of length feel an anchor's height only to second order."""
_POOLED_DOF = 4.0
"""How many clusters of its own a pair's variance needs to count as much as that of all pairs."""
_TAG_SIGMA_M = 0.1
_PLACE_SIGMA_M = 5.0
_BIAS_SIGMA_M = 10.0
_ITERATIONS = 10


class Ranges(NamedTuple):
    """Readings in order of time, a row each: time (s), number of the tag, number of the anchor, slant range (m)."""

    at_s: Floats
    tag: Integers
    anchor: Integers
    distance_m: Floats

    def at(self, rows: Rows) -> Ranges:
        """Return some of the rows, by mask or numbers."""
        return Ranges(self.at_s[rows], self.tag[rows], self.anchor[rows], self.distance_m[rows])


class Offset(NamedTuple):
    """From where the map has an anchor to where its ranges do (m), and the sigmas; z is None where they do not tell."""

    x_m: float
    y_m: float
    z_m: float | None
    sigma_x_m: float
    sigma_y_m: float
    sigma_z_m: float | None

    def length_m(self) -> float:
        """Return how far it is."""
        return math.hypot(self.x_m, self.y_m, self.z_m or 0.0)


@dataclass(frozen=True, slots=True)
class AnchorCalibration:
    """What readings tell of an anchor. ``bias_m`` is None where they tell nothing; ``offset`` where its place fits."""

    readings: int
    bias_m: float | None
    sigma_m: float
    offset: Offset | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """All anchors in the map's order; the spread of biases between tags is None with one tag."""

    anchors: Sequence[AnchorCalibration]
    tag_spread_m: float | None


class Pair(NamedTuple):
    """The bias of a tag-anchor pair, what each cluster would have it be, and as how many of equal size they count."""

    bias_m: float
    scale_m: float
    cluster_biases_m: Floats
    clusters: float


def directions(places_m: Floats, anchors_m: Floats) -> tuple[Floats, Floats]:
    """Return the distances (…) from anchors (…, 3) to places (…, 3), and the unit vectors (…, 3) along them.

    An anchor whose z is not a number is taken to be at the place's height.
    """
    differences = places_m - anchors_m
    differences[..., 2] = np.nan_to_num(differences[..., 2])
    distances = np.sqrt(np.square(differences).sum(axis=-1))
    return distances, differences / np.maximum(distances, 1e-9)[..., None]


def calibrate_by_truth(ranges: Ranges, places_m: Floats, anchors_m: Floats) -> Calibration:
    """Return the biases from ranges whose tags' places (n, 3) at the time are known; anchors are (a, 3)."""
    errors_m = ranges.distance_m - directions(places_m, anchors_m[ranges.anchor])[0]
    clusters = clusters_of(ranges.tag, ranges.at_s, places_m, CLUSTER_S, CLUSTER_WAY_M)
    pairs: list[list[Pair]] = []
    for anchor in range(len(anchors_m)):
        of_anchor = ranges.anchor == anchor
        tags = [of_anchor & (ranges.tag == tag) for tag in np.unique(ranges.tag[of_anchor])]
        pairs.append([pair_of(errors_m[rows], clusters[rows]) for rows in tags if rows.sum() >= MIN_READINGS])
    variances, spread2 = tag_variances(pairs)
    calibrations = []
    for anchor, (of_anchor_pairs, of_anchor_variances) in enumerate(zip(pairs, variances, strict=True)):
        rows = ranges.anchor == anchor
        if not of_anchor_pairs:
            calibrations.append(AnchorCalibration(int(rows.sum()), None, math.inf))
            continue
        weights = 1.0 / (np.array(of_anchor_variances) + spread2)
        bias_m = float(np.average([pair.bias_m for pair in of_anchor_pairs], weights=weights))
        variance = float(1.0 / weights.sum()) + spread2
        offset = _offset(ranges.at(rows), places_m[rows], anchors_m[anchor], clusters[rows])
        calibrations.append(anchor_calibration(int(rows.sum()), bias_m, variance, offset))
    has_tags = any(len(of_anchor_pairs) > 1 for of_anchor_pairs in pairs)
    return Calibration(calibrations, math.sqrt(spread2) if has_tags else None)


def anchor_calibration(readings: int, bias_m: float, variance_m2: float, offset: Offset | None) -> AnchorCalibration:
    """Return what is known of an anchor: one out of place has an error of *|offset| / √2* (RMS) in any direction."""
    misplaced_m2 = 0.0 if offset is None else offset.length_m() ** 2 / 2.0
    return AnchorCalibration(readings, bias_m, math.sqrt(variance_m2 + misplaced_m2), offset)


def pair_of(errors_m: Floats, clusters: Integers) -> Pair:
    """Return what the errors (n > 0; m) of a tag-anchor pair have in common.

    A cluster's bias is the pair's and the mean of what its readings do to it, the influence *ψ / E ψ'* (Huber 1981).
    """
    bias_m = location(errors_m)
    scale_m = mad_sigma(errors_m - bias_m)
    influences_m = tukey_influences((errors_m - bias_m) / scale_m) * scale_m
    _, numbers, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    biases_m = bias_m + np.bincount(numbers, influences_m) / sizes
    return Pair(bias_m, scale_m, biases_m, float(sizes.sum() ** 2 / np.square(sizes).sum()))


def tag_variances(pairs: Sequence[Sequence[Pair]]) -> tuple[list[list[float]], float]:
    """Return the variance (m²) of each pair's bias, and that of biases between tags, by moments, all anchors pooled.

    A pair with *G* clusters whose biases vary by *s²* is known to *s²/G*; *s²* leans on that of all pairs. Where no
    pair has two clusters, the scale of single readings stands for it.
    """
    everything = [pair for of_anchor in pairs for pair in of_anchor]
    dof = sum(pair.cluster_biases_m.size - 1 for pair in everything)
    squares = sum(_squares(pair) for pair in everything)
    if dof:
        pooled = squares / dof
    else:
        pooled = float(np.median([pair.scale_m**2 for pair in everything])) if everything else 0.0

    def variance(pair: Pair) -> float:
        dof = pair.cluster_biases_m.size - 1
        return (_POOLED_DOF * pooled + _squares(pair)) / (_POOLED_DOF + dof) / pair.clusters

    variances = [[variance(pair) for pair in of_anchor] for of_anchor in pairs]
    excess = scale = 0.0
    for of_anchor, of_anchor_variances in zip(pairs, variances, strict=True):
        if len(of_anchor) > 1:
            weights = 1.0 / np.array(of_anchor_variances)
            biases_m = np.array([pair.bias_m for pair in of_anchor])
            mean_m = np.average(biases_m, weights=weights)
            excess += float(weights @ np.square(biases_m - mean_m)) - (len(of_anchor) - 1)
            scale += float(weights.sum() - weights @ weights / weights.sum())
    return variances, max(0.0, excess / scale) if scale > 0.0 else 0.0


def _squares(pair: Pair) -> float:
    return float(np.square(pair.cluster_biases_m - pair.cluster_biases_m.mean()).sum())


def _offset(ranges: Ranges, places_m: Floats, anchor_m: Floats, clusters: Integers) -> Offset | None:
    """Return where else the anchor fits significantly better, or None.

    Fitted together: the anchor's offset, its bias, and each tag's own bias (of which 0.1 m is expected, so that tags
    that stand each at one place do not pass for directions).
    """
    tags, numbers = np.unique(ranges.tag, return_inverse=True)
    has_height = bool(np.isfinite(anchor_m[2])) and is_steep(directions(places_m, anchor_m)[1])
    of_tags = np.eye(tags.size)[numbers]
    axes = 3 if has_height else 2
    sigmas = [_BIAS_SIGMA_M, *tags.size * [_TAG_SIGMA_M], *axes * [_PLACE_SIGMA_M]]
    precision = np.diag(1.0 / np.square(sigmas))
    estimate = np.zeros(len(sigmas))
    estimate[0] = np.median(ranges.distance_m - directions(places_m, anchor_m)[0])
    covariance_m2: Floats = np.linalg.inv(precision).astype(np.float64)
    for iteration in range(2 * _ITERATIONS):
        weigh = huber_weights if iteration < _ITERATIONS else tukey_weights
        moved_m = anchor_m + np.concatenate([estimate[-axes:], np.zeros(3 - axes)])
        distances_m, along = directions(places_m, moved_m)
        rows = np.hstack([np.ones((numbers.size, 1)), of_tags, -along[:, :axes]])
        residuals = ranges.distance_m - distances_m - rows[:, :-axes] @ estimate[:-axes]
        sigma_m = mad_sigma(residuals)
        weights = weigh(residuals / sigma_m) / sigma_m**2
        scores = rows * (weights * residuals)[:, None]
        inverse = np.linalg.inv((rows * weights[:, None]).T @ rows + precision)
        estimate = estimate + inverse @ (scores.sum(axis=0) - precision @ estimate)
        covariance_m2 = np.asarray(
            inverse @ (cluster_meat(scores, clusters, 1 + axes) + precision) @ inverse, dtype=np.float64
        )
    return significant_offset(estimate[-axes:], covariance_m2[-axes:, -axes:], np.unique(clusters).size)


def is_steep(along: Floats) -> bool:
    """Tell whether unit vectors (…, 3) rise or fall so much that ranges tell heights."""
    return float(np.sqrt(np.square(along[..., 2]).mean())) > MIN_RISE if along.size else False


def significant_offset(
    offset_m: Floats, covariance_m2: Floats, clusters: int, doubtful_m: float = DOUBTFUL_OFFSET_M
) -> Offset | None:
    """Return an offset (2 or 3 axes) that is long enough to doubt (in height, twice as long) and no chance, or None.

    A length in plan passes with chance *p*, its covariance being from clusters with *m* degrees of freedom, where
    chi-square is over *m (p^(-2/m) - 1)* (Hotelling's T² by F with 2 and *m*); a height's bound grows alike.
    """
    dof = max(clusters - 1 - offset_m.size, 1)
    plan_bound = dof * (_CHANCE ** (-2.0 / dof) - 1.0)
    height_bound = plan_bound * _CHI_SQUARE_HEIGHT / _CHI_SQUARE_PLAN
    plan, plan_covariance = offset_m[:2], covariance_m2[:2, :2]
    length = float(np.linalg.norm(plan))
    chi_square = float(plan @ np.linalg.solve(plan_covariance, plan))
    is_off = length > doubtful_m and chi_square > plan_bound
    heights = [*zip(offset_m[2:].tolist(), np.sqrt(np.diag(covariance_m2)[2:]).tolist(), strict=True)]
    z_m, sigma_z_m = heights[0] if heights else (None, None)
    if z_m is not None and sigma_z_m is not None:
        is_off = is_off or (abs(z_m) > 2.0 * doubtful_m and (z_m / sigma_z_m) ** 2 > height_bound)
    if not is_off:
        return None
    sigma_x_m, sigma_y_m = np.sqrt(np.diag(plan_covariance)).tolist()
    return Offset(float(plan[0]), float(plan[1]), z_m, sigma_x_m, sigma_y_m, sigma_z_m)
