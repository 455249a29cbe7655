"""Stage group: readings of a tag to groups of three or more anchors. Stateful, keyed by tag group."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.model import Group, Reading, Reason, Rejected, Stage
from pipeline.positioning import round_state
from pipeline.positioning.round_bytes import Columns
from pipeline.positioning.rounds import GroupingSettings, Outcome, Rounds
from pipeline.positioning.warm_up import warm_up_grouping
from pipeline.positioning.whole_rounds import WholeRounds, names_as_numbers
from pipeline.transforms.metric_names import GROUP_SIZE
from pipeline.transforms.metrics import MeteredFn
from pipeline.transforms.outputs import sort_out, sorted_out
from pipeline.transforms.tag_groups import AS_WRITTEN, Bag, TagStates, Timer, tag_states_spec
from pipeline.wire.readings import OfTags, unpack_by_tag

GROUPS = "groups"

_LOG = logging.getLogger(__name__)


class GroupReadings(beam.PTransform):
    """``PCollection[(tag group, packed readings)]`` to a dict of ``groups``, in lists, and ``rejected``."""

    def __init__(self, settings: GroupingSettings, *, strict: bool = False) -> None:
        super().__init__()
        self._settings = settings
        self._strict = strict

    def expand(self, readings: beam.PCollection[tuple[int, bytes]]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(readings, "Group", GroupFn(self._settings, strict=self._strict), GROUPS, Iterable[Group])


class _Waiting(NamedTuple):
    """Readings of a tag that are still to be taken in, the number of the first of them, and the tag's state before."""

    tag: str
    readings: Sequence[Reading]
    first: int
    state: bytes


class GroupFn(MeteredFn):
    """See :class:`GroupReadings`. One timer a tag group, at whatever of its tags is due next, in Kafka time."""

    ROUNDS = tag_states_spec("rounds")
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(self, settings: GroupingSettings, *, strict: bool) -> None:
        super().__init__("group")
        self._settings = settings
        self._whole = WholeRounds(settings)
        self._strict = strict

    def setup(self) -> None:
        """Load what takes whole rounds in."""
        super().setup()
        warm_up_grouping()

    def process(
        self,
        element: tuple[int, bytes],
        bag: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        """Take a batch of readings of one tag group in."""
        return sorted_out(self.take(element[1], bag, timer))

    @on_timer(DUE)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        """Settle what is due. A timer is a hint: it may come late, twice, or when there is nothing to do."""
        return sorted_out(self.settle(now.micros, bag, timer))

    def take(self, packed: bytes, bag: Bag, timer: Timer) -> list[Outcome]:
        """Take packed readings of one tag group in; return what follows from them, of each tag in order."""
        states, given, first = TagStates(bag, AS_WRITTEN), unpack_by_tag(packed), 0
        self._metrics.add("in", len(given.rows))
        waiting: list[_Waiting] = []
        for tag, readings in zip(given.tags, given.readings, strict=True):
            waiting.append(_Waiting(tag, readings, first, states.get(tag) or b""))
            first += len(readings)
        columns, outcomes, is_first = _columns(given), list[Outcome](), True
        while waiting:
            waiting = self._taken(waiting, columns, states, outcomes, is_first=is_first)
            is_first = False
        states.commit(timer)
        self._count(outcomes)
        return outcomes

    def settle(self, now_us: int, bag: Bag, timer: Timer) -> list[Outcome]:
        """Return what follows from its being a Kafka time, for all tags of a tag group; see :meth:`due`."""
        states = TagStates(bag, AS_WRITTEN)
        outcomes: list[Outcome] = []
        for tag in states.due(now_us):
            state = states.get(tag)
            rounds = _read(state)
            try:
                found = rounds.advance(now_us, self._settings)
            except Exception as error:
                if self._strict:
                    raise
                _LOG.exception("the round of tag %s could not be settled", tag)
                self._metrics.internal_error()
                found = [_internal_error(reading, error) for reading in _read(state).open.values()]
                states.forget(tag)
            else:
                if rounds.is_forgotten(now_us, self._settings):
                    states.forget(tag)
                else:
                    self._keep(states, tag, rounds)
            outcomes.extend(found)
        states.commit(timer)
        self._count(outcomes)
        return outcomes

    def _taken(
        self,
        waiting: Sequence[_Waiting],
        columns: Columns,
        states: TagStates[bytes],
        outcomes: list[Outcome],
        *,
        is_first: bool,
    ) -> list[_Waiting]:
        """Take in what comes whole, and then one by one what does not; return what may come whole again after that.

        Of a tag of which, but for the first time, nothing came whole, nothing more is thought to.
        """
        rest: list[_Waiting] = []
        known = [(state, first, first + len(readings)) for _, readings, first, state in waiting]
        for one, whole in zip(waiting, self._whole.take_all(known, columns), strict=True):
            tag, readings, first, _ = one
            outcomes += whole.groups(tag, readings)
            taken = whole.readings
            if taken == len(readings):
                states.put(tag, whole.clock_us + self._settings.tag_expiry_us, whole.state)
                continue
            is_hopeful = is_first or taken > 0
            rounds, more = self._one_by_one(tag, readings[taken:], whole.state, outcomes, is_hopeful=is_hopeful)
            taken += more
            if taken == len(readings):
                self._keep(states, tag, rounds)
            else:
                rest.append(_Waiting(tag, readings[taken:], first + taken, round_state.to_bytes(rounds)))
        return rest

    def _one_by_one(
        self, tag: str, readings: Sequence[Reading], state: bytes, outcomes: list[Outcome], *, is_hopeful: bool
    ) -> tuple[Rounds, int]:
        """Take readings in up to where, with hope, a whole round may follow; reject those that fail.

        Returns:
            What comes of the tag's rounds, and how many readings that were.
        """
        rounds = _read(state)
        taken: list[Reading] = []
        for count, reading in enumerate(readings, 1):
            try:
                found = rounds.add(reading, self._settings)
            except Exception as error:
                if self._strict:
                    raise
                _LOG.exception("a reading of tag %s could not be grouped", tag)
                self._metrics.internal_error()
                outcomes.append(_internal_error(reading, error))
                rounds = _read(state)  # as it was before a reading that failed half-way: grouping again gives the same
                for other in taken:
                    rounds.add(other, self._settings)
                continue
            taken.append(reading)
            outcomes += found
            if is_hopeful and found and isinstance(found[-1], Group) and self._whole.may_follow(rounds):
                return rounds, count
        return rounds, len(readings)

    def _keep(self, states: TagStates[bytes], tag: str, rounds: Rounds) -> None:
        rounds.forget_seen(self._settings)
        states.put(tag, rounds.due_us(self._settings), round_state.to_bytes(rounds))

    def _count(self, outcomes: list[Outcome]) -> None:
        sizes = Counter([len(outcome.readings) for outcome in outcomes if isinstance(outcome, Group)])
        for size, count in sizes.items():
            self._metrics.observe(GROUP_SIZE, size, count)
        groups = sizes.total()
        self._metrics.add("out", groups)
        if groups < len(outcomes):
            for outcome in outcomes:
                if isinstance(outcome, Rejected):
                    self._metrics.rejected(outcome.reason)


def _columns(given: OfTags) -> Columns:
    rows = given.rows
    return Columns(
        rows["anchor"].astype(np.int64),
        rows["distance_m"].astype(np.float32).view(np.uint32),
        rows["measured_at_us"].astype(np.int64),
        rows["kafka_time_us"].astype(np.int64),
        rows["time_replaced"].astype(np.bool_),
        names_as_numbers(given.anchors),
    )


def _read(state: bytes | None) -> Rounds:
    return (round_state.from_bytes(state) if state else None) or Rounds()


def _internal_error(reading: Reading, error: Exception) -> Rejected:
    return Rejected.of(reading, Reason.INTERNAL_ERROR, Stage.GROUP, repr(error))
