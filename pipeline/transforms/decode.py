"""Stage decode: Kafka records to readings, gathered by tag group, and to what was heard of anchors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from pipeline.model import KafkaRecord, Reading, Reason
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.site import SiteSource
from pipeline.transforms.batches import Batched, Batches
from pipeline.transforms.map_reports import MAP_REPORTS, MapReporter, Reports
from pipeline.transforms.outputs import rejected, sort_out
from pipeline.transforms.sightings import SIGHTINGS, SightingBatches, heard
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import tag_group
from pipeline.wire.decode import Decoded, decode, refused_record
from pipeline.wire.readings import pack

READINGS = "readings"
WATCHED = "watched"
"""The readings once more, for the tag watch: what flows into a stateful stage may flow into nothing else."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Besides:
    """What the stage gives besides readings and rejections, each where somebody takes it."""

    anchors: AnchorWatchSettings | None = None
    """How the anchor watch thins its sightings; None: there is none."""
    reports: Reports | None = None
    """What says what became of the site map's file; None: it is not followed."""
    tags: bool = False
    """Whether there is a tag watch."""


NOTHING_BESIDES = Besides()


class Decode(beam.PTransform):
    """``PCollection[KafkaRecord]`` to readings, sightings of anchors and rejections.

    Gives a dict: ``readings``, ``(tag group, packed readings)``, what one bundle held of a tag group being one element,
    for the shuffle costs per element; ``watched``, the same once more, for the tag watch; ``sightings``,
    ``(SITE, packed sightings)``, likewise; ``map_reports``, ``(SITE, packed report)``; and ``rejected``.
    """

    def __init__(self, site: SiteSource, besides: Besides = NOTHING_BESIDES, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._besides = besides
        self._strict = strict

    def expand(self, records: beam.PCollection[KafkaRecord]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        decoding = DecodeFn(self._site, self._besides, strict=self._strict)
        others = {WATCHED: tuple[int, bytes], SIGHTINGS: tuple[str, bytes], MAP_REPORTS: tuple[str, bytes]}
        return sort_out(records, "Decode", decoding, READINGS, tuple[int, bytes], others=others)


class DecodeFn(SiteFn):
    """See :class:`Decode`."""

    def __init__(self, site: SiteSource, besides: Besides, *, strict: bool) -> None:
        super().__init__("decode", site)
        self._besides = besides
        self._reporter = MapReporter(besides.reports)
        self._strict = strict

    def start_bundle(self) -> None:
        """Begin with nothing; what a failed bundle left is not this one's."""
        super().start_bundle()
        self._reporter.start_bundle(self._site)
        self._batches = Batches[Reading](_packed)
        anchors = self._besides.anchors
        self._sightings = None if anchors is None else SightingBatches(anchors)

    def process(self, record: KafkaRecord) -> Iterator[Any]:
        """Decode one record; its readings leave with the bundle."""
        self._metrics.add("in")
        yield from self._reporter.due()
        try:
            decoded = decode(record, self._site)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("record %d of partition %d could not be decoded", record.offset, record.partition)
            self._metrics.internal_error()
            self._metrics.rejected(Reason.INTERNAL_ERROR.value)
            yield rejected(refused_record(record, Reason.INTERNAL_ERROR, repr(error)))
        else:
            yield from self._sorted_out(decoded)

    def _sorted_out(self, decoded: Decoded) -> Iterator[Any]:
        self._metrics.add("out", len(decoded.readings))
        if decoded.time_replaced:
            self._metrics.add("time_replaced")
        for refusal in decoded.rejected:
            self._metrics.rejected(refusal.reason)
            yield rejected(refusal)
        for reading in decoded.readings:
            full = self._batches.add(tag_group(reading.tag), reading, reading.kafka_time_us)
            if full is not None:
                yield from self._given([full])
        if self._sightings is not None and decoded.sighting is not None:
            yield from heard(self._sightings.add(decoded.sighting))

    def finish_bundle(self) -> Iterator[Batched | beam.pvalue.TaggedOutput]:
        """Send on what the bundle held."""
        super().finish_bundle()
        yield from self._given(self._batches.rest())
        if self._sightings is not None:
            yield from heard(self._sightings.rest())

    def _given(self, batches: Iterable[Batched]) -> Iterator[Batched | beam.pvalue.TaggedOutput]:
        """Return batches as they leave: for the grouping, and for the tag watch where there is one."""
        for batch in batches:
            yield batch
            if self._besides.tags:
                yield beam.pvalue.TaggedOutput(WATCHED, batch)


def _packed(readings: list[Reading]) -> bytes:
    return pack(readings).SerializeToString()
