"""Grouping: which readings of a tag belong together.

Two ages are told apart. How far readings may lie apart is judged by the time in the payload; how long to wait is
counted in Kafka time. Both come with the records, so the same records in the same order give the same groups, live or
replayed: whatever is due by a record's Kafka time is settled before the record is looked at, and a timer does for the
last record of a tag what the next record would have done.

Clocks may be wrong. Which of them are right, the readings decide among themselves: a group is the largest number of
readings of a round that lie close enough together in time.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field
from operator import itemgetter

from pipeline.model import Group, Reading, Reason, Rejected, Stage
from pipeline.positioning.seen import NEARLY_FULL, Seen
from pipeline.site import MIN_ANCHORS

FORGET_AFTER_ROUNDS = 3
"""An anchor silent for so many rounds of a tag is no longer waited for."""
NEW_FOR_ROUNDS = 3
"""A tag is new, and its anchors not yet known, until it has had so many rounds."""
MILLISECOND_US = 1000
_NEVER_US = 2**62
_NUMBERED = 32
"""Anchors of a tag that have numbers before one that is no longer heard loses its own."""
by_time = itemgetter(*map(Reading._fields.index, ("measured_at_us", "kafka_time_us", "anchor")))
"""What readings of a group are sorted by."""


class GroupingMode(str, enum.Enum):
    """When a group is complete."""

    ROUND = "round"
    """When every anchor that heard the blink has reported, or ``round_wait`` after the first."""
    THREE = "three"
    """As soon as three distinct anchors are in."""


@dataclass(frozen=True, slots=True)
class GroupingSettings:
    """Bounds of the grouping; times in microseconds.

    Raises:
        ValueError: a time below a millisecond, which is what runners keep; or a tag forgotten sooner than it is late.
    """

    mode: GroupingMode = GroupingMode.ROUND
    round_wait_us: int = 250_000
    max_reading_age_us: int = 2_000_000
    max_lateness_us: int = 10_000_000
    tag_expiry_us: int = 60_000_000

    def __post_init__(self) -> None:
        for name in ("round_wait_us", "max_reading_age_us", "max_lateness_us", "tag_expiry_us"):
            if getattr(self, name) < MILLISECOND_US:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {MILLISECOND_US}, a millisecond")
        if self.tag_expiry_us < max(self.max_lateness_us, self.max_reading_age_us):
            raise ValueError(
                f"tag expiry is {self.tag_expiry_us / 1e6:g} s; expected at least the lateness bound "
                f"({self.max_lateness_us / 1e6:g} s) and the reading age ({self.max_reading_age_us / 1e6:g} s)",
            )


Outcome = Group | Rejected
"""A group has three readings or more; a reading for which not enough others came in time is a group of its own."""


@dataclass(slots=True)
class Rounds:
    """The open round of one tag, and what is remembered of those before. Times in microseconds."""

    open: dict[str, Reading] = field(default_factory=dict)
    """At most one reading, the latest, of each anchor."""
    carried: set[str] = field(default_factory=set)
    """The anchors whose readings were carried over from the round before, and have not reported in this one."""
    opened_at_us: int = 0
    """Kafka time of the round's first reading; 0 while none is open and ``open`` only holds what was carried over."""
    clock_us: int = 0
    """The latest Kafka time seen."""
    newest_us: int = 0
    """The newest time of measurement seen."""
    heard: dict[str, int] = field(default_factory=dict)
    """The anchors that lately heard the tag, and for how many rounds each has been silent."""
    rounds: int = 0
    """Groups given so far, counted up to where the tag is no longer new."""
    seen: Seen = field(default_factory=Seen)
    """Readings accepted within the lateness bound."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The anchors from 0 up, as what is seen names them: those of which anything is known here, and more."""

    def add(self, reading: Reading, settings: GroupingSettings) -> list[Outcome]:
        """Take one reading in; return the groups and rejections that follow from it."""
        now_us = max(self.clock_us, reading.kafka_time_us)
        outcomes: list[Outcome] = []
        if self.open:
            outcomes = self.advance(now_us, settings)
        if not self.open and now_us >= self.clock_us + settings.tag_expiry_us:
            self.heard, self.rounds, self.newest_us, self.seen, self.numbers = {}, 0, 0, Seen(), {}
        self.clock_us = now_us
        refusal = self._refusal(reading, settings)
        if refusal is not None:
            outcomes.append(refusal)
        else:
            self._place(reading, settings, outcomes)
        return outcomes

    def advance(self, now_us: int, settings: GroupingSettings) -> list[Outcome]:
        """Settle what is due at a Kafka time; harmless if nothing is, and if called again."""
        outcomes: list[Outcome] = []
        while self.open and self._is_due(now_us, settings):  # one after the other, in the order in which timers would
            close_at_us, oldest, give_up_at_us = self._next(settings)
            if oldest is None or close_at_us <= give_up_at_us:
                outcomes.extend(self._close(settings))
            else:
                outcomes.append(self._give_up(oldest))
        return outcomes

    def due_us(self, settings: GroupingSettings) -> int:
        """Return the Kafka time at which :meth:`advance`, or forgetting the tag, is next due."""
        close_at_us, _, give_up_at_us = self._next(settings)
        due_us = min(close_at_us, give_up_at_us)
        return due_us if due_us < _NEVER_US else self.clock_us + settings.tag_expiry_us

    def _is_due(self, now_us: int, settings: GroupingSettings) -> bool:
        """Whether any of what :meth:`_next` returns is due: asked of every reading, and mostly not so."""
        kept_us = settings.max_reading_age_us + 1
        waiting: Collection[str] = self.open
        if self.opened_at_us:
            if self.opened_at_us + settings.round_wait_us <= now_us:
                return True
            waiting = self.carried
            kept_us += settings.round_wait_us
        for anchor in waiting:  # noqa: SIM110  (a generator would take longer than what it goes through)
            if self.open[anchor].kafka_time_us + kept_us <= now_us:
                return True
        return False

    def _next(self, settings: GroupingSettings) -> tuple[int, Reading | None, int]:
        """Return when the round closes, which reading is the next to be given up on, and when that is."""
        close_at_us, kept_us = _NEVER_US, settings.max_reading_age_us + 1
        waiting: Collection[str] = self.open
        if self.opened_at_us:  # what was carried over may still find company in the round that is open, but in no other
            close_at_us, kept_us = self.opened_at_us + settings.round_wait_us, kept_us + settings.round_wait_us
            waiting = self.carried
        if not waiting:
            return close_at_us, None, _NEVER_US
        kafka_time_us, anchor = min([(self.open[anchor].kafka_time_us, anchor) for anchor in waiting])
        return close_at_us, self.open[anchor], kafka_time_us + kept_us

    def is_forgotten(self, now_us: int, settings: GroupingSettings) -> bool:
        """Whether the tag has been silent for so long that nothing of it need be kept."""
        return not self.open and now_us >= self.clock_us + settings.tag_expiry_us

    def forget_seen(self, settings: GroupingSettings) -> None:
        """Drop what can no longer come again as a duplicate, because it would be late."""
        self.seen.forget_before(self.newest_us - settings.max_lateness_us)

    def hear(self, anchors: Collection[str]) -> None:
        """Count which anchors were heard in a round, and forget those that have been silent for too many."""
        if len(self.heard) == len(anchors) and not any(self.heard.values()) and self.heard.keys() == set(anchors):
            return
        silent = {anchor: rounds + 1 for anchor, rounds in self.heard.items() if anchor not in anchors}
        self.heard = dict.fromkeys(anchors, 0)
        self.heard.update((anchor, rounds) for anchor, rounds in silent.items() if rounds < FORGET_AFTER_ROUNDS)

    def _refusal(self, reading: Reading, settings: GroupingSettings) -> Rejected | None:
        behind_us = self.newest_us - reading.measured_at_us
        if behind_us > settings.max_lateness_us:
            detail = (
                f"{behind_us / 1e6:g} s behind the tag's newest reading; at most {settings.max_lateness_us / 1e6:g} s"
            )
            return _reject(reading, Reason.LATE, detail)
        # Of a time that was replaced there is nothing to know it by.
        number = self.numbers.get(reading.anchor)
        if number is None:
            number = self._number(reading.anchor, settings)
        if len(self.seen.earlier) > NEARLY_FULL:
            self.forget_seen(settings)  # so that what is dropped does not depend on when it was last called
        if not (reading.time_replaced or self.seen.add(number, reading.measured_at_us, reading.distance_m)):
            return _reject(reading, Reason.DUPLICATE, "anchor, tag, time and distance equal one already taken")
        return None

    def _place(self, reading: Reading, settings: GroupingSettings, outcomes: list[Outcome]) -> None:
        """Put a reading into the round, and what follows from it to the outcomes."""
        anchor = reading.anchor
        held = self.open.get(anchor)
        if held is not None and reading.measured_at_us < held.measured_at_us:
            outcomes.append(Group(reading.tag, [reading]))  # it came after its successor
            return
        if len(self.open) >= MIN_ANCHORS and self._is_over(reading, settings):
            outcomes.extend(self._close(settings))
        if not reading.time_replaced:
            # A clock that runs ahead must not make the others late.
            self.newest_us = max(self.newest_us, min(reading.measured_at_us, reading.kafka_time_us))

        if held is not None:
            if self.opened_at_us and anchor in self.open and anchor not in self.carried:
                outcomes.extend(self._close(settings))  # the anchor reports again
            if anchor in self.open:
                outcomes.append(self._give_up(self.open[anchor]))
        self.open[anchor] = reading
        if not self.opened_at_us and settings.mode is GroupingMode.ROUND:
            self.opened_at_us = self.clock_us
        if len(self.open) >= MIN_ANCHORS and (settings.mode is GroupingMode.THREE or self._all_reported()):
            together = self._together(settings)
            if len(together) >= MIN_ANCHORS:
                outcomes.extend(self._end(together, settings))

    def _number(self, anchor: str, settings: GroupingSettings) -> int:
        """Return a number for an anchor that has none."""
        if len(self.numbers) >= _NUMBERED:
            self.forget_seen(settings)  # so that who loses a number does not depend on when it was last called
            seen = self.seen.anchors()
            kept = [
                (name, number)
                for name, number in self.numbers.items()
                if number in seen or name in self.open or name in self.heard
            ]
            if len(kept) < len(self.numbers):
                self.seen = self.seen.renumbered({before: number for number, (_, before) in enumerate(kept)})
                self.numbers = {name: number for number, (name, _) in enumerate(kept)}
        number = self.numbers[anchor] = len(self.numbers)
        return number

    def _all_reported(self) -> bool:
        return (
            self.rounds >= NEW_FOR_ROUNDS
            and len(self.open) - len(self.carried) >= len(self.heard)
            and self.open.keys() - self.carried >= self.heard.keys()
        )

    def _together(self, settings: GroupingSettings) -> list[Reading]:
        """Return the most readings that lie within the age bound, oldest first; the newest of equally many.

        There have to be any.
        """
        ordered = sorted(self.open.values(), key=by_time)
        if ordered[-1].measured_at_us - ordered[0].measured_at_us <= settings.max_reading_age_us:
            return ordered
        best: list[Reading] = []
        first = 0
        for last, reading in enumerate(ordered):
            while reading.measured_at_us - ordered[first].measured_at_us > settings.max_reading_age_us:
                first += 1
            if last + 1 - first >= len(best):
                best = ordered[first : last + 1]
        return best

    def _is_over(self, reading: Reading, settings: GroupingSettings) -> bool:
        """Whether a round of three or more makes a group, and a reading is later, by a clock no worse than theirs."""
        if reading.time_replaced:
            return False
        before_us = reading.measured_at_us - settings.max_reading_age_us
        for one in self.open.values():
            if one.measured_at_us < before_us:
                break
        else:
            return False  # asked of every reading: most rounds need not be sorted for the answer
        together = self._together(settings)
        if len(together) < MIN_ANCHORS:
            return False
        worst_us = max(_skew_us(one) for one in together)
        is_later = reading.measured_at_us - together[0].measured_at_us > settings.max_reading_age_us
        return is_later and _skew_us(reading) <= max(worst_us, settings.max_reading_age_us)

    def _close(self, settings: GroupingSettings) -> list[Outcome]:
        """End the round: a group where three anchors or more agree, else its readings carry over to the next."""
        return self._end(self._together(settings), settings)

    def _end(self, together: list[Reading], settings: GroupingSettings) -> list[Outcome]:
        """End the round, of whose readings those given agree in time."""
        self.opened_at_us = 0
        self.hear(self.open)
        if len(together) < MIN_ANCHORS:
            self.carried = set(self.open)
            return []
        outcomes: list[Outcome] = [Group(together[0].tag, together)]
        if len(together) < len(self.open):
            odd = self.open.keys() - {reading.anchor for reading in together}
            detail = f"more than {settings.max_reading_age_us / 1e6:g} s apart from most readings of its round"
            outcomes.extend(_reject(self.open[anchor], Reason.STALE, detail) for anchor in sorted(odd))
        self.open, self.carried = {}, set()
        self.rounds = min(self.rounds + 1, NEW_FOR_ROUNDS)
        return outcomes

    def _give_up(self, reading: Reading) -> Group:
        """Return a reading for which not enough others came in time, as a group of its own."""
        del self.open[reading.anchor]
        self.carried.discard(reading.anchor)
        return Group(reading.tag, [reading])


def _skew_us(reading: Reading) -> int:
    """Return how far a reading's time is from its Kafka time; one that was replaced is no evidence, and counts as 0."""
    return abs(reading.measured_at_us - reading.kafka_time_us)


def _reject(reading: Reading, reason: Reason, detail: str) -> Rejected:
    return Rejected.of(reading, reason, Stage.GROUP, detail)
