"""Stage group: readings of a tag to groups of three or more anchors. Stateful, keyed by tag group."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pipeline.model import Group, Reading, Reason, Rejected, Stage
from pipeline.positioning.rounds import GroupingSettings, Outcome, Rounds
from pipeline.positioning.whole_rounds import add_all
from pipeline.transforms import round_state
from pipeline.transforms.metric_names import GROUP_SIZE
from pipeline.transforms.metrics import MeteredFn
from pipeline.transforms.outputs import sort_out, sorted_out
from pipeline.transforms.tag_groups import Bag, TagStates, Timer, tag_states_spec
from pipeline.wire.readings import unpack_by_tag

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


class GroupFn(MeteredFn):
    """See :class:`GroupReadings`. One timer a tag group, at whatever of its tags is due next, in Kafka time."""

    ROUNDS = tag_states_spec("rounds")
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(self, settings: GroupingSettings, *, strict: bool) -> None:
        super().__init__("group")
        self._settings = settings
        self._strict = strict

    def process(
        self,
        element: tuple[int, bytes],
        bag: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        """Take a batch of readings of one tag group in."""
        return sorted_out(self.take(unpack_by_tag(element[1]), bag, timer))

    @on_timer(DUE)
    def due(
        self,
        now: Timestamp = beam.DoFn.TimestampParam,
        bag: Bag = beam.DoFn.StateParam(ROUNDS),  # noqa: B008
        timer: Any = beam.DoFn.TimerParam(DUE),  # noqa: B008
    ) -> Iterator[Any]:
        """Settle what is due. A timer is a hint: it may come late, twice, or when there is nothing to do."""
        return sorted_out(self.settle(now.micros, bag, timer))

    def take(self, readings: Mapping[str, Sequence[Reading]], bag: Bag, timer: Timer) -> list[Outcome]:
        """Take readings of one tag group, by their tags, in; return what follows from them."""
        states = TagStates(bag, round_state.CODEC)
        outcomes: list[Outcome] = []
        for tag, ones in readings.items():
            self._metrics.add("in", len(ones))
            rounds = states.get(tag) or Rounds()
            try:
                outcomes += add_all(rounds, ones, self._settings)
            except Exception:
                if self._strict:
                    raise
                _LOG.exception("readings of tag %s could not be grouped at once, and are one by one", tag)
                rounds = self._one_by_one(states, tag, ones, outcomes)
            self._keep(states, tag, rounds)
        states.commit(timer)
        self._count(outcomes)
        return outcomes

    def settle(self, now_us: int, bag: Bag, timer: Timer) -> list[Outcome]:
        """Return what follows from its being a Kafka time, for all tags of a tag group; see :meth:`due`."""
        states = TagStates(bag, round_state.CODEC)
        outcomes: list[Outcome] = []
        for tag in states.due(now_us):
            rounds = states.get(tag) or Rounds()
            try:
                found = rounds.advance(now_us, self._settings)
            except Exception as error:
                if self._strict:
                    raise
                _LOG.exception("the round of tag %s could not be settled", tag)
                self._metrics.internal_error()
                before = states.before(tag) or Rounds()
                found = [_internal_error(reading, error) for reading in before.open.values()]
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

    def _one_by_one(
        self, states: TagStates[Rounds], tag: str, readings: Sequence[Reading], outcomes: list[Outcome]
    ) -> Rounds:
        """Take readings in of which one or more fail, and reject those; return the rounds that come of the others."""
        rounds = states.before(tag) or Rounds()
        taken: list[Reading] = []
        for reading in readings:
            try:
                found = rounds.add(reading, self._settings)
            except Exception as error:  # noqa: BLE001  (strict has raised already)
                _LOG.exception("a reading of tag %s could not be grouped", tag)
                self._metrics.internal_error()
                outcomes.append(_internal_error(reading, error))
                rounds = self._rebuilt(states.before(tag) or Rounds(), taken)
            else:
                taken.append(reading)
                outcomes += found
        return rounds

    def _rebuilt(self, rounds: Rounds, taken: list[Reading]) -> Rounds:
        """Return the rounds as they were before a reading that failed half-way: grouping again gives the same."""
        for reading in taken:
            rounds.add(reading, self._settings)
        return rounds

    def _keep(self, states: TagStates[Rounds], tag: str, rounds: Rounds) -> None:
        rounds.forget_seen(self._settings)
        states.put(tag, rounds.due_us(self._settings), rounds)

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


def _internal_error(reading: Reading, error: Exception) -> Rejected:
    return Rejected.of(reading, Reason.INTERNAL_ERROR, Stage.GROUP, repr(error))
