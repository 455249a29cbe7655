"""Stages encode locations and encode fence events: positions and events to what an omlox hub takes.

Here, at the edge of the pipeline, and nowhere else a wall clock gets into what is sent: ``timestamp_sent`` is the time
of output. Who encodes a position once more, after a crash, tells a later time; all else comes out alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from pipeline.events import Event
from pipeline.model import Position
from pipeline.site import SiteSource
from pipeline.transforms.clock import Clock, wall_clock_us
from pipeline.transforms.site_fn import SiteFn
from pipeline.wire.kafka_records import Produced, pack_produced
from pipeline.wire.omlox import encode_fence_event, encode_location

Encode = Callable[[Any, str], Produced | None]

_LOG = logging.getLogger(__name__)


def locations_at(clock: Clock) -> Encode:
    """Return what encodes a position for a site, sent at the clock's time."""
    return lambda position, site: encode_location(position, site, clock())


class EncodeLocations(beam.PTransform):
    """``PCollection[list[Position]]`` to packed records, of tag ids and omlox Locations.

    One that cannot be encoded is counted and logged, with ``strict`` it stops the bundle; ``out_data`` has it, too.
    """

    def __init__(self, site: SiteSource, *, clock: Clock = wall_clock_us, strict: bool = False) -> None:
        super().__init__()
        self._fn = EncodeOmloxFn("encode_locations", site, locations_at(clock), strict=strict)

    def expand(self, positions: beam.PCollection[list[Position]]) -> beam.PCollection[bytes]:
        """Apply the stage."""
        each = positions | "Each" >> beam.FlatMap(list).with_output_types(Position)
        return each | "Encode" >> beam.ParDo(self._fn).with_output_types(bytes)


class EncodeFenceEvents(beam.PTransform):
    """``PCollection[Event]`` to packed records, of tag ids and omlox FenceEvents; other events are passed over."""

    def __init__(self, site: SiteSource, *, strict: bool = False) -> None:
        super().__init__()
        self._fn = EncodeOmloxFn("encode_fence_events", site, encode_fence_event, strict=strict)

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[bytes]:
        """Apply the stage."""
        return events | "Encode" >> beam.ParDo(self._fn).with_output_types(bytes)


class EncodeOmloxFn(SiteFn):
    """See :class:`EncodeLocations` and :class:`EncodeFenceEvents`."""

    def __init__(self, stage: str, site: SiteSource, encode: Encode, *, strict: bool) -> None:
        super().__init__(stage, site)
        self._encode = encode
        self._strict = strict

    def process(self, told: Position | Event) -> Iterator[bytes]:
        """Encode one position or event."""
        self._metrics.add("in")
        try:
            encoded = self._encode(told, self._site.name)
        except Exception:
            if self._strict:
                raise
            _LOG.exception("%s of tag %s could not be encoded for omlox", type(told).__name__, told.tag)
            self._metrics.internal_error()
            return
        if encoded is not None:
            self._metrics.add("out")
            yield pack_produced([encoded])
