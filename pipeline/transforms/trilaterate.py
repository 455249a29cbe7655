"""Stage trilaterate: groups to fixes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipeline.model import Fix, Group, Reason, Rejected, Stage
from pipeline.positioning.fix_id import fix_id
from pipeline.positioning.trilateration import SolverSettings, UnsolvableError, trilaterate
from pipeline.site import SiteSource
from pipeline.transforms.counters import Counters
from pipeline.transforms.outputs import rejected, sort_out

FIXES = "fixes"

_LOG = logging.getLogger(__name__)


class Trilaterate(beam.PTransform):
    """``PCollection[Group]`` to a dict of ``fixes`` and ``rejected``: every reading of a group that has no answer."""

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._settings = settings
        self._strict = strict

    def expand(self, groups: beam.PCollection[Group]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(
            groups, "Trilaterate", TrilaterateFn(self._site, self._settings, strict=self._strict), FIXES, Fix
        )


class TrilaterateFn(beam.DoFn):
    """See :class:`Trilaterate`."""

    def __init__(self, site: SiteSource, settings: SolverSettings, *, strict: bool) -> None:
        super().__init__()
        self._site_source = site
        self._settings = settings
        self._strict = strict
        self._counters = Counters(Stage.TRILATERATE)

    def setup(self) -> None:
        """Load the site map."""
        self._site = self._site_source()

    def process(self, group: Group) -> Iterator[Any]:
        """Solve one group."""
        try:
            fix = self._solve(group)
        except UnsolvableError as unsolvable:
            yield from self._rejections(group, unsolvable.reason, unsolvable.detail)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("a group of tag %s could not be solved", group.tag)
            yield from self._rejections(group, Reason.INTERNAL_ERROR, repr(error))
        else:
            self._counters.add("fixes")
            yield fix

    def _solve(self, group: Group) -> Fix:
        solution = trilaterate(
            [self._site.anchors[reading.anchor] for reading in group.readings],
            [reading.distance_m for reading in group.readings],
            self._site.tag_height_m,
            self._settings,
        )
        return Fix(fix_id(group.readings), group.tag, **solution._asdict(), readings=group.readings)

    def _rejections(self, group: Group, reason: Reason, detail: str) -> Iterator[beam.pvalue.TaggedOutput]:
        for reading in group.readings:
            self._counters.rejected(reason.value)
            yield rejected(Rejected.of(reading, reason, Stage.TRILATERATE, detail))
