"""Stage track: solved groups to positions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
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
from pipeline.transforms.outputs import sorted_out
from pipeline.transforms.site_fn import SiteFn
from pipeline.transforms.tag_groups import Bag, TagStates, Timer, by_tag, tag_states_spec

_LOG = logging.getLogger(__name__)


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
        self._tracker = Tracker(self._site, self._settings)
        warm_up_filter()

    def start_bundle(self) -> None:
        """Track by the site map in force."""
        super().start_bundle()
        if self._site is not self._tracker.site:
            self._tracker = Tracker(self._site, self._settings)

    def process(
        self,
        element: tuple[int, Sequence[Solved]],
        bag: Bag = beam.DoFn.StateParam(TRACKS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Iterator[Any]:
        """Take a batch of groups of one tag group in."""
        yield from sorted_out(self.take(element, bag, timer))

    def take(self, element: tuple[int, Sequence[Solved]], bag: Bag, timer: Timer) -> list[Position | Rejected]:
        """Take a batch of groups of one tag group in; return positions, and rejections of all readings without."""
        found: list[Position | Rejected] = []
        states = TagStates(bag, track_state.CODEC)
        for tag, groups in by_tag(element[1]).items():
            self._metrics.add("in", len(groups))
            track = states.get(tag)
            taken: list[Solved] = []
            for part in (part for solved in groups for part in parted(solved, self._site) if part is not None):
                try:
                    track, outcome = self._take(track, part)
                except Exception as error:
                    if self._strict:
                        raise
                    _LOG.exception("a group of tag %s could not be tracked", tag)
                    self._metrics.internal_error()
                    track = self._rebuilt(states.before(tag), taken)
                    outcome = refused(part, Reason.INTERNAL_ERROR, Stage.TRACK, repr(error))
                else:
                    taken.append(part)
                found += self._counted(outcome)
            if track is None:
                states.forget(tag)
            else:
                states.put(tag, track.clock_us + self._memory.kept_us, track)
        states.commit(timer if self._memory.is_cleared else None)
        return found

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

    def _take(self, track: Track | None, solved: Solved) -> tuple[Track | None, Outcome]:
        if track is not None and track.is_forgotten(solved.readings, self._memory.tag_expiry_us):
            track = None
        return self._tracker.take(track, solved)

    def _rebuilt(self, track: Track | None, taken: list[Solved]) -> Track | None:
        """Return the track as it was before a group that failed half-way: taking the others again gives the same."""
        for solved in taken:
            track, _ = self._take(track, solved)
        return track

    def _counted(self, outcome: Outcome) -> Sequence[Position | Rejected]:
        if isinstance(outcome, Position):
            self._metrics.add("out")
            if outcome.refused:
                self._metrics.add("ranges_refused", len(outcome.refused))
            return [outcome]
        for rejection in outcome:
            self._metrics.rejected(rejection.reason)
        return outcome
