"""Stage track: solved groups to positions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.model import Position, Reason, Rejected, Solved, Stage
from pipeline.positioning.solve import parted, refused
from pipeline.positioning.track import Track
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Outcome, Tracker
from pipeline.positioning.warm_up import warm_up_filter
from pipeline.site import SiteSource
from pipeline.transforms import track_state
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import Bag, TagStates, Timer, by_tag, tag_states_spec

_LOG = logging.getLogger(__name__)

Tracks = Mapping[str, Track | None]
Groups = Mapping[str, Sequence[Solved]]


class Memory(NamedTuple):
    """How long tracks are kept.

    Attributes:
        tag_expiry_us: a tag silent for so long begins a new track.
        group_delay_us: how much later than its readings a group may come: so much longer the old track is kept.
        is_cleared: whether what is kept no longer is cleared at all.
    """

    tag_expiry_us: int
    group_delay_us: int
    is_cleared: bool

    @property
    def kept_us(self) -> int:
        """How long after a tag's last reading its track may be cleared."""
        return self.tag_expiry_us + self.group_delay_us


class TrackFn(SiteFn):
    """A tag group and solved groups of its tags to positions; rejected: every reading of a group that gave none.

    One timer a tag group, at which the next of its tags is forgotten, in Kafka time.
    """

    TRACKS = tag_states_spec("tracks")
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)
    """No other stage's timer has this name: the FnApiRunner takes timers of one name for one, and loses some."""

    def __init__(self, site: SiteSource, settings: TrackSettings, memory: Memory, *, strict: bool) -> None:
        super().__init__("track", site)
        self._settings = settings
        self._memory = memory
        self._strict = strict

    def setup(self) -> None:
        """Load the site map and the compiled filter."""
        super().setup()
        self._tracker = Tracker(self._site, self._settings, self._memory.tag_expiry_us)
        warm_up_filter()

    def start_bundle(self) -> None:
        """Track by the site map in force."""
        super().start_bundle()
        if self._site is not self._tracker.site:
            self._tracker = Tracker(self._site, self._settings, self._memory.tag_expiry_us)

    def take(self, groups: Sequence[Solved], bag: Bag, timer: Timer) -> list[Position | Rejected]:
        """Take groups of one tag group in; return positions, and the rejection of every reading of groups without."""
        self._metrics.add("in", len(groups))
        states, found = TagStates(bag, track_state.CODEC), by_tag(self._known(groups))
        before = {tag: states.get(tag) for tag in found}
        after, outcomes = self._taken(before, found)
        for tag, track in after.items():
            if track is None:
                states.forget(tag)
            else:
                states.put(tag, track.clock_us + self._memory.kept_us, track)
        states.commit(timer if self._memory.is_cleared else None)
        return self._counted(outcomes)

    @on_timer(FORGET)
    def forget(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: Bag = beam.DoFn.StateParam(TRACKS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> None:
        """Forget tags that have been silent for long. A timer is a hint: it may come late, twice, or for nothing."""
        states = TagStates(bag, track_state.CODEC)
        for tag in states.due(now.micros):
            states.forget(tag)
        states.commit(timer)

    def _known(self, groups: Sequence[Solved]) -> Sequence[Solved]:
        """Return groups with the readings of anchors that have left the map apart, and refused."""
        if {reading.anchor for solved in groups for reading in solved.readings} <= self._site.anchors.keys():
            return groups
        return [part for solved in groups for part in parted(solved, self._site) if part is not None]

    def _taken(self, tracks: Tracks, groups: Groups) -> tuple[dict[str, Track | None], list[Outcome]]:
        """Take groups in; after an unexpected error tag by tag, and then group by group, to lose no other."""
        try:
            return self._tracker.take_all(tracks, groups)
        except Exception as error:
            if self._strict:
                raise
            return self._taken_apart(tracks, groups, error)

    def _taken_apart(
        self, tracks: Tracks, groups: Groups, error: Exception
    ) -> tuple[dict[str, Track | None], list[Outcome]]:
        """Take in what cannot be taken in together; a group that cannot at all leaves its tag's track as it was."""
        after, outcomes = dict(tracks), list[Outcome]()
        parts = [(tag, of_tag) for tag, of_tag in groups.items()]
        if len(parts) == 1:
            parts = [(tag, [solved]) for tag, of_tag in parts for solved in of_tag]
        if len(parts) == 1:
            ((tag, (solved,)),) = parts
            _LOG.error("a group of tag %s could not be tracked", tag, exc_info=error)
            self._metrics.internal_error()
            return after, [refused(solved, Reason.INTERNAL_ERROR, Stage.TRACK, repr(error))]
        for tag, some in parts:
            found, gave = self._taken({tag: after[tag]}, {tag: some})
            after.update(found)
            outcomes += gave
        return after, outcomes

    def _counted(self, outcomes: Sequence[Outcome]) -> list[Position | Rejected]:
        counted: list[Position | Rejected] = []
        refused_ranges = placed = 0
        for outcome in outcomes:
            if isinstance(outcome, Position):
                placed += 1
                refused_ranges += len(outcome.refused)
                counted.append(outcome)
            else:
                for rejection in outcome:
                    self._metrics.rejected(rejection.reason)
                    counted.append(rejection)
        if placed:
            self._metrics.add("out", placed)
        if refused_ranges:
            self._metrics.add("ranges_refused", refused_ranges)
        return counted
