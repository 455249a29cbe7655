"""Events to the JSON that other programs read."""

from __future__ import annotations

import orjson

from pipeline.events import Event, subject_of
from pipeline.wire.encode import iso_utc


def encode_event(event: Event) -> tuple[bytes, bytes]:
    """Return key (the subject: tag, anchor or site) and value of the ``site_events`` record."""
    value = {
        "kind": event.kind,
        "event_id": event.event_id,
        "time": iso_utc(event.at_us),
        "site": event.site,
        "anchorid": event.anchor,
        "tagid": event.tag,
        "zone": event.zone,
        "last_seen": None if event.last_seen_us is None else iso_utc(event.last_seen_us),
        "map_version": event.map_version,
        "detail": event.detail,
    }
    return subject_of(event).encode(), orjson.dumps(value)


def encode_alive(event: Event) -> tuple[bytes, bytes]:
    """Return key (the anchor) and value of the ``out_alive`` record for the death of an anchor.

    Who reads that topic takes every record for an alarm, so nothing but deaths may be given.

    Raises:
        ValueError: an event that is not of an anchor.
    """
    if event.anchor is None:
        raise ValueError(f"a {event.kind} event names no anchor; out_alive tells of anchors only")
    value = {
        "anchorid": event.anchor,
        "last_seen": None if event.last_seen_us is None else iso_utc(event.last_seen_us),
        "event_id": event.event_id,
    }
    return event.anchor.encode(), orjson.dumps(value)
