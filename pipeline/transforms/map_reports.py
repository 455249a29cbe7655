"""What a worker says of the site map's file, told by the stages that records come in through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import apache_beam as beam

from pipeline.map_changes import MapReport
from pipeline.site import Site
from pipeline.transforms.metrics import set_gauge
from pipeline.transforms.sightings import SITE
from pipeline.wire.map_reports import pack_report

MAP_REPORTS = "map_reports"
_AGAIN_S = 10.0
"""A report is given once more after this time: the bundle that it was given with may have failed."""

Reports = Callable[[], MapReport]
"""Returns what became of the map's file last."""


class MapReporter:
    """Says once a change, and every few seconds, what became of the map's file. For one DoFn."""

    def __init__(self, reports: Reports | None) -> None:
        self._reports = reports
        self._told: MapReport | None = None
        self._told_s = 0.0
        self._due: MapReport | None = None

    def start_bundle(self, site: Site) -> None:
        """See whether there is something to say, and tell Beam which map is in force."""
        if self._reports is None:
            return
        report, now_s = self._reports(), time.monotonic()
        if report is not self._told or now_s - self._told_s > _AGAIN_S:
            self._due, self._told, self._told_s = report, report, now_s
            set_gauge("site.map_version", int(site.version or "0", 16))
            set_gauge("site.map_anchors", len(site.anchors))
            if report.fault is None:
                set_gauge("site.map_changed_at_s", report.seen_at_us // 1_000_000)

    def due(self) -> Iterator[beam.pvalue.TaggedOutput]:
        """Say it, beside a DoFn's main output and with the time of the element at hand."""
        if self._due is not None:
            yield beam.pvalue.TaggedOutput(MAP_REPORTS, (SITE, pack_report(self._due)))
            self._due = None
