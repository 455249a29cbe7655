"""Stage decode: Kafka records to readings, gathered by tag group."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.model import KafkaRecord, Reading, Reason, Stage
from pipeline.site import SiteSource
from pipeline.transforms.counters import Counters
from pipeline.transforms.outputs import rejected, sort_out
from pipeline.transforms.tag_groups import tag_group
from pipeline.wire.decode import Decoded, decode, refused_record
from pipeline.wire.readings import pack

READINGS = "readings"
MAX_BATCH = 1000
"""Readings of one tag group that leave together at the most: bundles can be huge."""

_LOG = logging.getLogger(__name__)


class Decode(beam.PTransform):
    """``PCollection[KafkaRecord]`` to readings and rejections.

    Gives a dict: ``readings``, ``(tag group, packed readings)``, what one bundle held of a tag group being one element,
    for the shuffle costs per element; and ``rejected``.
    """

    def __init__(self, site: SiteSource, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._strict = strict

    def expand(self, records: beam.PCollection[KafkaRecord]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(records, "Decode", DecodeFn(self._site, strict=self._strict), READINGS, tuple[int, bytes])


class DecodeFn(beam.DoFn):
    """See :class:`Decode`."""

    def __init__(self, site: SiteSource, *, strict: bool) -> None:
        super().__init__()
        self._site_source = site
        self._strict = strict
        self._counters = Counters(Stage.DECODE)
        self._batches: dict[int, list[Reading]] = {}

    def setup(self) -> None:
        """Load the site map."""
        self._site = self._site_source()

    def start_bundle(self) -> None:
        """Begin with no readings; what a failed bundle left is not this one's."""
        self._batches = {}

    def process(self, record: KafkaRecord) -> Iterator[Any]:
        """Decode one record; its readings leave with the bundle."""
        self._counters.add("records")
        try:
            decoded = decode(record, self._site)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("record %d of partition %d could not be decoded", record.offset, record.partition)
            self._counters.rejected(Reason.INTERNAL_ERROR.value)
            yield rejected(refused_record(record, Reason.INTERNAL_ERROR, repr(error)))
        else:
            yield from self._sorted_out(decoded)

    def _sorted_out(self, decoded: Decoded) -> Iterator[Any]:
        self._counters.add("readings", len(decoded.readings))
        self._counters.add("time_replaced", int(decoded.time_replaced))
        for refusal in decoded.rejected:
            self._counters.rejected(refusal.reason)
            yield rejected(refusal)
        for reading in decoded.readings:
            number = tag_group(reading.tag)
            batch = self._batches.setdefault(number, [])
            batch.append(reading)
            if len(batch) >= MAX_BATCH:
                yield _batch(number, self._batches.pop(number))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Send on what the bundle held."""
        for number, readings in self._batches.items():
            yield _batch(number, readings)
        self._batches = {}


def _batch(tag_group_number: int, readings: list[Reading]) -> WindowedValue:
    earliest_us = min(reading.kafka_time_us for reading in readings)
    return WindowedValue(
        (tag_group_number, pack(readings).SerializeToString()),
        Timestamp(micros=earliest_us),
        (GlobalWindow(),),
    )
