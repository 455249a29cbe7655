"""Stage trilaterate: groups to groups with their fixes, or with the reason why there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from pipeline.model import Group, Reason, Solved
from pipeline.positioning.solve_all import Solver
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.warm_up import warm_up_solver
from pipeline.site import SiteSource
from pipeline.transforms.metric_names import SOLVE_US
from pipeline.transforms.site_fn import SiteFn

_LOG = logging.getLogger(__name__)


class Trilaterate(beam.PTransform):
    """``PCollection[list[Group]]`` to ``PCollection[list[Solved]]``.

    What becomes of a group without a fix is the next stage's.
    """

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._settings = settings
        self._strict = strict

    def expand(self, groups: beam.PCollection[list[Group]]) -> beam.PCollection[list[Solved]]:
        """Apply the stage."""
        solving = TrilaterateFn(self._site, self._settings, strict=self._strict)
        return groups | "Trilaterate" >> beam.ParDo(solving).with_output_types(Iterable[Solved])


class TrilaterateFn(SiteFn):
    """See :class:`Trilaterate`."""

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool) -> None:
        super().__init__("trilaterate", site)
        self._settings = settings
        self._strict = strict

    def setup(self) -> None:
        """Load the site map and the compiled solver."""
        super().setup()
        self._solver = Solver(self._site, self._settings)
        warm_up_solver()

    def start_bundle(self) -> None:
        """Solve by the site map in force."""
        super().start_bundle()
        if self._site is not self._solver.site:
            self._solver = Solver(self._site, self._settings)

    def process(self, groups: Sequence[Group]) -> Iterator[list[Solved]]:
        """Solve groups."""
        yield self.take(groups)

    def take(self, groups: Sequence[Group]) -> list[Solved]:
        """Solve groups, the more at once the cheaper; what comes of one does not depend on the others."""
        if not groups:
            return []
        began_ns = time.perf_counter_ns()
        solved = self._solved(groups)
        took_us = (time.perf_counter_ns() - began_ns) / 1000
        self._metrics.add("in", len(groups))
        self._metrics.observe(SOLVE_US, round(took_us / len(groups)), len(groups))
        unplaced = [one for one in solved if one.fix is None]
        self._metrics.add("out", len(solved) - len(unplaced))
        for one in unplaced:
            self._metrics.add(f"no_fix.{one.reason}")
        return solved

    def _solved(self, groups: Sequence[Group]) -> list[Solved]:
        try:
            return self._solver.solve_all(groups)
        except Exception as error:
            if self._strict:
                raise
            if len(groups) == 1:
                return [self._failed(groups[0], error)]
        # Which of them it is, is found one by one.
        return [solved for group in groups for solved in self._solved([group])]

    def _failed(self, group: Group, error: Exception) -> Solved:
        _LOG.exception("a group of tag %s could not be solved", group.tag)
        self._metrics.internal_error()
        return Solved(group.tag, group.readings, None, Reason.INTERNAL_ERROR.value, repr(error))
