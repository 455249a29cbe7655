"""Stage watch tags: readings, and what has become of anchors, to events. Stateful, keyed by tag group.

What has become of anchors comes as the events of the anchor watch, told to every tag group. They come by the dataflow,
so state and checkpoints hold them as all else; and in time, for a tag is judged only when the deaths of anchors that
count for it have been told, and until they are told the watermark waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.events import Event
from pipeline.positioning.known_anchors import KnownAnchors, anchor_change
from pipeline.positioning.tag_watch import TagWatch, TagWatchSettings
from pipeline.positioning.watched import Heard, Watched
from pipeline.transforms import tag_watch_state as state
from pipeline.transforms.bytes_bag import BytesBag, read_whole, write_whole
from pipeline.transforms.metrics import MeteredFn
from pipeline.transforms.tag_groups import AS_WRITTEN, TAG_GROUPS, Bag, TagStates, tag_states_spec

_EVER_US = 2**62
_LOG = logging.getLogger(__name__)


class WatchTags(beam.PTransform):
    """``PCollection[(tag group, packed)]``, with the anchor watch's events, to ``PCollection[Event]``."""

    def __init__(self, settings: TagWatchSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._settings = settings
        self._strict = strict

    def expand(
        self,
        inputs: tuple[beam.PCollection[tuple[int, bytes]]]
        | tuple[beam.PCollection[tuple[int, bytes]], beam.PCollection[Event]],
    ) -> beam.PCollection[Event]:
        """Apply the stage. Without an anchor watch there are no events of it."""
        readings, *anchor_events = inputs
        of_anchors = [
            events | "Anchors" >> beam.FlatMap(_to_all_groups).with_output_types(tuple[int, bytes])
            for events in anchor_events
        ]
        watching = beam.ParDo(WatchTagsFn(self._settings, strict=self._strict)).with_output_types(Event)
        return (readings, *of_anchors) | "Both" >> beam.Flatten() | "Watch" >> watching


def _to_all_groups(event: Event) -> Iterator[tuple[int, bytes]]:
    change = anchor_change(event)
    if change is not None:
        packed = state.pack_changes([change])
        for tag_group in range(TAG_GROUPS):
            yield tag_group, packed


class WatchTagsFn(MeteredFn):
    """See :class:`WatchTags`. One timer a tag group, at whatever of its tags is due next, in Kafka time."""

    TAGS = tag_states_spec("tags")
    ANCHORS = BagStateSpec("anchors", BytesCoder())
    AWAY = TimerSpec("away", TimeDomain.WATERMARK)
    """No other stage's timer has this name: the FnApiRunner takes timers of one name for one, and loses some."""

    def __init__(self, settings: TagWatchSettings, *, strict: bool) -> None:
        super().__init__("watch_tags")
        self._settings = settings
        self._strict = strict

    def process(
        self,
        element: tuple[int, bytes],
        bag: Bag = beam.DoFn.StateParam(TAGS),  # noqa: B008
        anchors_bag: BytesBag = beam.DoFn.StateParam(ANCHORS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(AWAY),  # noqa: B008
    ) -> Iterator[Event]:
        """Take a batch of readings of one tag group, or changes of anchors, in."""
        given, changes = state.unpack(element[1])
        states, anchors = TagStates(bag, AS_WRITTEN), _anchors(anchors_bag)
        for change in changes:
            anchors.take(change)
        if self._hear(anchors, given) or changes:
            write_whole(anchors_bag, state.anchors_to_bytes(anchors))
            for tag in states.due(_EVER_US):  # who can be away, and when, has changed
                self._keep(states, tag, _read(states.get(tag)), anchors)
        for tag, readings in given:
            self._metrics.add("in", len(readings.tag))
            before = states.get(tag)
            gone_on = state.gone_on(before, readings, self._settings) if before and not anchors.silences else None
            if gone_on is not None:
                after, due_us = gone_on
                states.put(tag, due_us, after)
                continue
            watch, events = self._one_by_one(before, readings)
            yield from self._metrics.told(events)
            self._keep(states, tag, watch, anchors)
        states.commit(timer)

    @on_timer(AWAY)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: Bag = beam.DoFn.StateParam(TAGS),  # noqa: B008
        anchors_bag: BytesBag = beam.DoFn.StateParam(ANCHORS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(AWAY),  # noqa: B008
    ) -> Iterator[Event]:
        """Tell what is due. A timer is a hint: it may come late, twice, or when there is nothing to do."""
        states, anchors = TagStates(bag, AS_WRITTEN), _anchors(anchors_bag)
        for tag in states.due(now.micros):
            watch = _read(states.get(tag))
            try:
                events = watch.advance(now.micros, tag, anchors, self._settings)
            except Exception:
                if self._strict:
                    raise
                _LOG.exception("tag %s could not be watched, and is forgotten", tag)
                self._metrics.internal_error()
                states.forget(tag)
                continue
            yield from self._metrics.told(events)
            if watch.is_forgotten(now.micros, self._settings):
                states.forget(tag)
            else:
                self._keep(states, tag, watch, anchors)
        states.commit(timer)

    def _one_by_one(self, before: bytes | None, readings: Watched) -> tuple[TagWatch, list[Event]]:
        """Take in those readings of a tag that give no error; return what is then known, and what is new."""
        watch = _read(before)
        taken: list[Heard] = []
        told: list[Event] = []
        for one in readings.each():
            try:
                told += watch.take(one, self._settings)
            except Exception:
                if self._strict:
                    raise
                _LOG.exception("a reading of tag %s could not be watched", one.tag)
                self._metrics.internal_error()
                watch = _read(before)  # the reading failed half-way
                for other in taken:
                    watch.take(other, self._settings)
            else:
                taken.append(one)
        return watch, told

    def _hear(self, anchors: KnownAnchors, given: Iterable[tuple[str, Watched]]) -> bool:
        """Take in that anchors are heard; return whether that ends a silence."""
        if not anchors.silences:
            return False
        told_after_us = self._settings.told_after_us
        ends = [
            anchors.hear(anchor, at_us, told_after_us)
            for _, readings in given
            for anchor, at_us in zip(readings.anchor, readings.kafka_time_us, strict=True)
        ]
        return any(ends)  # of all, not of any

    def _keep(self, states: TagStates[bytes], tag: str, watch: TagWatch, anchors: KnownAnchors) -> None:
        states.put(tag, watch.due_us(anchors, self._settings), state.to_bytes(watch))


def _read(before: bytes | None) -> TagWatch:
    return (state.from_bytes(before) if before else None) or TagWatch()


def _anchors(bag: BytesBag) -> KnownAnchors:
    return state.anchors_from_bytes(read_whole(bag))
