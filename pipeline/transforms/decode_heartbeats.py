"""Stage decode heartbeats: records in which anchors tell that they live to sightings of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.events import Sighting
from pipeline.model import KafkaRecord, Reason, Rejected
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.site import SiteSource
from pipeline.transforms.map_reports import MAP_REPORTS, MapReporter, Reports
from pipeline.transforms.outputs import rejected, sort_out
from pipeline.transforms.sightings import SIGHTINGS, SightingBatches
from pipeline.transforms.site_fn import SiteFn
from pipeline.wire.decode import decode_heartbeat, refused_record
from pipeline.wire.kafka_records import unpack_records

_LOG = logging.getLogger(__name__)


class DecodeHeartbeats(beam.PTransform):
    """``PCollection[bytes]`` to a dict of ``sightings``, ``map_reports`` and ``rejected``, all as in decode."""

    def __init__(
        self, site: SiteSource, watch: AnchorWatchSettings, reports: Reports | None = None, *, strict: bool = False
    ) -> None:
        super().__init__()
        self._site = site
        self._watch = watch
        self._reports = reports
        self._strict = strict

    def expand(self, records: beam.PCollection[bytes]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        decoding = DecodeHeartbeatsFn(self._site, self._watch, MapReporter(self._reports), strict=self._strict)
        others = {MAP_REPORTS: tuple[str, bytes]}
        return sort_out(records, "Decode", decoding, SIGHTINGS, tuple[str, bytes], others=others)


class DecodeHeartbeatsFn(SiteFn):
    """See :class:`DecodeHeartbeats`."""

    def __init__(self, site: SiteSource, watch: AnchorWatchSettings, reporter: MapReporter, *, strict: bool) -> None:
        super().__init__("decode_heartbeats", site)
        self._watch = watch
        self._reporter = reporter
        self._strict = strict

    def start_bundle(self) -> None:
        """Begin with nothing; what a failed bundle left is not this one's."""
        super().start_bundle()
        self._reporter.start_bundle(self._site)
        self._sightings = SightingBatches(self._watch)

    def process(self, packed: bytes) -> Iterator[Any]:
        """Decode the records of a batch; what they say leaves with the bundle."""
        yield from self._reporter.due()
        for record in unpack_records(packed):
            self._metrics.add("in")
            found = self._decoded(record)
            if isinstance(found, Rejected):
                self._metrics.rejected(found.reason)
                yield rejected(found)
            else:
                self._metrics.add("out")
                yield from self._sightings.add(found)

    def _decoded(self, record: KafkaRecord) -> Sighting | Rejected:
        try:
            return decode_heartbeat(record, self._site)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("heartbeat %d of partition %d could not be decoded", record.offset, record.partition)
            self._metrics.internal_error()
            return refused_record(record, Reason.INTERNAL_ERROR, repr(error))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Send on what the bundle held."""
        super().finish_bundle()
        yield from self._sightings.rest()
