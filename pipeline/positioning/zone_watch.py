"""Which zones a tag is in: its entries and exits, and the alarm when it leaves its home zone.

Time is that of positions. Whatever is due by a position's time is settled before the position is looked at, so the same
positions in the same order give the same events, live or replayed; a timer does for the last position of a tag what the
next would have done. Timers know Kafka's time only. What is due some time after a position, by the positions' time, is
therefore waited for as long after that position's Kafka time, and then for as long as a position may be late.

A tag enters when it is surely inside. It is in the zone until it is surely outside by as much as the tolerances let it,
so one on the border is told neither in nor out over and over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.events import Event, EventKind, event_id
from pipeline.positioning.zone_border import Border, Borders, Certainty, borders, probability
from pipeline.zones import Whereabouts, Zone

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ZoneWatchSettings:
    """Bounds of the watch; times in microseconds.

    ``position_delay_us`` is how much later than the one before a position may reach the watch, beyond what lies between
    their times. A tag silent for ``expiry_us`` is forgotten, in whatever zone it was; no exit is told for that.

    Raises:
        ValueError: a negative delay, or a tag forgotten before its position can be late.
    """

    certainty: Certainty = field(default_factory=Certainty)
    position_delay_us: int = 2_250_000
    expiry_us: int = 30 * DAY_US

    def __post_init__(self) -> None:
        if self.position_delay_us < 0:
            raise ValueError(f"the delay of positions is {self.position_delay_us}; expected 0 or more microseconds")
        if self.expiry_us <= self.position_delay_us:
            raise ValueError(f"tags expire after {self.expiry_us} µs; expected more than {self.position_delay_us}")


class ZonePlan:
    """The zones of a site as the watch needs them."""

    def __init__(self, zones: Mapping[str, Zone], homes: Mapping[str, str], settings: ZoneWatchSettings) -> None:
        self.settings = settings
        self.borders: Borders = borders(zones, settings.certainty)
        self.homes = homes
        self.enter_sigmas = settings.certainty.enter_sigmas
        self.leave_sigmas = settings.certainty.leave_sigmas

    def home(self, tag: str) -> str:
        """Return the zone that a tag belongs in; empty without one on the map."""
        zone_id = self.homes.get(tag, "")
        return zone_id if zone_id in self.borders else ""


@dataclass(slots=True)
class Stay:
    """A tag's stay in one zone. Times in microseconds; 0 is none."""

    entered_at_us: int
    """When the entry was told; 0 for a home zone that the tag has not been seen in since it has been its home, but is
    taken to be in."""
    inside_at_us: int
    """The last position that counts as inside."""
    outside_since_us: int = 0
    """The first of the positions, up to the latest, that are surely outside."""
    exit_due_us: int = 0
    """When the exit is told, unless the tag comes back before."""


@dataclass(slots=True)
class ZoneWatch:
    """The zones that one tag is in. Times in microseconds."""

    at_us: int = 0
    """The time of the newest position taken; 0 before the first."""
    kafka_time_us: int = 0
    """The newest Kafka time of a position taken."""
    stays: dict[str, Stay] = field(default_factory=dict)
    """By the zone's id."""
    home: str | None = None
    """The home zone that the tag was last held against, empty for none: another is one that it has been given since.
    None where it is not known, in the state of earlier versions; what these told of is not told again."""

    def copy(self) -> ZoneWatch:
        """Return a watch that changes on its own."""
        return replace(self, stays={zone_id: replace(stay) for zone_id, stay in self.stays.items()})

    def take(self, where: Whereabouts, plan: ZonePlan) -> list[Event]:
        """Take one position of the tag in; return the events that follow from it, in order of time.

        A position no newer than one already taken is passed over: no two entries are of one time.
        """
        if where.at_us <= self.at_us:
            return []
        events = self.advance(where.at_us, where.tag, plan)
        if self.is_forgotten(where.kafka_time_us, plan.settings):
            self.at_us, self.kafka_time_us, self.stays = 0, 0, {}
        self._begin_at_home(plan.home(where.tag), where.at_us)
        self.at_us, self.kafka_time_us = where.at_us, max(self.kafka_time_us, where.kafka_time_us)
        for zone_id, border in plan.borders.items():
            stay = self.stays.get(zone_id)
            if stay is None and not border.may_hold(where):
                continue
            if stay is not None:
                self._follow(stay, border, where, plan)
            if stay is None or not stay.entered_at_us:
                events.extend(self._entered(border, where, plan))
        events.extend(self.advance(where.at_us, where.tag, plan))
        return events

    def advance(self, now_us: int, tag: str, plan: ZonePlan) -> list[Event]:
        """Settle what is due at a time of positions; harmless if nothing is, and if called again."""
        self._follow_map(plan, tag)
        due = [(stay.exit_due_us, zone_id) for zone_id, stay in self.stays.items() if 0 < stay.exit_due_us <= now_us]
        return [event for _, zone_id in sorted(due) for event in self._left(tag, zone_id, plan)]

    def advance_by_kafka(self, kafka_now_us: int, tag: str, plan: ZonePlan) -> list[Event]:
        """Settle what is due at a Kafka time, as a timer does; harmless as :meth:`advance` is."""
        delay_us = plan.settings.position_delay_us
        return self.advance(self.at_us + kafka_now_us - self.kafka_time_us - delay_us, tag, plan)

    def due_us(self, settings: ZoneWatchSettings) -> int:
        """Return the Kafka time at which a timer has something to settle, or else may forget the tag."""
        due = [stay.exit_due_us - self.at_us for stay in self.stays.values() if stay.exit_due_us]
        if not due:
            return self.kafka_time_us + settings.expiry_us + settings.position_delay_us
        return self.kafka_time_us + min(due) + settings.position_delay_us

    def is_forgotten(self, kafka_now_us: int, settings: ZoneWatchSettings) -> bool:
        """Whether the tag has been silent for so long that nothing of it need be kept."""
        is_waiting = any(stay.exit_due_us for stay in self.stays.values())
        return bool(self.at_us) and not is_waiting and kafka_now_us >= self.kafka_time_us + settings.expiry_us

    def _follow_map(self, plan: ZonePlan, tag: str) -> None:
        """Drop the stays in zones that are no longer on the map, and a home that is no longer the tag's.

        A home that is taken away and given back, with a position or a timer in between, is so given anew.
        """
        self.stays = {zone_id: stay for zone_id, stay in self.stays.items() if zone_id in plan.borders}
        home = plan.home(tag)
        if self.home is None:
            self.home = home
        elif self.home != home:
            self.home = ""

    def _begin_at_home(self, home: str, at_us: int) -> None:
        """Take the tag to be in a home that is new to it, so that its absence is told of, once, like an exit."""
        is_new = not self.at_us or self.home != home
        self.home = home
        stay = self.stays.get(home)
        if home and is_new and (stay is None or not stay.entered_at_us):
            self.stays[home] = Stay(0, at_us)

    def _follow(self, stay: Stay, border: Border, where: Whereabouts, plan: ZonePlan) -> None:
        """Note whether a position still counts as inside, and when the exit is due if no other does."""
        zone, at_us = border.zone, where.at_us
        if border.sigmas(where) > plan.leave_sigmas:
            stay.inside_at_us, stay.outside_since_us, stay.exit_due_us = at_us, 0, 0
            return
        stay.outside_since_us = stay.outside_since_us or at_us
        tolerated_until_us = stay.outside_since_us + zone.tolerance_timeout_us
        is_tolerated = at_us < tolerated_until_us and border.sigmas(where, zone.exit_tolerance_m) > plan.leave_sigmas
        if is_tolerated:
            stay.inside_at_us = at_us
        over_us = tolerated_until_us if is_tolerated else at_us
        stay.exit_due_us = max(over_us, stay.inside_at_us + zone.exit_delay_us)

    def _entered(self, border: Border, where: Whereabouts, plan: ZonePlan) -> Iterator[Event]:
        sigmas = border.sigmas(where)
        if sigmas >= plan.enter_sigmas:
            self.stays[border.zone.id] = Stay(where.at_us, where.at_us)
            detail = f"inside with a probability of {probability(sigmas):.4g}"
            yield _event(EventKind.ZONE_ENTRY, where.tag, border.zone.id, (where.at_us, where.at_us), detail)

    def _left(self, tag: str, zone_id: str, plan: ZonePlan) -> Iterator[Event]:
        stay = self.stays.pop(zone_id)
        at_us, seen_us = stay.exit_due_us, stay.inside_at_us
        if stay.entered_at_us:
            detail = f"was inside for {(seen_us - stay.entered_at_us) / 1e6:.1f} s"
            yield _event(EventKind.ZONE_EXIT, tag, zone_id, (at_us, seen_us), detail)
        if plan.home(tag) == zone_id:
            self.home = zone_id  # also where the zone became its home while the exit was waited for
            was_there = bool(stay.entered_at_us)
            detail = "has left its home zone" if was_there else "is not in its home zone, and has not been seen there"
            times = (at_us, seen_us if was_there else None)
            yield _event(EventKind.HOME_ZONE_LEFT, tag, zone_id, times, f"the tag {detail}")


def _event(kind: EventKind, tag: str, zone: str, times: tuple[int, int | None], detail: str) -> Event:
    at_us, last_seen_us = times
    return Event(
        kind=kind.value,
        event_id=event_id(kind, f"{tag} {zone}", at_us),
        at_us=at_us,
        tag=tag,
        zone=zone,
        last_seen_us=last_seen_us,
        detail=detail,
    )
