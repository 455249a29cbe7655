"""A scene: tags walk among anchors, and what the anchors publish comes out in order of time, with the truth behind it.

It is played in slices of 50 ms, each computed for all tags at once, so that 100,000 tags need no more memory than a few
numbers for each pair of tag and anchor. No clock is read: whoever plays a scene decides how fast.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.anchors import HEARTBEAT_INTERVAL_US, Anchors
from pipeline.simulation.events import AnchorRecord, Heartbeat, TagReading, TrueState
from pipeline.simulation.ranging import Ranging
from pipeline.simulation.settings import SceneSettings
from pipeline.simulation.tags import BATTERY_LOW, DETACHED, Tags, wire_id
from pipeline.site import Site

SLICE_US = 50_000
"""Also the time over which an anchor collects tags for one record, where it does."""
MAX_TAGS_PER_RECORD = 1_000

Event = AnchorRecord | Heartbeat
_Column = NDArray[np.int64]


class Scene:
    """One play of a site under its settings: :meth:`events` can be gone through once.

    The same site, settings and start give the same events, to the bit.
    """

    def __init__(self, site: Site, settings: SceneSettings, start_us: int = 0) -> None:
        """Set the scene.

        Args:
            site: the map; tags walk in the box around its anchors.
            settings: what is simulated.
            start_us: true time at the start, integer microseconds since 1970-01-01 UTC.

        Raises:
            SceneError: the settings do not fit the site.
        """
        self.start_us = start_us
        self.lost = 0
        """Rangings that failed so far although the anchor was to publish them."""
        self._settings = settings
        self._anchors = Anchors(site, settings)
        self._tags = Tags(settings, self._anchors.box(), self._anchors.tag_z_m)
        self._shadows: Tags | None = None
        ranging, network = (np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(2))
        self._ranging = Ranging(settings, ranging)
        self._network = network
        self._state = np.zeros(settings.tags, dtype=np.int64)
        self._wire_ids = [wire_id(tag, 0) for tag in range(settings.tags)]

    def events(self, duration_s: float | None = None) -> Iterator[Event]:
        """Play the scene for some seconds, or without end; all that began by then still arrives."""
        end_us = None if duration_s is None else round(duration_s * 1e6)
        pending: list[Event] = []
        begin_us = 0
        while end_us is None or begin_us < end_us:
            slice_end_us = begin_us + SLICE_US
            until_us = slice_end_us if end_us is None else min(slice_end_us, end_us)
            pending.extend(self._heartbeats(until_us))
            pending.extend(self._records(until_us, slice_end_us))
            pending.sort(key=itemgetter(0))
            sent_before_us = self.start_us + until_us
            ready = bisect_left(pending, sent_before_us, key=itemgetter(0))
            yield from pending[:ready]
            del pending[:ready]
            begin_us = self._next_slice(slice_end_us, pending)
        yield from pending

    def truth(self, at_s: float) -> list[TrueState]:
        """Return where every tag truly is, and its id, at any time since the start (s); cheapest in order of time."""
        if self._shadows is None:  # tags of its own, because going back in time costs a walk from the start
            self._shadows = Tags(self._settings, self._anchors.box(), self._anchors.tag_z_m)
        tags = np.arange(self._settings.tags, dtype=np.int64)
        at_us = np.full(tags.size, round(at_s * 1e6), dtype=np.int64)
        places_m = self._shadows.positions(tags, at_us).tolist()
        states = self._shadows.states(tags, at_us).tolist()
        z_m = self._shadows.z_m
        return [TrueState(wire_id(tag, states[tag]), x_m, y_m, z_m) for tag, (x_m, y_m) in enumerate(places_m)]

    def _next_slice(self, from_us: int, pending: list[Event]) -> int:
        """Skip slices in which nothing happens."""
        next_us = min(int(self._tags.next_blink_us.min()), int(self._anchors.next_heartbeat_us.min()))
        if pending:
            next_us = min(next_us, pending[0][0] - self.start_us)
        return max(from_us, next_us // SLICE_US * SLICE_US)

    def _heartbeats(self, until_us: int) -> Iterator[Heartbeat]:
        next_us = self._anchors.next_heartbeat_us
        due = np.flatnonzero(next_us < until_us)
        if not due.size:
            return
        at_us = next_us[due]
        next_us[due] += HEARTBEAT_INTERVAL_US
        alive = self._anchors.are_alive(at_us)[np.arange(due.size), due]
        due, at_us = due[alive], at_us[alive]
        stamped_us = self._anchors.stamps_us(due, at_us, self.start_us)
        for anchor, sent, stamped in zip(due.tolist(), self._sent_us(at_us), stamped_us.tolist(), strict=True):
            yield Heartbeat(sent, self._anchors.ids[anchor], stamped)

    def _records(self, until_us: int, slice_end_us: int) -> Iterator[AnchorRecord]:
        due = np.flatnonzero(self._tags.next_blink_us < until_us)
        readings: list[TagReading] = []
        heard_by: list[int] = []
        while due.size:  # more than once only where a tag is torn off just after it blinked
            more, by = self._blink(due, self._tags.next_blink_us[due])
            readings.extend(more)
            heard_by.extend(by)
            due = due[self._tags.next_blink_us[due] < until_us]
        if not readings:
            return
        if self._settings.many_tags_per_record:
            yield from self._batched(readings, heard_by, slice_end_us)
            return
        anchor = np.array(heard_by, dtype=np.int64)
        at_us = np.array([reading.measured_at_us for reading in readings], dtype=np.int64) - self.start_us
        stamped_us = self._anchors.stamps_us(anchor, at_us, self.start_us).tolist()
        ids = self._anchors.ids
        for reading, by_anchor, sent, stamped in zip(readings, heard_by, self._sent_us(at_us), stamped_us, strict=True):
            yield AnchorRecord(sent, ids[by_anchor], stamped, (reading,))

    def _batched(self, readings: list[TagReading], heard_by: list[int], at_us: int) -> Iterator[AnchorRecord]:
        """Put what each anchor heard in a slice into as few records as are of a reasonable size."""
        by_anchor: dict[int, list[TagReading]] = {}
        for reading, anchor in zip(readings, heard_by, strict=True):
            by_anchor.setdefault(anchor, []).append(reading)
        batches = [
            (anchor, of_anchor[first : first + MAX_TAGS_PER_RECORD])
            for anchor, of_anchor in sorted(by_anchor.items())
            for first in range(0, len(of_anchor), MAX_TAGS_PER_RECORD)
        ]
        anchors = np.array([anchor for anchor, _ in batches], dtype=np.int64)
        times_us = np.full(len(batches), at_us, dtype=np.int64)
        stamped_us = self._anchors.stamps_us(anchors, times_us, self.start_us).tolist()
        for (anchor, batch), sent, stamped in zip(batches, self._sent_us(times_us), stamped_us, strict=True):
            yield AnchorRecord(sent, self._anchors.ids[anchor], stamped, tuple(batch))

    def _blink(self, tags: _Column, at_us: _Column) -> tuple[Iterator[TagReading], list[int]]:
        """Let tags blink; return what is to be published of it, and by which anchors."""
        self._tags.blinked(tags, at_us)
        self._update_ids(tags, self._tags.states(tags, at_us))
        row, anchor = np.nonzero(self._anchors.are_due(tags, at_us) & self._anchors.are_alive(at_us))
        if not row.size:
            return iter(()), []
        rows = np.unique(row)
        place_m = np.empty((tags.size, 2))
        place_m[rows] = self._tags.positions(tags[rows], at_us[rows])
        true_m = np.empty((tags.size, len(self._anchors.ids)))
        true_m[rows] = self._anchors.distances_m(place_m[rows])
        ranged = self._ranging.measure(true_m[row, anchor], tags[row], anchor, self._anchors.max_range_m)
        self.lost += int(np.count_nonzero(ranged.is_lost))
        heard = np.flatnonzero(ranged.is_heard)
        row, anchor = row[heard], anchor[heard]
        self._anchors.published(tags[row], anchor)
        state = self._state[tags[row]]
        z_m = self._tags.z_m
        wire_ids = self._wire_ids
        readings = (
            TagReading(wire_ids[tag], distance, detached, low, measured, x, y, z_m, outlier)
            for tag, distance, detached, low, measured, (x, y), outlier in zip(
                tags[row].tolist(),
                ranged.distance_m[heard].tolist(),
                ((state & DETACHED) > 0).tolist(),
                ((state & BATTERY_LOW) > 0).tolist(),
                (self.start_us + at_us[row]).tolist(),
                place_m[row].tolist(),
                ranged.is_outlier[heard].tolist(),
                strict=True,
            )
        )
        return readings, anchor.tolist()

    def _update_ids(self, tags: _Column, state: _Column) -> None:
        """Give tags whose state has changed their new id, under which no anchor has heard them yet."""
        changed = np.flatnonzero(state != self._state[tags])
        if changed.size:
            self._state[tags[changed]] = state[changed]
            self._anchors.forget(tags[changed])
            for tag, new_state in zip(tags[changed].tolist(), state[changed].tolist(), strict=True):
                self._wire_ids[tag] = wire_id(tag, new_state)

    def _sent_us(self, at_us: _Column) -> list[int]:
        """Return when records that were ready at ``at_us`` are published, in microseconds since 1970."""
        settings = self._settings
        delay_us = 1e6 * (settings.delay_s + settings.jitter_s * self._network.standard_exponential(at_us.size))
        sent_us: list[int] = (self.start_us + at_us + delay_us.astype(np.int64)).tolist()
        return sent_us
