"""Events as the JSON that other programs read."""

from __future__ import annotations

import json

import pytest

from pipeline.events import Event, EventKind, event_id
from pipeline.wire.events import encode_alive, encode_event
from tests.readings import us

DEAD = Event(
    EventKind.ANCHOR_DEAD.value, event_id(EventKind.ANCHOR_DEAD, "A0", us(0)), us(10), anchor="A0", last_seen_us=us(0)
)


def test_an_event_is_keyed_by_its_subject() -> None:
    key, value = encode_event(DEAD)
    assert key == b"A0"
    assert json.loads(value) == {
        "kind": "anchor_dead",
        "event_id": DEAD.event_id,
        "time": "2024-04-16T20:40:10.000Z",
        "site": None,
        "anchorid": "A0",
        "tagid": None,
        "zone": None,
        "last_seen": "2024-04-16T20:40:00.000Z",
        "map_version": None,
        "detail": "",
    }
    assert encode_event(DEAD._replace(anchor=None, site="hall"))[0] == b"hall"
    assert encode_event(DEAD._replace(tag="T"))[0] == b"T"


def test_a_death_as_the_bridge_reads_it() -> None:
    key, value = encode_alive(DEAD)
    assert key == b"A0"
    assert json.loads(value) == {
        "anchorid": "A0",
        "last_seen": "2024-04-16T20:40:00.000Z",
        "event_id": DEAD.event_id,
    }
    assert json.loads(encode_alive(DEAD._replace(last_seen_us=None))[1])["last_seen"] is None


def test_what_names_no_anchor_is_no_alarm() -> None:
    with pytest.raises(ValueError, match="names no anchor"):
        encode_alive(DEAD._replace(anchor=None, site="hall"))


def test_names_of_events_do_not_change_and_tell_events_apart() -> None:
    assert event_id(EventKind.ANCHOR_DEAD, "A0", us(0)) == "1c46aebde8e8d15c09a87a4e"
    names = {event_id(kind, subject, at_us) for kind in EventKind for subject in ("A0", "A1") for at_us in (1, 2)}
    assert len(names) == len(EventKind) * 4
