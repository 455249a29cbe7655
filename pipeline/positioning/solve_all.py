"""From many groups to their fixes at once, in one compiled call.

To hand one group to the compiled solver and to take its answer back costs Python several times what solving costs. So
all groups at hand go there together, as flat arrays. What is out of the ordinary is left to
:mod:`pipeline.positioning.solve`, which says of one group what is to come of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from pipeline.model import Fix, Group, Reading, Solved
from pipeline.positioning.outliers import Choice
from pipeline.positioning.solve import solve_known
from pipeline.positioning.solver import NO_RANGES, SOLVED, answer_all
from pipeline.positioning.trilateration import SolverSettings, measurements, why_not
from pipeline.site import Site

_OUT_OF_THE_ORDINARY = -1
"""The row of an anchor that has none: it is not on the map, or tells no height where that is solved for."""


class Solver:
    """Solves groups by one site map, of which the compiled solver's table of anchors is made once."""

    def __init__(self, site: Site, settings: SolverSettings) -> None:
        self.site = site
        self._settings = settings
        heights_m = site.tag_height_range_m if site.tag_height_m is None else None
        self._solves_z = heights_m is not None
        anchors = {id_: one for id_, one in site.anchors.items() if one.z_m is not None or not self._solves_z}
        self._rows = {id_: row for row, id_ in enumerate(anchors)}
        self._table = measurements(anchors.values(), site.tag_height_m, settings.bias_sigma_m, solve_z=self._solves_z)
        lowest_z, highest_z = heights_m or (0.0, 0.0)
        demands = lowest_z, highest_z, settings.range_sigma_m, settings.max_residual_m, settings.max_gdop
        self._demands = tuple(map(float, demands))

    def solve_all(self, groups: Sequence[Group]) -> list[Solved]:
        """Return what :func:`pipeline.positioning.solve.solve_known` returns for each group, one after the other.

        Raises:
            ValueError: a group's readings are no ranges to different anchors; see
                :func:`pipeline.positioning.trilateration.trilaterate`.
        """
        rows, readings = self._rows, [reading for group in groups for reading in group.readings]
        ends = list(accumulate(len(group.readings) for group in groups))
        found, kept = answer_all(
            self._table,
            np.array([rows.get(reading.anchor, _OUT_OF_THE_ORDINARY) for reading in readings], np.int64),
            np.array([reading.distance_m for reading in readings], np.float64),
            np.array(ends, np.int64),
            *self._demands,
        )
        solved: list[Solved] = []
        for group, end, (verdict, value, beside, *figures, bad) in zip(groups, ends, found.tolist(), strict=True):
            if verdict == SOLVED:
                refused = _refused(group.readings, kept[end - len(group.readings) : end]) if bad else []
                solved.append(Solved(group.tag, group.readings, self._fix(figures, refused), None, None))
            elif verdict == NO_RANGES:
                solved += solve_known(group, self.site, self._settings)
            else:
                reason, detail = why_not(verdict, value, beside, self._settings)
                solved.append(Solved(group.tag, group.readings, None, reason.value, detail))
        return solved

    def _fix(self, figures: Sequence[float], refused: list[str]) -> Fix:
        x_m, y_m, z_m, xx_m2, xy_m2, yy_m2, zz_m2, residual_m, gdop = figures
        version, height_m = self.site.version, z_m if self._solves_z else self.site.tag_height_m
        if math.isnan(xx_m2):
            return Fix(x_m, y_m, height_m, None, None, None, None, None, gdop, refused, version)
        var_zz_m2 = zz_m2 if self._solves_z else None
        return Fix(x_m, y_m, height_m, xx_m2, xy_m2, yy_m2, var_zz_m2, residual_m, gdop, refused, version)


def _refused(readings: Sequence[Reading], kept: Choice) -> list[str]:
    return [reading.anchor for reading, is_kept in zip(readings, kept.tolist(), strict=True) if not is_kept]
