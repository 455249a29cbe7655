"""Polygons: read from GeoJSON, and what is wrong with one. Coordinates are metres in the site's frame."""

from __future__ import annotations

import math
from typing import Any

import orjson
import shapely
from shapely.validation import explain_validity

from pipeline.map_files import MapFiles
from pipeline.zones import Corner, Ring

_MIN_CORNERS = 3
_COORDINATES = (2, 3)


class PolygonError(ValueError):
    """A GeoJSON file that holds no polygon; the message says why."""


def read_geojson(path: str, files: MapFiles) -> tuple[Ring, ...]:
    """Return outline and cut-outs of the one polygon in a GeoJSON file (RFC 7946), bare, in a feature or a collection.

    As there, x comes before y; a third coordinate is passed over. Longitudes and latitudes would be taken for metres.

    Raises:
        PolygonError: the file cannot be read, or there is not exactly one polygon in it.
    """
    try:
        value = orjson.loads(files.read(path))
    except OSError as error:
        raise PolygonError(f"the file cannot be read: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise PolygonError(f"not valid JSON: {error}") from error
    polygon = _only_polygon(value)
    rings = polygon.get("coordinates")
    if not isinstance(rings, list) or not rings:
        raise PolygonError("the polygon has no coordinates")
    return tuple(_ring(ring) for ring in rings)


def polygon_fault(rings: tuple[Ring, ...]) -> str | None:
    """Tell what is wrong with a polygon: None, or that it has too few corners, crosses itself or has no area."""
    for ring in rings:
        corners = len(set(ring))
        if corners < _MIN_CORNERS:
            return f"the polygon has {corners} corners; expected at least {_MIN_CORNERS}"
    polygon = shapely.Polygon(rings[0], rings[1:])
    if not polygon.is_valid:
        return f"the polygon is not simple: {explain_validity(polygon)}; expected a line that does not meet itself"
    return None if polygon.area > 0.0 else "the polygon has no area: its corners are on one line"


def _only_polygon(value: Any) -> dict[str, Any]:
    while isinstance(value, dict) and value.get("type") in ("Feature", "FeatureCollection"):
        if value["type"] == "Feature":
            value = value.get("geometry")
            continue
        features = value.get("features")
        if not isinstance(features, list) or len(features) != 1:
            count = len(features) if isinstance(features, list) else 0
            raise PolygonError(f"the collection has {count} features; expected one, a Polygon")
        value = features[0]
    if isinstance(value, dict) and value.get("type") == "Polygon":
        return value
    found: Any = value.get("type") if isinstance(value, dict) else type(value).__name__
    raise PolygonError(f"the geometry is {found!r}; expected a Polygon")


def _ring(given: Any) -> Ring:
    corners = [_corner(one) for one in given] if isinstance(given, list) else []
    return tuple(corners[:-1] if corners and corners[0] == corners[-1] else corners)


def _corner(given: Any) -> Corner:
    if not isinstance(given, list) or len(given) not in _COORDINATES or not all(map(_is_number, given)):
        raise PolygonError(f"a corner is {given!r}; expected [x, y], two numbers of metres"[:200])
    return float(given[0]), float(given[1])


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given)
