"""The anchor watch: which anchors of a site are silent, whether all are, and whose clock is wrong.

An anchor silent for longer than ``anchor_timeout`` is dead. Told it is ``outage_window`` later, or when it returns
before that: by then it is known whether all anchors fell silent with it, which is one outage and no death.

Times are Kafka's (integer microseconds), and the records may come in any order: partitions are read at speeds of their
own, and after a restart one may be minutes ahead of another. So a record settles nothing. What it says is kept, as runs
without a gap worth mentioning, and settled in the order of time once it is certain that nothing earlier can come: when
the watermark is there, which is what a timer in event time says. The same records so give the same events, in whatever
order they come, however they are bundled, and whether a timer fires at once, late or twice; and while a backlog is read
there are no deaths but those that were.

A record that comes after all from before what is settled raises no dead: the anchor's next will.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipeline.events import Event, EventKind, Sighting, event_id
from pipeline.positioning.anchor_clock import AnchorClock
from pipeline.positioning.runs import Run, joined
from pipeline.site import Site

MILLISECOND_US = 1000
LATELY_US = 60_000_000
"""An outage is of all anchors heard within this time."""


@dataclass(frozen=True, slots=True)
class AnchorWatchSettings:
    """Bounds of the anchor watch; times in microseconds.

    An anchor's clock is judged by windows of ``skew_window_us`` and wrong where it is more than ``skew_limit_us`` off.

    Raises:
        ValueError: a time below a millisecond, which is what runners keep.
    """

    anchor_timeout_us: int = 10_000_000
    outage_window_us: int = 5_000_000
    skew_limit_us: int = 5_000_000
    skew_window_us: int = 60_000_000

    def __post_init__(self) -> None:
        for name in ("anchor_timeout_us", "outage_window_us", "skew_limit_us", "skew_window_us"):
            if getattr(self, name) < MILLISECOND_US:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {MILLISECOND_US}, a millisecond")

    @property
    def told_after_us(self) -> int:
        """After how long a silence the verdict is due: the first microsecond that is too long."""
        return self.anchor_timeout_us + self.outage_window_us + 1


class Standing(enum.IntEnum):
    """What has been told of an anchor. The numbers stand in savepoints."""

    WATCHED = 0
    DEAD = 1
    OUT = 2
    """Silent with all the others."""


class _Step(enum.IntEnum):
    """What happens at an instant, in this order: first what no record of that instant can change."""

    CLOCK = 0
    JUDGE = 1
    RETURN = 2


@dataclass(slots=True)
class WatchedAnchor:
    """What is known of one anchor."""

    standing: Standing = Standing.WATCHED
    last_us: int = 0
    """When it was last heard; 0: never."""
    silent_from_us: int = 0
    """From when its silence counts: the last time it was heard, or the end of an outage; 0: from the watch's start."""
    told_us: int = 0
    """When it was found dead or out."""
    runs: list[Run] = field(default_factory=list)
    """When it was heard after that, not yet settled."""
    clock: AnchorClock = field(default_factory=AnchorClock)

    def at_rest(self) -> WatchedAnchor:
        """Return what has been told of it, without what is not settled."""
        return replace(self, runs=[], clock=AnchorClock(self.clock.skewed))


@dataclass(slots=True)
class AnchorWatch:
    """The anchors of one site."""

    start_us: int = 0
    """Kafka time of the earliest record: from here on, who has not spoken is silent."""
    settled_us: int = 0
    """Up to where all has been told."""
    outage_us: int = 0
    """Since when there is an outage; 0: there is none."""
    anchors: dict[str, WatchedAnchor] = field(default_factory=dict)
    dead_off_map: dict[str, WatchedAnchor] = field(default_factory=dict)
    """Anchors taken off the map while they were dead: put back, they are dead until they are heard."""

    def add(self, sighting: Sighting, site: Site, settings: AnchorWatchSettings) -> None:
        """Take a record in; what follows, :meth:`advance` tells. An anchor not on the map only tells the time."""
        at_us = sighting.kafka_time_us
        if not self.settled_us:
            self.start_us = min(self.start_us or at_us, at_us)
        self._follow(site)
        anchor = self.anchors.get(sighting.anchor)
        if anchor is None:
            return
        window_us = settings.skew_window_us
        if sighting.stamped_us is not None and at_us - at_us % window_us + window_us > self.settled_us:
            anchor.clock.add(at_us, sighting.stamped_us, window_us)
        is_old = at_us <= anchor.last_us or at_us < anchor.told_us or at_us < anchor.silent_from_us
        if is_old and (anchor.last_us or anchor.told_us):
            anchor.last_us = max(anchor.last_us, at_us)
            return
        anchor.runs = joined(anchor.runs, Run(at_us, at_us), settings.anchor_timeout_us)
        self._absorb(anchor, settings)

    def advance(self, now_us: int, site: Site, settings: AnchorWatchSettings) -> list[Event]:
        """Tell what is due, given that no record from before a Kafka time is still to come; nothing if called again."""
        if not self.start_us:
            return []
        self._follow(site)
        events: list[Event] = []
        while (step := self._next(settings)) is not None and step[0] <= now_us:
            at_us, kind, _, name = step
            if kind is _Step.JUDGE:
                events.append(self._judge(at_us, name, site, settings))
            elif kind is _Step.RETURN:
                events.extend(self._return(at_us, name, site, settings))
            else:
                events.extend(self._close_window(at_us, name, settings))
        self.settled_us = max(self.settled_us, now_us)
        return events

    def due_us(self, settings: AnchorWatchSettings) -> int | None:
        """Return the Kafka time at which :meth:`advance` is next due; None: not before another record."""
        step = self._next(settings) if self.start_us else None
        return None if step is None else step[0]

    def _follow(self, site: Site) -> None:
        """Watch the anchors of the map, and no others. One that is new there is silent from then on.

        Who was told of a death is to be told of the return, also where the anchor was off the map in between. An outage
        is the site's and is not kept for an anchor: its end is told in any case.
        """
        if self.anchors.keys() == site.anchors.keys():
            return
        for name, anchor in self.anchors.items():
            if anchor.standing is Standing.DEAD and name not in site.anchors:
                self.dead_off_map[name] = anchor.at_rest()
        self.anchors = {name: anchor for name, anchor in self.anchors.items() if name in site.anchors}
        now_us = max([self.settled_us, *(anchor.last_us for anchor in self.anchors.values())])
        for name in site.anchors:
            if name in self.dead_off_map:
                self.anchors[name] = self.dead_off_map.pop(name)
            elif name not in self.anchors:
                from_us = now_us if self.settled_us else 0
                out = WatchedAnchor(Standing.OUT, silent_from_us=from_us, told_us=from_us)
                self.anchors[name] = out if self.outage_us else WatchedAnchor(silent_from_us=from_us)

    def _next(self, settings: AnchorWatchSettings) -> tuple[int, _Step, int, str] | None:
        """Return what is due next: when, what, from when the silence counts, anchor. The longest silent comes first."""
        steps = (step for name, anchor in self.anchors.items() for step in self._steps(name, anchor, settings))
        return min(steps, default=None)

    def _steps(
        self, name: str, anchor: WatchedAnchor, settings: AnchorWatchSettings
    ) -> Iterator[tuple[int, _Step, int, str]]:
        from_us = anchor.silent_from_us or self.start_us
        heard_us = anchor.runs[0].first_us if anchor.runs else None
        if anchor.standing is Standing.WATCHED:
            told_us = from_us + settings.told_after_us
            if heard_us is None or heard_us - from_us > settings.anchor_timeout_us:
                yield told_us if heard_us is None else min(told_us, heard_us), _Step.JUDGE, from_us, name
            else:
                yield heard_us, _Step.RETURN, from_us, name
        elif heard_us is not None:
            yield heard_us, _Step.RETURN, from_us, name
        closes_us = anchor.clock.due_us(settings.skew_window_us)
        if closes_us is not None:
            yield closes_us, _Step.CLOCK, 0, name

    def _judge(self, at_us: int, name: str, site: Site, settings: AnchorWatchSettings) -> Event:
        """Tell of an anchor that was silent for too long: that it is dead, or that all are.

        All are where none of the others that live has been heard since ``outage_window`` after this one was, and none
        died within the minute before: of those that were heard lately, all fell silent together.
        """
        anchor = self.anchors[name]
        from_us = anchor.silent_from_us or self.start_us
        watched = {key: one for key, one in self.anchors.items() if one.standing is Standing.WATCHED}
        newest_us = max(one.last_us for one in watched.values())
        in_window = newest_us <= from_us + settings.outage_window_us
        lately_us = newest_us - LATELY_US
        has_died_lately = any(
            one.standing is Standing.DEAD and one.last_us > lately_us for one in self.anchors.values() if one.last_us
        )
        is_all = in_window and not has_died_lately
        if newest_us and is_all and newest_us + settings.anchor_timeout_us < at_us:
            self.outage_us = at_us
            for one in watched.values():
                one.standing, one.told_us = Standing.OUT, at_us
            heard = ", ".join(sorted(key for key, one in watched.items() if one.last_us))
            return Event(
                EventKind.SITE_OUTAGE.value,
                event_id(EventKind.SITE_OUTAGE, site.name, newest_us),
                newest_us + settings.anchor_timeout_us,
                site=site.name,
                last_seen_us=newest_us,
                detail=f"all anchors fell silent within {settings.outage_window_us / 1e6:g} s: {heard}",
            )
        anchor.standing, anchor.told_us = Standing.DEAD, at_us
        return Event(
            EventKind.ANCHOR_DEAD.value,
            event_id(EventKind.ANCHOR_DEAD, name, anchor.last_us or from_us),
            from_us + settings.anchor_timeout_us,
            anchor=name,
            last_seen_us=anchor.last_us or None,
            detail="" if anchor.last_us else "not heard since the watch began",
        )

    def _return(self, at_us: int, name: str, site: Site, settings: AnchorWatchSettings) -> Iterator[Event]:
        """Take an anchor for heard from an instant on, and tell so where its silence had been told."""
        anchor = self.anchors[name]
        if self.outage_us:
            self.outage_us = 0
            for one in self.anchors.values():
                if one.standing is Standing.OUT:  # whether it comes back, too, is seen from now on
                    one.standing, one.silent_from_us = Standing.WATCHED, at_us
            name_of_event = event_id(EventKind.SITE_BACK, site.name, at_us)
            yield Event(EventKind.SITE_BACK.value, name_of_event, at_us, site=site.name)
        if anchor.standing is Standing.DEAD:
            yield Event(
                EventKind.ANCHOR_BACK.value,
                event_id(EventKind.ANCHOR_BACK, name, at_us),
                at_us,
                anchor=name,
                last_seen_us=anchor.last_us or None,
            )
        anchor.standing = Standing.WATCHED
        anchor.last_us = anchor.silent_from_us = anchor.runs.pop(0).last_us
        self._absorb(anchor, settings)

    def _close_window(self, at_us: int, name: str, settings: AnchorWatchSettings) -> Iterator[Event]:
        ahead_us = self.anchors[name].clock.close(settings.skew_limit_us)
        if ahead_us is not None:
            kind = EventKind.CLOCK_SKEWED if self.anchors[name].clock.skewed else EventKind.CLOCK_RIGHT
            detail = f"its clock is {abs(ahead_us) / 1e6:.1f} s {'ahead of' if ahead_us > 0 else 'behind'} Kafka's"
            yield Event(kind.value, event_id(kind, name, at_us), at_us, anchor=name, detail=detail)

    def _absorb(self, anchor: WatchedAnchor, settings: AnchorWatchSettings) -> None:
        """Let what was heard without a gap since the anchor was last heard be one with that."""
        is_heard = anchor.standing is Standing.WATCHED and anchor.last_us == anchor.silent_from_us > 0
        while is_heard and anchor.runs and anchor.runs[0].first_us - anchor.last_us <= settings.anchor_timeout_us:
            anchor.last_us = anchor.silent_from_us = max(anchor.last_us, anchor.runs.pop(0).last_us)
