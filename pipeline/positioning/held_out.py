"""What biases are worth: the residuals of ranges that had no part in them, before and after.

Clusters of readings (:mod:`pipeline.positioning.robust`) are dealt out in turn: from the even ones biases are taken,
the odd ones show the residuals. What is written to a site map comes of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.positioning.calibration import (
    CLUSTER_S,
    CLUSTER_WAY_M,
    Calibration,
    Ranges,
    calibrate_by_truth,
    directions,
)
from pipeline.positioning.joint_fit import State, solve_places
from pipeline.positioning.robust import Floats, Integers, clusters_of
from pipeline.positioning.round_table import RoundTable
from pipeline.positioning.self_calibration import calibrate_by_itself, clusters_of_rounds, model_of
from pipeline.site import Site


class Spread(NamedTuple):
    """How far ranges are from what is expected of them (m): root mean square, outliers and all, and median size."""

    rms_m: float
    median_m: float


class BeforeAfter(NamedTuple):
    """The same ranges with the biases of the map, and with those found."""

    readings: int
    before: Spread
    after: Spread


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The comparison of all ranges held out, and of each anchor's; None where there are none."""

    overall: BeforeAfter | None
    anchors: Sequence[BeforeAfter | None]


def held_out_by_truth(ranges: Ranges, places_m: Floats, anchors_m: Floats, before_m: Floats) -> HeldOut:
    """Compare *measured - true - bias* where places (n, 3) are known; ``before_m`` (a) are the map's biases."""
    clusters = clusters_of(ranges.tag, ranges.at_s, places_m, CLUSTER_S, CLUSTER_WAY_M)
    even = clusters % 2 == 0
    if even.all():
        return HeldOut(None, len(anchors_m) * [None])
    after_m = _biases(calibrate_by_truth(ranges.at(even), places_m[even], anchors_m), before_m)
    rest, places_m = ranges.at(~even), places_m[~even]
    errors_m = rest.distance_m - directions(places_m, anchors_m[rest.anchor])[0]
    return _compared(rest.anchor, errors_m - before_m[rest.anchor], errors_m - after_m[rest.anchor], before_m.size)


def held_out_by_itself(table: RoundTable, places_m: Floats, site: Site) -> HeldOut:
    """Compare how well the ranges of rounds agree, the place of each solved for by itself."""
    before_m = np.array([anchor.bias_m for anchor in site.anchors.values()])
    even = clusters_of_rounds(table, places_m) % 2 == 0
    if even.all():
        return HeldOut(None, before_m.size * [None])
    after_m = _biases(calibrate_by_itself(table.at(even), places_m[even], site), before_m)
    rest, places_m = table.at(~even), places_m[~even]
    heard = np.isfinite(rest.distance_m)
    model = model_of(site, places_m)

    def residuals(biases_m: Floats) -> Floats:
        state = solve_places(rest, model, State(biases_m, np.zeros((biases_m.size, 3)), places_m))
        distances_m, _ = directions(state.places_m[:, None, :], model.anchors_m[None, :, :])
        result: Floats = (rest.distance_m - distances_m - biases_m)[heard]
        return result

    return _compared(np.nonzero(heard)[1], residuals(before_m), residuals(after_m), before_m.size)


def _biases(calibration: Calibration, before_m: Floats) -> Floats:
    found = [np.nan if anchor.bias_m is None else anchor.bias_m for anchor in calibration.anchors]
    return np.where(np.isfinite(found), found, before_m)


def _compared(anchors: Integers, before_m: Floats, after_m: Floats, count: int) -> HeldOut:
    each = [_one(before_m[anchors == anchor], after_m[anchors == anchor]) for anchor in range(count)]
    return HeldOut(_one(before_m, after_m), each)


def _one(before_m: Floats, after_m: Floats) -> BeforeAfter | None:
    return BeforeAfter(before_m.size, _spread(before_m), _spread(after_m)) if before_m.size else None


def _spread(residuals_m: Floats) -> Spread:
    return Spread(float(np.sqrt(np.square(residuals_m).mean())), float(np.median(np.abs(residuals_m))))
