"""Stage decode: batches of Kafka records to readings, gathered by tag group, and to what was heard of anchors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.columns import Integers
from pipeline.events import Sighting
from pipeline.model import KafkaRecord, Reading, Reason
from pipeline.positioning import tag_thinning, thinning
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.site import SiteSource
from pipeline.transforms.batches import MAX_BATCH, at_earliest
from pipeline.transforms.map_reports import MAP_REPORTS, MapReporter, Reports
from pipeline.transforms.outputs import rejected, sort_out
from pipeline.transforms.sightings import SIGHTINGS, SightingBatches, heard
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import tag_group
from pipeline.transforms.tag_watch_state import columns, pack_readings
from pipeline.wire.batch_decoder import Batch, BatchDecoder, Heard, TaggedRows, all_odd, begins
from pipeline.wire.decode import Decoded, decode, refused_record
from pipeline.wire.tag_codes import tag_groups_of

READINGS = "readings"
WATCHED = "watched"
"""Readings once more, for the tag watch: what flows into a stateful stage may flow into nothing else."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Besides:
    """What the stage gives besides readings and rejections, each where somebody takes it."""

    anchors: AnchorWatchSettings | None = None
    """How the anchor watch thins its sightings; None: there is none."""
    reports: Reports | None = None
    """What says what became of the site map's file; None: it is not followed."""
    tags: TagWatchSettings | None = None
    """How the tag watch thins its readings; None: there is none."""


NOTHING_BESIDES = Besides()


class Decode(beam.PTransform):
    """``PCollection[bytes]``, packed ``KafkaRecords``, to readings, sightings of anchors and rejections.

    Gives a dict: ``readings``, ``(tag group, packed readings)``, what one batch held of a tag group being one element,
    for the shuffle costs per element; ``watched``, what the tag watch needs of them; ``sightings``,
    ``(SITE, packed sightings)``, likewise; ``map_reports``, ``(SITE, packed report)``; and ``rejected``.
    """

    def __init__(self, site: SiteSource, besides: Besides = NOTHING_BESIDES, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._besides = besides
        self._strict = strict

    def expand(self, records: beam.PCollection[bytes]) -> dict[str, beam.PCollection[Any]]:
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

    def setup(self) -> None:
        """Load the site map, and decode by it."""
        super().setup()
        self._decoder = BatchDecoder(self._site, tag_group)

    def start_bundle(self) -> None:
        """Begin with nothing; what a failed bundle left is not this one's."""
        before = self._site
        super().start_bundle()
        self._reporter.start_bundle(self._site)
        if self._site is before:
            self._decoder.make_room()
        else:
            self._decoder = BatchDecoder(self._site, tag_group)
        anchors = self._besides.anchors
        self._sightings = None if anchors is None else SightingBatches(anchors)

    def process(self, packed: bytes) -> Iterator[Any]:
        """Decode the records of a batch; its readings leave at once, the sightings with the bundle."""
        yield from self._reporter.due()
        batch = self._batch(packed)
        self._metrics.add("in", batch.size)
        readings: list[tuple[int, Reading]] = []
        sightings: list[Sighting] = []
        for number, record in batch.odd:
            decoded = self._decoded(record)
            self._metrics.add("time_replaced", decoded.time_replaced)
            for refusal in decoded.rejected:
                self._metrics.rejected(refusal.reason)
                yield rejected(refusal)
            readings.extend((number, reading) for reading in decoded.readings)
            if decoded.sighting is not None:
                sightings.append(decoded.sighting)
        self._metrics.add("out", len(batch.record) + len(readings))
        yield from self._given(self._decoder.by_tag(batch, readings))
        if self._sightings is not None and self._besides.anchors is not None:
            sightings += self._heard(batch.heard, self._besides.anchors)
            yield from heard(self._sightings.add_all(sightings))

    def _batch(self, packed: bytes) -> Batch:
        try:
            return self._decoder.decode(packed)
        except Exception:
            if self._strict:
                raise
            _LOG.exception("a batch could not be decoded as a whole; its records are, one by one")
            self._metrics.internal_error()
            return all_odd(packed)

    def _decoded(self, record: KafkaRecord) -> Decoded:
        """Return what a record by itself holds."""
        try:
            return decode(record, self._site)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("record %d of partition %d could not be decoded", record.offset, record.partition)
            self._metrics.internal_error()
            refusal = refused_record(record, Reason.INTERNAL_ERROR, repr(error))
            return Decoded([], [refusal], time_replaced=False, sighting=None)

    def _given(self, readings: TaggedRows) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput]:
        """Return readings of a batch as they leave, by tag group: for the grouping, and for the tag watch."""
        keys, rows = readings
        came_us = rows["kafka_time_us"]
        decoder, tags = self._decoder, self._besides.tags
        if tags is not None:
            watched = columns(readings)
            needed = tag_thinning.needed(watched, tags)
            watched = watched.at(needed)
        for first, end in _parts(keys):
            part = TaggedRows(keys[first:end], rows[first:end])
            earliest_us, group = int(came_us[first:end].min()), int(tag_groups_of(keys[first]))
            yield at_earliest((group, decoder.pack(part)), earliest_us)
            if tags is None:
                continue
            some = slice(*needed.searchsorted((first, end)).tolist())
            if some.start < some.stop:
                given = watched.at(some)
                packed = pack_readings(decoder.runs(given.tag), decoder.anchors, given)
                yield beam.pvalue.TaggedOutput(WATCHED, at_earliest((group, packed), earliest_us))

    def _heard(self, found: Heard, settings: AnchorWatchSettings) -> Iterator[Sighting]:
        anchor, kafka_time_us, stamped_us = found
        for one in thinning.needed(anchor, kafka_time_us, stamped_us, settings):
            yield Sighting(self._decoder.anchors[anchor[one]], int(kafka_time_us[one]), int(stamped_us[one]))

    def finish_bundle(self) -> Iterator[beam.pvalue.TaggedOutput]:
        """Send on what the bundle heard of anchors."""
        super().finish_bundle()
        if self._sightings is not None:
            yield from heard(self._sightings.rest())


def _parts(keys: Integers) -> list[tuple[int, int]]:
    """Return where what leaves together begins and ends: readings of one tag group, and not too many."""
    bounds = [*begins(tag_groups_of(keys)).tolist(), len(keys)]
    return [
        (first, min(first + MAX_BATCH, end))
        for begin, end in pairwise(bounds)
        for first in range(begin, end, MAX_BATCH)
    ]
