"""Stages group, trilaterate and track in one: readings of a tag to its positions. Stateful, keyed by tag group.

Each stage is what it is by itself, with its own state, timer and metrics; here one hands on to the next within a tag
group, without a shuffle between them. As stages of their own, the groups of a bundle crossed to a second keyed stage as
bytes, and that stage had bundles, state writes and timers of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.model import Group, Position, Rejected
from pipeline.positioning.rounds import Outcome
from pipeline.transforms.group import GroupFn
from pipeline.transforms.outputs import POSITIONS, sort_out, sorted_out
from pipeline.transforms.tag_groups import Bag, Timer
from pipeline.transforms.track import TrackFn
from pipeline.transforms.trilaterate import TrilaterateFn


class Follow(beam.PTransform):
    """``PCollection[(tag group, packed readings)]`` to a dict of ``positions``, in lists, and ``rejected``."""

    def __init__(self, grouping: GroupFn, solving: TrilaterateFn, tracking: TrackFn) -> None:
        super().__init__()
        self._parts = grouping, solving, tracking

    def expand(self, readings: beam.PCollection[tuple[int, bytes]]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stages."""
        return sort_out(readings, "Follow", FollowFn(*self._parts), POSITIONS, Iterable[Position])


class FollowFn(beam.DoFn):
    """See :class:`Follow`."""

    ROUNDS, TRACKS = GroupFn.ROUNDS, TrackFn.TRACKS
    DUE, FORGET = TimerSpec("due", TimeDomain.WATERMARK), TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, grouping: GroupFn, solving: TrilaterateFn, tracking: TrackFn) -> None:
        super().__init__()
        self._grouping, self._solving, self._tracking = grouping, solving, tracking

    def setup(self) -> None:
        """Set up each stage."""
        for stage in self._stages():
            stage.setup()

    def start_bundle(self) -> None:
        """Begin each stage's bundle."""
        for stage in self._stages():
            stage.start_bundle()

    def finish_bundle(self) -> None:
        """End each stage's bundle."""
        for stage in self._stages():
            stage.finish_bundle()

    def process(
        self,
        element: tuple[int, bytes],
        rounds: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
        tracks: Bag = beam.DoFn.StateParam(TRACKS),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Iterator[Any]:
        """Take a batch of readings of one tag group in."""
        yield from self._placed(self._grouping.take(element[1], rounds, due), tracks, forget)

    @on_timer(DUE)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        rounds: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
        tracks: Bag = beam.DoFn.StateParam(TRACKS),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Iterator[Any]:
        """Settle rounds that are due; see :meth:`GroupFn.due`."""
        yield from self._placed(self._grouping.settle(now.micros, rounds, due), tracks, forget)

    @on_timer(FORGET)
    def forget(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        rounds: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
        tracks: Bag = beam.DoFn.StateParam(TRACKS),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Iterator[Any]:
        """Forget tags that have been silent for long, once the rounds due by then are settled: they need their tracks.

        Of two timers that are due together either may fire first.
        """
        yield from self._placed(self._grouping.settle(now.micros, rounds, due), tracks, forget)
        self._tracking.forget(now, tracks, forget)

    def _stages(self) -> tuple[GroupFn, TrilaterateFn, TrackFn]:
        return self._grouping, self._solving, self._tracking

    def _placed(self, grouped: Sequence[Outcome], tracks: Bag, forget: Timer) -> Iterator[Any]:
        """Hand groups on until there are positions; what is rejected on the way goes out as it is."""
        groups = [outcome for outcome in grouped if isinstance(outcome, Group)]
        outcomes: list[Position | Rejected] = [outcome for outcome in grouped if isinstance(outcome, Rejected)]
        if groups:
            outcomes += self._tracking.take(self._solving.take(groups), tracks, forget)
        return sorted_out(outcomes)
