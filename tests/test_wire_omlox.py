"""What an omlox hub is given, held against our own statement of the standard's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Event, EventKind
from pipeline.model import Position
from pipeline.wire.omlox import encode_fence_event, encode_location, fence, fence_event, fence_id, fences, location
from pipeline.zones import Zone
from tests.readings import reading, us

SCHEMA = json.loads((Path(__file__).parent / "omlox.schema.json").read_text(encoding="utf-8"))
TAG = "0003FFDDEEFF0000"
POSITION = Position(
    fix_id="f1",
    tag=TAG,
    at_us=us(1.25),
    x_m=1.5,
    y_m=-2.0,
    z_m=None,
    cov_xx_m2=None,
    cov_xy_m2=None,
    cov_yy_m2=None,
    var_zz_m2=None,
    speed_m_s=None,
    course_deg=None,
    residual_m=None,
    gdop=None,
    nis=None,
    nis_dof=0,
    refused=["A1"],
    map_version="5d41402abc4b",
    readings=[reading("A0"), reading("A1"), reading("A2")._replace(detached=True)],
)
ZONE = Zone("dock", (((0.0, 0.0), (4.0, 0.0), (4.0, 4.0)),))
ENTRY = Event(EventKind.ZONE_ENTRY.value, "e1", us(1.25), tag=TAG, zone="dock", last_seen_us=us(1.25), detail="in")


def check(told: Any, name: str) -> None:
    """Hold an object against the standard, after a trip through JSON."""
    schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(told)))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        check({"id": "x"}, "Fence")


def test_a_location_has_all_that_is_known_and_leaves_out_the_rest() -> None:
    told = location(POSITION, "hall", us(2.0))
    check(told, "Location")
    assert told == {
        "position": {"type": "Point", "coordinates": [1.5, -2.0]},
        "source": "hall",
        "provider_type": "uwb",
        "provider_id": TAG,
        "timestamp_generated": "2024-04-16T20:40:01.250Z",
        "timestamp_sent": "2024-04-16T20:40:02.000Z",
        "crs": "local",
        "properties": {
            "detached": True,
            "battery_low": False,
            "anchors": ["A0", "A2"],
            "fix_id": "f1",
            "map_version": "5d41402abc4b",
        },
    }


def test_a_tracked_position_with_height_has_more_to_tell() -> None:
    position = POSITION._replace(
        z_m=1.2, cov_xx_m2=0.01, cov_xy_m2=0.0, cov_yy_m2=0.03, speed_m_s=1.5, course_deg=90.0, residual_m=0.1, gdop=1.4
    )
    told = location(position, "hall", us(2.0))
    check(told, "Location")
    assert told["position"]["coordinates"] == [1.5, -2.0, 1.2]
    assert told["accuracy"] == pytest.approx(0.02**0.5)
    assert (told["speed"], told["course"]) == (1.5, 90.0)
    assert (told["properties"]["residual"], told["properties"]["gdop"]) == (0.1, 1.4)


numbers = st.floats(-1e6, 1e6)
variances = st.none() | st.floats(0.0, 1e4)


positions = st.builds(
    POSITION._replace,
    x_m=numbers,
    y_m=numbers,
    z_m=st.none() | numbers,
    cov_xx_m2=variances,
    cov_yy_m2=variances,
    speed_m_s=st.none() | st.floats(0.0, 100.0),
    tag=st.text(min_size=1),
)


@given(positions)
def test_any_position_is_a_location(position: Position) -> None:
    key, value = encode_location(position, "hall", us(2.0))
    check(json.loads(value), "Location")
    assert key == position.tag.encode()


def test_an_entry_and_an_exit_are_fence_events() -> None:
    entry = fence_event(ENTRY, "hall")
    check(entry, "FenceEvent")
    assert entry is not None
    assert entry["event_type"] == "region_entry"
    assert (entry["fence_id"], entry["foreign_id"], entry["provider_id"]) == (fence_id("hall", "dock"), "dock", TAG)
    assert entry["entry_time"] == "2024-04-16T20:40:01.250Z"
    exit_ = fence_event(ENTRY._replace(kind=EventKind.ZONE_EXIT.value, event_id="e2"), "hall")
    check(exit_, "FenceEvent")
    assert exit_ is not None
    assert exit_["event_type"] == "region_exit"
    assert exit_["exit_time"] == "2024-04-16T20:40:01.250Z"
    assert "entry_time" not in exit_
    assert exit_["id"] != entry["id"]
    assert encode_fence_event(ENTRY, "hall") == (TAG.encode(), json.dumps(entry, separators=(",", ":")).encode())


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind.value not in ("zone_entry", "zone_exit")])
def test_other_events_are_none(kind: EventKind) -> None:
    assert fence_event(ENTRY._replace(kind=kind.value), "hall") is None
    assert encode_fence_event(ENTRY._replace(kind=kind.value), "hall") is None


def test_a_zone_is_a_fence_with_closed_rings_and_milliseconds() -> None:
    told = fence(ZONE, "hall")
    check(told, "Fence")
    assert told == {
        "id": fence_id("hall", "dock"),
        "region": {"type": "Polygon", "coordinates": [[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]]]},
        "foreign_id": "dock",
        "name": "dock",
        "exit_tolerance": 0.0,
        "tolerance_timeout": 0,
        "exit_delay": 0,
        "crs": "local",
        "zone_id": "hall",
    }


def test_a_zone_with_heights_stands_at_the_lowest() -> None:
    hole = ((1.0, 0.5), (2.0, 0.5), (2.0, 1.0))
    told = fence(Zone("dock", (*ZONE.rings, hole), "The dock", (1.0, 3.5), 2.0, 0.5, 2_500_000, 10_000_000), "hall")
    check(told, "Fence")
    outline, cut_out = told["region"]["coordinates"]
    assert outline[0] == outline[-1] == [0.0, 0.0, 1.0]
    assert len(cut_out) == 4
    assert (told["extrusion"], told["floor"], told["name"]) == (2.5, 2.0, "The dock")
    assert (told["exit_tolerance"], told["tolerance_timeout"], told["exit_delay"]) == (0.5, 2500, 10_000)


def test_the_fences_of_a_site_are_one_array() -> None:
    told = json.loads(fences([ZONE, Zone("yard", ZONE.rings)], "hall"))
    assert [one["foreign_id"] for one in told] == ["dock", "yard"]
    for one in told:
        check(one, "Fence")


def test_ids_are_lasting_and_a_sites_own() -> None:
    """Whoever changes this line changes the ids that hubs know."""
    assert fence_id("hall", "dock") == "2260d371-1c65-5a7c-bd64-1f823dad1421"
    assert len({fence_id("hall", "dock"), fence_id("hall", "yard"), fence_id("other", "dock")}) == 3
    assert fence_id("a", "b c") != fence_id("a b", "c")
