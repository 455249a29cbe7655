"""What is heard of a site's anchors, and what the pipeline tells of the site besides positions: one record an event.

Times are integer microseconds since 1970-01-01 UTC. The same event has the same ``event_id`` however often it is told,
as after a crash: who reads events can drop those that they have.
"""

from __future__ import annotations

import enum
import hashlib
import struct
from typing import NamedTuple


class Sighting(NamedTuple):
    """A record of an anchor: when Kafka had it, and what the anchor's clock said, right or wrong (None: nothing)."""

    anchor: str
    kafka_time_us: int
    stamped_us: int | None


class EventKind(str, enum.Enum):
    """The closed list of events."""

    ANCHOR_DEAD = "anchor_dead"
    ANCHOR_BACK = "anchor_back"
    SITE_OUTAGE = "site_outage"
    SITE_BACK = "site_back"
    CLOCK_SKEWED = "clock_skewed"
    CLOCK_RIGHT = "clock_right"
    TAG_AWAY = "tag_away"
    TAG_BACK = "tag_back"
    TAG_DETACHED = "tag_detached"
    TAG_ATTACHED = "tag_attached"
    BATTERY_LOW = "battery_low"
    ZONE_ENTRY = "zone_entry"
    ZONE_EXIT = "zone_exit"
    HOME_ZONE_LEFT = "home_zone_left"
    MAP_CHANGED = "map_changed"
    MAP_REFUSED = "map_refused"


class Event(NamedTuple):
    """One thing that became true of an anchor, a tag, a whole site or its map.

    Attributes:
        kind: a value of :class:`EventKind`.
        event_id: 24 hex digits, see :func:`event_id`.
        at_us: when it became true: Kafka time; of a tag's flags, the time of measurement, or Kafka's if the anchor's
            clock may be behind; of a map, a worker's.
        site: the site's name, where the event is of a whole site or its map.
        anchor: the anchor it is about.
        tag: the tag it is about.
        zone: the zone it is about.
        last_seen_us: Kafka time at which the subject had last been heard; None where it never was, or is not asked.
        map_version: the version of the site map that it is about.
        detail: the same in words, empty where there is no more to say.
    """

    kind: str
    event_id: str
    at_us: int
    site: str | None = None
    anchor: str | None = None
    tag: str | None = None
    zone: str | None = None
    last_seen_us: int | None = None
    map_version: str | None = None
    detail: str = ""


def subject_of(event: Event) -> str:
    """Return what an event is about: tag, anchor or site.

    Not a method: between two workers Beam's row coder makes a tuple of the same fields, and nothing else.
    """
    return event.tag or event.anchor or event.site or ""


def event_id(kind: EventKind, subject: str, number: int) -> str:
    """Return 24 hex digits (96 bits of BLAKE2b) over kind, subject and what tells such events apart, mostly a time."""
    digest = hashlib.blake2b(digest_size=12)
    for text in (kind.value.encode(), subject.encode()):
        digest.update(struct.pack(">I", len(text)))
        digest.update(text)
    digest.update(struct.pack(">q", number))
    return digest.hexdigest()
