"""Readings of a log as a table of rounds: one row a blink of a tag, one column an anchor."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from pipeline.positioning.calibration import Ranges
from pipeline.positioning.robust import Floats, Integers, Rows
from pipeline.positioning.trilateration import SolverSettings, UnsolvableError, trilaterate
from pipeline.site import Site

MAX_ROUND_S = 0.25
_SETTINGS = SolverSettings(bias_sigma_m=0.3, max_residual_m=10.0, max_gdop=10.0)
"""Anchors before calibration: large residuals are what is looked for; bad geometry says nothing of them."""


class RoundTable(NamedTuple):
    """Rounds in order of time: when they begin (s) and number of the tag (r); ranges (r, a), nan for none (m)."""

    at_s: Floats
    tag: Integers
    distance_m: Floats

    def at(self, rows: Rows) -> RoundTable:
        """Return some of the rows, by mask or numbers."""
        return RoundTable(self.at_s[rows], self.tag[rows], self.distance_m[rows])


def gather(ranges: Ranges, anchors: int, min_ranges: int) -> RoundTable:
    """Return the rounds with at least so many ranges.

    A round ends when an anchor reports again, or 0.25 s after its first reading: a walking tag is then still within the
    error of a range.
    """
    starts: list[float] = []
    tags: list[int] = []
    cells: list[tuple[int, int]] = []
    current: dict[int, tuple[int, float, set[int]]] = {}
    for at_s, tag, anchor in zip(ranges.at_s.tolist(), ranges.tag.tolist(), ranges.anchor.tolist(), strict=True):
        a_round = current.get(tag)
        if a_round is None or at_s - a_round[1] > MAX_ROUND_S or anchor in a_round[2]:
            a_round = current[tag] = (len(starts), at_s, set())
            starts.append(at_s)
            tags.append(tag)
        a_round[2].add(anchor)
        cells.append((a_round[0], anchor))
    distance_m = np.full((len(starts), anchors), np.nan)
    if cells:
        rows, columns = np.array(cells).T
        distance_m[rows, columns] = ranges.distance_m
    table = RoundTable(np.array(starts), np.array(tags, dtype=np.int64), distance_m)
    return table.at(np.isfinite(distance_m).sum(axis=1) >= min_ranges)


def thinned(table: RoundTable, most: int) -> RoundTable:
    """Return at most so many rounds, spread evenly over the log; the same log gives the same rounds."""
    count = table.at_s.size
    return table if count <= most else table.at(np.unique(np.linspace(0, count - 1, most).round().astype(np.int64)))


def first_places(table: RoundTable, site: Site) -> Floats:
    """Return where each round by itself puts the tag (r, 3), with all ranges in the order of the site's anchors.

    A place is nan where a round has none, or a bad one; its z is nan where neither map nor ranges tell it. How well the
    map knows its biases is not believed here.
    """
    anchors = [dataclasses.replace(anchor, bias_sigma_m=None) for anchor in site.anchors.values()]
    places_m = np.full((table.at_s.size, 3), np.nan)
    for index, row in enumerate(table.distance_m):
        heard = np.flatnonzero(np.isfinite(row)).tolist()
        try:
            solution = trilaterate(
                [anchors[anchor] for anchor in heard],
                [float(row[anchor]) for anchor in heard],
                site.tag_height_m,
                _SETTINGS,
                site.tag_height_range_m,
            )
        except UnsolvableError:
            continue
        places_m[index] = solution.x_m, solution.y_m, math.nan if solution.z_m is None else solution.z_m
    return places_m
