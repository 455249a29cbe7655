"""By how much each anchor's ranges are too long, from ranges that have to agree with each other: no place is known.

The mathematics is in :mod:`pipeline.positioning.joint_fit`, units and frame as there. An anchor that stands elsewhere
than the map says spoils the biases of the others; those whose ranges show it are given an offset of their own, the most
significant first, before the biases are taken.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from pipeline.positioning.calibration import (
    CLUSTER_S,
    CLUSTER_WAY_M,
    MIN_READINGS,
    AnchorCalibration,
    Calibration,
    Offset,
    anchor_calibration,
    directions,
    is_steep,
    pair_of,
    significant_offset,
    tag_variances,
)
from pipeline.positioning.joint_fit import (
    PRIOR_SIGMA_M,
    Linear,
    Model,
    State,
    covariance,
    fit,
    linearise_all,
    posterior,
    surplus_share,
)
from pipeline.positioning.robust import Floats, Integers, clusters_of, huber_weights, location, tukey_weights
from pipeline.positioning.round_table import RoundTable
from pipeline.site import Site

UNOBSERVED_SHARE = 0.9
"""A bias that is known no better than this part of what was believed before any reading is not given out."""
DOUBTFUL_M = 0.25
"""An offset has to be longer than where places are known: antennas whose delay depends on direction look like 0.2 m."""
_ANCHORS_A_DOUBT = 3
_MIN_TRUSTED = 4


def anchors_of(site: Site) -> Floats:
    """Return the anchors' places (a, 3) in the map's order, z nan where it is not known."""
    return np.array([[one.x_m, one.y_m, math.nan if one.z_m is None else one.z_m] for one in site.anchors.values()])


def model_of(site: Site, places_m: Floats) -> Model:
    """Return what a site map says beforehand; a height within a range is as good as evenly spread over it.

    Offsets have a height where the rays from anchors to places (r, 3) are steep enough to tell.
    """
    anchors_m = anchors_of(site)
    _, along = directions(places_m[:, None, :], anchors_m[None, :, :])
    axes = 3 if bool(np.isfinite(anchors_m[:, 2]).all()) and is_steep(along) else 2
    if site.tag_height_m is not None or site.tag_height_range_m is None:
        return Model(anchors_m, offset_axes=axes)
    lowest_m, highest_m = site.tag_height_range_m
    prior_m = (lowest_m + highest_m) / 2.0, (highest_m - lowest_m) / math.sqrt(12.0)
    return Model(anchors_m, prior_m, offset_axes=axes)


def calibrate_by_itself(table: RoundTable, places_m: Floats, site: Site) -> Calibration:
    """Return the biases that make the ranges of rounds agree best.

    Args:
        table: rounds, ranges in the order of the site's anchors.
        places_m: about where the tag was in each (r, 3), as of :func:`pipeline.positioning.round_table.first_places`.
        site: the map; its biases are where the search begins.
    """
    model = model_of(site, places_m)
    start = State(np.array([one.bias_m for one in site.anchors.values()]), np.zeros((len(site.anchors), 3)), places_m)
    clusters = clusters_of_rounds(table, places_m)
    state = fit(table, model, start, redescend=False)
    model, state = _with_freed(table, model, state, clusters)
    offsets = _offsets(table, model, state, clusters)
    state = fit(table, model, state)
    linear = linearise_all(table, model, state, tukey_weights)
    biases_m, variances = posterior(linear, model, clusters, state.biases_m)
    state = state._replace(biases_m=biases_m)
    spread2, has_tags = _tag_spread2(table, model, linear, clusters)
    calibrations = [
        _calibrated(
            *(table, model, state, anchor),
            variance_m2=float(variances[anchor]),
            spread2=spread2,
            offset=offsets.get(anchor),
        )
        for anchor in range(len(model.anchors_m))
    ]
    return Calibration(calibrations, math.sqrt(spread2) if has_tags else None)


def clusters_of_rounds(table: RoundTable, places_m: Floats) -> Integers:
    """Return the numbers of the clusters that rounds belong to; places are (r, 3), a z may be nan."""
    return clusters_of(table.tag, table.at_s, np.nan_to_num(places_m), CLUSTER_S, CLUSTER_WAY_M)


def _calibrated(
    table: RoundTable,
    model: Model,
    state: State,
    anchor: int,
    *,
    variance_m2: float,
    spread2: float,
    offset: Offset | None,
) -> AnchorCalibration:
    heard = np.isfinite(table.distance_m[:, anchor])
    readings = int(heard.sum())
    sigma_m = math.sqrt(variance_m2)
    if readings < MIN_READINGS or sigma_m > UNOBSERVED_SHARE * PRIOR_SIGMA_M:
        return AnchorCalibration(readings, None, sigma_m, offset)
    bias_m = float(state.biases_m[anchor])
    if offset is not None:  # the bias that goes with the place on the map, where it stays
        distances_m, _ = directions(state.places_m[heard], model.anchors_m[anchor])
        bias_m = location(table.distance_m[heard, anchor] - distances_m)
    return anchor_calibration(readings, bias_m, variance_m2 + spread2, offset)


def _with_freed(table: RoundTable, model: Model, state: State, clusters: Integers) -> tuple[Model, State]:
    """Free offsets, the most significant first, until those left are due to chance.

    How significant an offset is, and about how long, is told by one step of the search with it freed.
    """
    count, count_clusters = len(model.anchors_m), np.unique(clusters).size
    for _ in range(max(0, min(count // _ANCHORS_A_DOUBT, count - _MIN_TRUSTED))):
        linear = linearise_all(table, model, state, huber_weights)
        found = {}
        for anchor in set(range(count)) - set(model.freed):
            probe = dataclasses.replace(model, freed=(*model.freed, anchor))
            columns, unknown = probe.offset_of(anchor), probe.unknown()
            normal = linear.reduced[np.ix_(unknown, unknown)] + probe.prior_precision()
            step_m = np.linalg.solve(normal, linear.scores[:, unknown].sum(axis=0))[-columns.size :]
            spread_m2 = covariance(linear, probe, clusters)[-columns.size :, -columns.size :]
            if significant_offset(step_m, spread_m2, count_clusters, DOUBTFUL_M) is not None:
                found[anchor] = float(step_m[:2] @ np.linalg.solve(spread_m2[:2, :2], step_m[:2]))
        if not found:
            break
        model = dataclasses.replace(model, freed=(*model.freed, max(found, key=found.__getitem__)))
        state = fit(table, model, state, redescend=False)
    return model, state


def _offsets(table: RoundTable, model: Model, state: State, clusters: Integers) -> dict[int, Offset]:
    """Return those of the freed offsets that are significant in the end, by anchor."""
    if not model.freed:
        return {}
    spread_m2 = covariance(linearise_all(table, model, state, huber_weights), model, clusters)
    found = {}
    for number, anchor in enumerate(model.freed):
        columns = len(model.anchors_m) + number * model.offset_axes + np.arange(model.offset_axes)
        offset_m = state.offsets_m[anchor, : model.offset_axes]
        offset = significant_offset(offset_m, spread_m2[np.ix_(columns, columns)], np.unique(clusters).size, DOUBTFUL_M)
        if offset is not None:
            found[anchor] = offset
    return found


def _tag_spread2(table: RoundTable, model: Model, linear: Linear, clusters: Integers) -> tuple[float, bool]:
    """Return the variance (m²) of biases between tags, by mean residuals, and whether there are tags to compare.

    Places take up a part of what ranges have in common; the variance is raised by it, as that of the residuals is.
    """
    has_range = np.isfinite(table.distance_m)
    pairs = []
    for anchor in range(has_range.shape[1]):
        rows = [has_range[:, anchor] & (table.tag == tag) for tag in np.unique(table.tag)]
        pairs.append(
            [pair_of(linear.residuals_m[row, anchor], clusters[row]) for row in rows if row.sum() >= MIN_READINGS]
        )
    _, spread2 = tag_variances(pairs)
    return spread2 / surplus_share(table, model), any(len(of_anchor) > 1 for of_anchor in pairs)
