"""Positions, entries and exits, and zones as an omlox Hub (API 2.0.0) takes them.

Ids of fences and of their events are UUIDs made of the site's and our own ids, so that the same zone and the same event
have the same id whoever writes them; our own id of a zone goes along as ``foreign_id``. Coordinates are local: metres
in the site's frame. Times are ISO 8601 in UTC with milliseconds; durations are milliseconds, as everywhere in omlox.
There is no clock here: when something is sent, whoever sends it says.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import orjson

from pipeline.events import Event, EventKind
from pipeline.model import Position
from pipeline.wire.encode import accuracy_m, iso_utc
from pipeline.zones import Ring, Zone

_OURS = uuid.UUID("6f1c6a52-2f0b-5d0e-9a39-7c8b1d1f4e11")
"""The namespace of our UUIDs."""
_MILLISECOND_US = 1000

Object = dict[str, Any]
"""An omlox object; fields that are not known are left out."""

_EVENT_TYPES = {EventKind.ZONE_ENTRY.value: "region_entry", EventKind.ZONE_EXIT.value: "region_exit"}


def fence_id(site: str, zone_id: str) -> str:
    """Return the UUID of a site's zone."""
    return str(uuid.uuid5(_OURS, orjson.dumps(["fence", site, zone_id]).decode()))


def location(position: Position, site: str, sent_at_us: int) -> Object:
    """Return the Location of a position.

    Args:
        position: what is told.
        site: the site's name, which a hub knows the frame by.
        sent_at_us: when it is sent, microseconds since 1970.
    """
    readings, refused = position.readings, set(position.refused)
    height = [] if position.z_m is None else [position.z_m]
    properties = {
        "detached": any(reading.detached for reading in readings),
        "battery_low": any(reading.battery_low for reading in readings),
        "anchors": [reading.anchor for reading in readings if reading.anchor not in refused],
        "residual": position.residual_m,
        "gdop": position.gdop,
        "fix_id": position.fix_id,
        "map_version": position.map_version,
    }
    return _known(
        position={"type": "Point", "coordinates": [position.x_m, position.y_m, *height]},
        source=site,
        provider_type="uwb",
        provider_id=position.tag,
        timestamp_generated=iso_utc(position.at_us),
        timestamp_sent=iso_utc(sent_at_us),
        crs="local",
        accuracy=accuracy_m(position),
        speed=position.speed_m_s,
        course=position.course_deg,
        properties=_known(**properties),
    )


def fence_event(event: Event, site: str) -> Object | None:
    """Return the FenceEvent of an entry or an exit; None for events that omlox does not know."""
    event_type = _EVENT_TYPES.get(event.kind)
    if event_type is None or event.zone is None or event.tag is None:
        return None
    is_entry = event.kind == EventKind.ZONE_ENTRY.value
    return {
        "id": str(uuid.uuid5(_OURS, orjson.dumps(["event", site, event.event_id]).decode())),
        "fence_id": fence_id(site, event.zone),
        "event_type": event_type,
        "provider_id": event.tag,
        "foreign_id": event.zone,
        "entry_time" if is_entry else "exit_time": iso_utc(event.at_us),
        "properties": {"event_id": event.event_id},
    }


def fence(zone: Zone, site: str) -> Object:
    """Return the Fence of a zone. One with a height range stands at the lowest height, extruded up to the highest."""
    base = () if zone.z_m is None else zone.z_m[:1]
    return _known(
        id=fence_id(site, zone.id),
        region={"type": "Polygon", "coordinates": [_closed(ring, base) for ring in zone.rings]},
        extrusion=None if zone.z_m is None else zone.z_m[1] - zone.z_m[0],
        floor=zone.floor,
        foreign_id=zone.id,
        name=zone.name or zone.id,
        exit_tolerance=zone.exit_tolerance_m,
        tolerance_timeout=_millis(zone.tolerance_timeout_us),
        exit_delay=_millis(zone.exit_delay_us),
        crs="local",
        zone_id=site,
    )


def fences(zones: Iterable[Zone], site: str) -> bytes:
    """Return the fences of a site as the JSON array that a hub is given once."""
    return orjson.dumps([fence(zone, site) for zone in zones])


def encode_location(position: Position, site: str, sent_at_us: int) -> tuple[bytes, bytes]:
    """Return key (the tag id) and value of a Location; arguments as for :func:`location`."""
    return position.tag.encode(), orjson.dumps(location(position, site, sent_at_us))


def encode_fence_event(event: Event, site: str) -> tuple[bytes, bytes] | None:
    """Return key (the tag id) and value of a FenceEvent, or None as :func:`fence_event`."""
    told = fence_event(event, site)
    return None if told is None else ((event.tag or "").encode(), orjson.dumps(told))


def _known(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value is not None}


def _closed(ring: Ring, base: tuple[float, ...]) -> list[list[float]]:
    """Return a ring as GeoJSON has it, at a height if one is given: the first corner once more at the end."""
    return [[*corner, *base] for corner in (*ring, ring[0])]


def _millis(time_us: int) -> int:
    return round(time_us / _MILLISECOND_US)
