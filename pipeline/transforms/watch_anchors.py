"""Stage watch anchors: what was heard of a site's anchors to events. Stateful, one key a site."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.events import Event
from pipeline.positioning.anchor_watch import AnchorWatch, AnchorWatchSettings
from pipeline.site import SiteSource
from pipeline.transforms import anchor_watch_state
from pipeline.transforms.bytes_bag import BytesBag, read_whole, write_whole
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import Timer, timer_at
from pipeline.wire.sightings import unpack_sightings

_LOG = logging.getLogger(__name__)


class WatchAnchors(beam.PTransform):
    """``PCollection[(SITE, packed sightings)]`` to ``PCollection[Event]``."""

    def __init__(self, site: SiteSource, settings: AnchorWatchSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._site = site
        self._settings = settings
        self._strict = strict

    def expand(self, sightings: beam.PCollection[tuple[str, bytes]]) -> beam.PCollection[Event]:
        """Apply the stage."""
        watching = WatchAnchorsFn(self._site, self._settings, strict=self._strict)
        return sightings | "Watch" >> beam.ParDo(watching).with_output_types(Event)


class WatchAnchorsFn(SiteFn):
    """See :class:`WatchAnchors`. One timer, at what is due next, in Kafka time; it alone tells anything."""

    ANCHORS = BagStateSpec("anchors", BytesCoder())
    WATCH = TimerSpec("watch", TimeDomain.WATERMARK)
    """No other stage's timer has this name: the FnApiRunner takes timers of one name for one, and loses some."""

    def __init__(self, site: SiteSource, settings: AnchorWatchSettings, *, strict: bool) -> None:
        super().__init__("watch_anchors", site)
        self._settings = settings
        self._strict = strict

    def process(
        self,
        element: tuple[str, bytes],
        bag: BytesBag = beam.DoFn.StateParam(ANCHORS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(WATCH),  # noqa: B008
    ) -> None:
        """Take what a bundle heard in. Nothing is told before the watermark has come to it."""
        watch = _read(bag)
        try:
            for sighting in unpack_sightings(element[1]):
                self._metrics.add("in")
                watch.add(sighting, self._site, self._settings)
        except Exception:
            if self._strict:
                raise
            self._stumbled()  # it costs what the bundle heard: the next will hear the same anchors
            return
        self._write(watch, bag, timer)

    @on_timer(WATCH)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: BytesBag = beam.DoFn.StateParam(ANCHORS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(WATCH),  # noqa: B008
    ) -> Iterator[Event]:
        """Tell what is due. A timer is a hint: it may come late, twice, or when there is nothing to do."""
        watch = _read(bag)
        if not watch.start_us:
            return
        try:
            events = watch.advance(now.micros, self._site, self._settings)
        except Exception:
            if self._strict:
                raise
            self._stumbled()  # the watch begins anew with the next record: else it would stumble here for ever
            bag.clear()
            timer.clear()
            return
        yield from self._metrics.told(events)
        self._write(watch, bag, timer)

    def _stumbled(self) -> None:
        """Tell of an unexpected error."""
        _LOG.exception("the anchors of site %s could not be watched", self._site.name)
        self._metrics.internal_error()

    def _write(self, watch: AnchorWatch, bag: BytesBag, timer: Timer) -> None:
        write_whole(bag, anchor_watch_state.to_bytes(watch))
        due_us = watch.due_us(self._settings)
        if due_us is None:
            timer.clear()
        else:
            timer.set(timer_at(due_us))


def _read(bag: BytesBag) -> AnchorWatch:
    return anchor_watch_state.from_bytes(read_whole(bag))
