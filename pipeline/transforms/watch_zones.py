"""Stage watch zones: positions to entries and exits of zones. Stateful, keyed by tag group."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.events import Event
from pipeline.model import Position
from pipeline.positioning.zone_watch import ZonePlan, ZoneWatch, ZoneWatchSettings
from pipeline.site import SiteSource
from pipeline.transforms import zone_state
from pipeline.transforms.batches import Batched, Batches
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import Bag, TagStates, by_tag, tag_group, tag_states_spec
from pipeline.wire.whereabouts import pack_whereabouts, unpack_whereabouts, whereabouts
from pipeline.zones import Whereabouts

_LOG = logging.getLogger(__name__)


class WatchZones(beam.PTransform):
    """``PCollection[list[Position]]`` to ``PCollection[Event]``.

    With ``bounded`` no timer is set, for a runner of bounded input fires the timers of a stage before the stage has its
    last input: an exit still waited for at the end of the input is then not told.
    """

    def __init__(
        self, site: SiteSource, settings: ZoneWatchSettings, *, bounded: bool = False, strict: bool = False
    ) -> None:
        super().__init__()
        self._site = site
        self._settings = settings
        self._bounded = bounded
        self._strict = strict

    def expand(self, positions: beam.PCollection[list[Position]]) -> beam.PCollection[Event]:
        """Apply the stage."""
        watching = WatchZonesFn(self._site, self._settings, bounded=self._bounded, strict=self._strict)
        return (
            positions
            | "Gather" >> beam.ParDo(GatherFn(self._site)).with_output_types(tuple[int, bytes])
            | "Watch" >> beam.ParDo(watching).with_output_types(Event)
        )


class GatherFn(beam.DoFn):
    """Gather what one bundle holds of a tag group into one element; nothing as long as the map has no zones."""

    def __init__(self, site: SiteSource) -> None:
        super().__init__()
        self._site_source = site

    def start_bundle(self) -> None:
        """Begin with no places; what a failed bundle left is not this one's."""
        self._has_zones = bool(self._site_source().zones)
        self._batches = Batches[Whereabouts](pack_whereabouts)

    def process(self, positions: Iterable[Position]) -> Iterator[Batched]:
        """Take positions in; they leave with the bundle."""
        for position in positions if self._has_zones else ():
            where = whereabouts(position)
            full = self._batches.add(tag_group(where.tag), where, where.kafka_time_us)
            if full is not None:
                yield full

    def finish_bundle(self) -> Iterator[Batched]:
        """Send on what the bundle held."""
        yield from self._batches.rest()


class WatchZonesFn(SiteFn):
    """See :class:`WatchZones`. One timer a tag group, at whatever of its tags is due next, in Kafka time."""

    STAYS = tag_states_spec("stays")
    ZONES = TimerSpec("zones", TimeDomain.WATERMARK)
    """No other stage's timer has this name: the FnApiRunner takes timers of one name for one, and loses some."""

    def __init__(self, site: SiteSource, settings: ZoneWatchSettings, *, bounded: bool, strict: bool) -> None:
        super().__init__("watch_zones", site)
        self._settings = settings
        self._bounded = bounded
        self._strict = strict

    def setup(self) -> None:
        """Load the site map's zones."""
        super().setup()
        self._set_plan()

    def start_bundle(self) -> None:
        """Watch the zones of the site map in force."""
        super().start_bundle()
        if self._site is not self._planned:
            self._set_plan()

    def process(
        self,
        element: tuple[int, bytes],
        bag: Bag = beam.DoFn.StateParam(STAYS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(ZONES),  # noqa: B008
    ) -> Iterator[Event]:
        """Take a batch of places of one tag group in."""
        states = TagStates(bag, zone_state.CODEC)
        for tag, places in by_tag(unpack_whereabouts(element[1])).items():
            self._metrics.add("in", len(places))
            watch = states.get(tag) or ZoneWatch()
            for where in places:
                watch, events = self._take(watch, where)
                yield from self._metrics.told(events)
            self._keep(states, tag, watch)
        states.commit(None if self._bounded else timer)

    @on_timer(ZONES)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: Bag = beam.DoFn.StateParam(STAYS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(ZONES),  # noqa: B008
    ) -> Iterator[Event]:
        """Settle what is due. A timer is a hint: it may come late, twice, or when there is nothing to do."""
        now_us = now.micros
        states = TagStates(bag, zone_state.CODEC)
        for tag in states.due(now_us):
            watch = states.get(tag) or ZoneWatch()
            try:
                events = watch.advance_by_kafka(now_us, tag, self._plan)
            except Exception:
                if self._strict:
                    raise
                _LOG.exception("the zones of tag %s could not be watched, and are forgotten", tag)
                self._metrics.internal_error()
                states.forget(tag)
                continue
            yield from self._metrics.told(events)
            if watch.is_forgotten(now_us - self._settings.position_delay_us, self._settings):
                states.forget(tag)
            else:
                self._keep(states, tag, watch)
        states.commit(timer)

    def _set_plan(self) -> None:
        self._planned = self._site
        self._plan = ZonePlan(self._site.zones, self._site.home_zones, self._settings)

    def _take(self, watch: ZoneWatch, where: Whereabouts) -> tuple[ZoneWatch, list[Event]]:
        before = None if self._strict else watch.copy()
        try:
            return watch, watch.take(where, self._plan)
        except Exception:
            if before is None:
                raise
            _LOG.exception("a position of tag %s could not be held against the zones", where.tag)
            self._metrics.internal_error()
            return before, []

    def _keep(self, states: TagStates[ZoneWatch], tag: str, watch: ZoneWatch) -> None:
        if watch.at_us:
            states.put(tag, watch.due_us(self._settings), watch)
