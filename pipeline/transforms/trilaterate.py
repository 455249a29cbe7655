"""Stage trilaterate: groups to groups with their fixes, or with the reason why there is none."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import apache_beam as beam

from pipeline.model import Group, Reason, Solved, Stage
from pipeline.positioning.solve import solve_known
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.warm_up import warm_up_solver
from pipeline.site import SiteSource
from pipeline.transforms.counters import Counters

_LOG = logging.getLogger(__name__)


class Trilaterate(beam.PTransform):
    """``PCollection[Group]`` to ``PCollection[Solved]``. What becomes of a group without a fix is the next stage's."""

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._settings = settings
        self._strict = strict

    def expand(self, groups: beam.PCollection[Group]) -> beam.PCollection[Solved]:
        """Apply the stage."""
        solving = TrilaterateFn(self._site, self._settings, strict=self._strict)
        return groups | "Trilaterate" >> beam.ParDo(solving).with_output_types(Solved)


class TrilaterateFn(beam.DoFn):
    """See :class:`Trilaterate`."""

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool) -> None:
        super().__init__()
        self._site_source = site
        self._settings = settings
        self._strict = strict
        self._counters = Counters(Stage.TRILATERATE)

    def setup(self) -> None:
        """Load the site map and the compiled solver."""
        self._site_source()
        warm_up_solver()

    def start_bundle(self) -> None:
        """Take the site map in force for all of the bundle."""
        self._site = self._site_source()

    def process(self, group: Group) -> Iterator[Solved]:
        """Solve one group."""
        try:
            solved = solve_known(group, self._site, self._settings)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("a group of tag %s could not be solved", group.tag)
            solved = [Solved(group.tag, group.readings, None, Reason.INTERNAL_ERROR.value, repr(error))]
        for one in solved:
            self._counters.add("fixes" if one.fix else f"no_fix.{one.reason}")
            yield one
