"""The tag watch: which tags are away, torn off, or low on battery.

A tag is away when it has been silent for longer than ``tag_timeout``, while one at least of the anchors that last heard
it could have heard it all that time. Flags are told at once; silence, as in the anchor watch, only when the watermark
says that nothing earlier can come: times are Kafka's (integer microseconds), records may come in any order, and what
they say of being heard is kept as runs until it is settled. The anchor watch tells of a death later than it is one: for
as long the verdict on a tag waits, and so does its return. See :mod:`pipeline.positioning.anchor_watch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.events import Event, EventKind, event_id
from pipeline.model import Reading
from pipeline.positioning.known_anchors import KnownAnchors
from pipeline.positioning.runs import MAX_RUNS, Run, joined
from pipeline.positioning.tag_flags import Flag, Taken
from pipeline.positioning.watched import Heard

MILLISECOND_US = 1000


@dataclass(frozen=True, slots=True)
class TagWatchSettings:
    """Bounds of the tag watch; times in microseconds.

    ``flag_tolerance_us`` is how far apart the stamps of one instant may lie: see :mod:`pipeline.positioning.tag_flags`.
    A tag silent for ``tag_memory_us`` is forgotten without a word. ``outage_window_us`` is by how much the anchor watch
    tells of a death later than it is one; 0: there is no anchor watch.

    Raises:
        ValueError: a time below a millisecond, which is what runners keep; or a tag forgotten before it is away.
    """

    tag_timeout_us: int = 60_000_000
    flag_tolerance_us: int = 2_000_000
    tag_memory_us: int = 30 * 86_400_000_000
    outage_window_us: int = 0

    def __post_init__(self) -> None:
        for name in ("tag_timeout_us", "flag_tolerance_us", "tag_memory_us"):
            if getattr(self, name) < MILLISECOND_US:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {MILLISECOND_US}, a millisecond")
        if self.tag_memory_us <= self.tag_timeout_us + self.told_after_us:
            raise ValueError(
                f"tag memory is {self.tag_memory_us / 1e6:g} s; expected more than the tag timeout "
                f"({self.tag_timeout_us / 1e6:g} s) and the outage window ({self.outage_window_us / 1e6:g} s)"
            )

    @property
    def told_after_us(self) -> int:
        """How long after a tag is away the verdict is due: all deaths of anchors up to then have been told by then."""
        return self.outage_window_us + MILLISECOND_US if self.outage_window_us else 0


@dataclass(slots=True)
class TagWatch:
    """One tag."""

    last_us: int = 0
    """When it was last heard; 0: not yet settled that it was."""
    away_us: int = 0
    """When it was found away; 0: it is not."""
    runs: list[Run] = field(default_factory=list)
    """When it was heard after that, not yet settled."""
    heard_by: dict[str, list[int]] = field(default_factory=dict)
    """The anchors that heard it, and when each did: within ``tag_timeout`` of the last time, and in the runs after.

    Of times no further apart than that the newest stands for all: they are of the same run.
    """
    newest_us: int = 0
    """The newest time of measurement, none taken for later than Kafka had it."""
    detached: Flag = field(default_factory=Flag)
    battery_low: Flag = field(default_factory=Flag)

    def take(self, reading: Heard | Reading, settings: TagWatchSettings) -> list[Event]:
        """Take one reading in; return what its flags say that is new. What its coming says is settled later."""
        at_us = reading.kafka_time_us
        if reading.detached == self.detached.value and reading.battery_low == self.battery_low.value:
            events = []
            self.newest_us = max(self.newest_us, min(reading.measured_at_us, at_us))
        else:
            events = self._flags(reading, settings)
        self._hear(reading.anchor, at_us, settings.tag_timeout_us)
        return events

    def advance(self, now_us: int, tag: str, anchors: KnownAnchors, settings: TagWatchSettings) -> list[Event]:
        """Tell what is due, given that no reading from before a Kafka time is still to come."""
        events: list[Event] = []
        while True:
            away_us = self._away_at_us(anchors, settings)
            heard_us = self.runs[0].first_us if self.runs else None
            if away_us is not None and (heard_us is None or away_us <= heard_us):
                if away_us + settings.told_after_us > now_us:
                    return events  # nor is its return told: whether it was away is not yet known
                self.away_us = away_us
                name = event_id(EventKind.TAG_AWAY, tag, self.last_us)
                events.append(Event(EventKind.TAG_AWAY.value, name, away_us - 1, tag=tag, last_seen_us=self.last_us))
            elif heard_us is not None and heard_us <= now_us:
                if self.away_us:
                    name = event_id(EventKind.TAG_BACK, tag, heard_us)
                    events.append(Event(EventKind.TAG_BACK.value, name, heard_us, tag=tag, last_seen_us=self.last_us))
                self.away_us = 0
                self.last_us = self.runs.pop(0).last_us
                self._absorb(settings.tag_timeout_us)
            else:
                return events

    def due_us(self, anchors: KnownAnchors, settings: TagWatchSettings) -> int:
        """Return the Kafka time at which :meth:`advance`, or forgetting the tag, is next due."""
        away_us = self._away_at_us(anchors, settings)
        if not self.runs:
            forgotten_us = self.last_us + settings.tag_memory_us
            return forgotten_us if away_us is None else min(away_us + settings.told_after_us, forgotten_us)
        heard_us = self.runs[0].first_us
        return heard_us if away_us is None or away_us > heard_us else away_us + settings.told_after_us

    def is_forgotten(self, now_us: int, settings: TagWatchSettings) -> bool:
        """Whether the tag has been silent for so long that nothing of it is kept."""
        return not self.runs and now_us >= self.last_us + settings.tag_memory_us

    def _flags(self, reading: Heard | Reading, settings: TagWatchSettings) -> list[Event]:
        events: list[Event] = []
        newest_us, tolerance_us = self.newest_us, settings.flag_tolerance_us
        taken = Taken.of(reading.measured_at_us, reading.kafka_time_us, tolerance_us)
        self.newest_us = max(newest_us, taken.stamped_us)
        if self.detached.take(value=reading.detached, taken=taken, newest_us=newest_us, tolerance_us=tolerance_us):
            kind = EventKind.TAG_DETACHED if reading.detached else EventKind.TAG_ATTACHED
            events.append(_changed(kind, reading, taken.at_us))
        low = reading.battery_low
        is_news = self.battery_low.take(value=low, taken=taken, newest_us=newest_us, tolerance_us=tolerance_us)
        if is_news and low:
            events.append(_changed(EventKind.BATTERY_LOW, reading, taken.at_us))
        return events

    def _hear(self, anchor: str, at_us: int, timeout_us: int) -> None:
        last_us = self.last_us
        if at_us < self.away_us or at_us < last_us - timeout_us:
            return
        times_us = self.heard_by.get(anchor)  # also if it is no news of the tag: of a batch, all have a time
        if times_us is None:
            self.heard_by[anchor] = [at_us]
        elif len(times_us) == 1 and 0 <= at_us - times_us[0] <= timeout_us:  # as nearly always
            times_us[0] = at_us
        else:
            times_us[:] = _with(times_us, at_us, timeout_us)
        if at_us <= last_us:
            return
        if last_us and not self.runs and not self.away_us and at_us - last_us <= timeout_us:  # as nearly always
            self.last_us = at_us
            self._forget_before(at_us - timeout_us)
        else:
            self.runs = joined(self.runs, Run(at_us, at_us), timeout_us)
            self._absorb(timeout_us)

    def _absorb(self, timeout_us: int) -> None:
        """Let what was heard without a gap since the tag was last heard be one with that."""
        is_heard = self.last_us and not self.away_us
        while is_heard and self.runs and self.runs[0].first_us - self.last_us <= timeout_us:
            self.last_us = max(self.last_us, self.runs.pop(0).last_us)
        self._forget_before(self.last_us - timeout_us)

    def _forget_before(self, oldest_us: int) -> None:
        """Forget by whom the tag was heard before a time."""
        for times_us in self.heard_by.values():
            if times_us[0] < oldest_us:
                recent = {key: [one for one in found if one >= oldest_us] for key, found in self.heard_by.items()}
                self.heard_by = {anchor: found for anchor, found in recent.items() if found}
                return

    def _away_at_us(self, anchors: KnownAnchors, settings: TagWatchSettings) -> int | None:
        """Return the first microsecond of too long a silence; None where all who heard the tag are dead."""
        if self.away_us or not self.last_us:
            return None
        heard_by = [anchor for anchor, times_us in self.heard_by.items() if times_us[0] <= self.last_us]
        missed_us = anchors.missed_us(heard_by, self.last_us, settings.tag_timeout_us)
        return None if missed_us is None else missed_us + 1


def _with(times_us: list[int], at_us: int, timeout_us: int) -> list[int]:
    """Return ordered times with one more, where the newest stands for those no further from it than the timeout."""
    near_us = [one for one in times_us if abs(one - at_us) <= timeout_us]
    return sorted([*(one for one in times_us if one not in near_us), max([at_us, *near_us])])[-MAX_RUNS:]


def _changed(kind: EventKind, reading: Heard | Reading, at_us: int) -> Event:
    name = event_id(kind, reading.tag, reading.kafka_time_us)
    return Event(kind.value, name, at_us, anchor=reading.anchor, tag=reading.tag, last_seen_us=reading.kafka_time_us)
