"""The zones of a site map, and which tags are at home in them: read and checked, each fault told of on its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline import site_values as values
from pipeline.map_files import MapFiles, beside
from pipeline.site_draft import Cell, Draft, Entry, Problem
from pipeline.site_polygons import PolygonError, polygon_fault, read_geojson
from pipeline.tag_identity import TagIdentity, tag_name
from pipeline.zones import Corner, Ring, Zone

_CORNERS = "expected a list of corners [x, y], two numbers of metres each"
_COORDINATES = 2
_LONG_S = 3600.0
"""Tolerances longer than this look like omlox's milliseconds."""


def tag_identity(cell: Cell | None, problems: list[Problem]) -> TagIdentity:
    """Return how tag ids are read: as they are where nothing is said, or where it cannot be read."""
    if cell is None:
        return TagIdentity.WHOLE
    try:
        return TagIdentity(cell.text)
    except ValueError:
        expected = " or ".join(identity.value for identity in TagIdentity)
        problems.append(Problem.error(cell.line, f"`tag_identity` is {cell}; expected {expected}"))
        return TagIdentity.WHOLE


class MapPlace(NamedTuple):
    """Where a map was found, and through what the files that it names are read."""

    path: str
    files: MapFiles


def zones(draft: Draft, found: MapPlace, problems: list[Problem]) -> dict[str, Zone]:
    """Return the zones that can be read, by id; GeoJSON files are looked for from the map's folder."""
    first_lines: dict[str, int] = {}
    read: list[Zone] = []
    for number, entry in enumerate(draft.zones, start=1):
        if not entry.cells:
            problems.append(Problem.error(entry.line, f"zone {number} has no values; expected {{id, polygon}}"))
            continue
        zone_id = values.name(entry, f"zone {number}: id", "id", problems)
        if zone_id and zone_id in first_lines:
            what = f"zone {zone_id!r}: the id is given twice; it already stands on line {first_lines[zone_id]}"
            problems.append(Problem.error(entry.cells["id"].line, what))
        if zone_id:
            first_lines.setdefault(zone_id, entry.cells["id"].line)
        zone = _zone(zone_id, f"zone {zone_id!r}" if zone_id else f"zone {number}", entry, found, problems)
        if zone is not None:
            read.append(zone)
    _check_floors(read, first_lines, problems)
    return {zone.id: zone for zone in read}


def home_zones(draft: Draft, identity: TagIdentity, problems: list[Problem]) -> dict[str, str]:
    """Return the home zone of each tag, by the id that is given out for it."""
    zone_ids = {entry.cells["id"].text for entry in draft.zones if "id" in entry.cells}
    homes: dict[str, str] = {}
    for tag_id, cell in draft.home_zones.cells.items():
        name = tag_name(tag_id, identity)
        if name is None:
            what = f"`home_zones`: the tag id is {tag_id!r}; expected 16 hex digits, as `tag_identity` says"
            problems.append(Problem.error(cell.line, what))
        elif name.tag in homes:
            what = f"`home_zones`: tag {tag_id!r} is given twice: its id without its state is {name.tag}"
            problems.append(Problem.error(cell.line, what))
        elif cell.is_list_or_mapping or cell.text not in zone_ids:
            what = f"`home_zones`: the zone of tag {tag_id!r} is {cell}; expected the id of one of `zones`"
            problems.append(Problem.error(cell.line, what))
        else:
            homes[name.tag] = cell.text
    return homes


def _zone(zone_id: str, label: str, entry: Entry, found: MapPlace, problems: list[Problem]) -> Zone | None:
    cells = entry.cells
    rings = _rings(label, entry, found, problems)
    floor_cell = cells.get("floor")
    floor = None if floor_cell is None else floor_cell.number()
    if floor_cell is not None and floor is None:
        problems.append(
            Problem.error(floor_cell.line, f"{label}: floor is {floor_cell}; expected a number, 0 is ground")
        )
    tolerance_m = values.number_from_0(cells.get("exit_tolerance"), f"{label}: exit_tolerance", "metres", problems)
    timeout_us = _micros(cells.get("tolerance_timeout"), f"{label}: tolerance_timeout", problems)
    if tolerance_m and "tolerance_timeout" not in cells:
        what = f"{label}: exit_tolerance is of no use without tolerance_timeout, for how long it holds"
        problems.append(Problem.warning(cells["exit_tolerance"].line, what))
    if rings is None:
        return None
    return Zone(
        id=zone_id,
        rings=rings,
        name=values.name(entry, f"{label}: name", "name", problems) if "name" in cells else "",
        z_m=values.length_range(cells.get("z"), f"{label}: z", problems),
        floor=floor,
        exit_tolerance_m=tolerance_m,
        tolerance_timeout_us=timeout_us,
        exit_delay_us=_micros(cells.get("exit_delay"), f"{label}: exit_delay", problems),
    )


def _micros(cell: Cell | None, what: str, problems: list[Problem]) -> int:
    seconds = values.number_from_0(cell, what, "seconds", problems)
    if cell is not None and seconds > _LONG_S:
        text = f"{what} is {cell} s, more than an hour; it is in seconds here, in milliseconds at an omlox hub"
        problems.append(Problem.warning(cell.line, text))
    return round(seconds * 1e6)


def _rings(label: str, entry: Entry, found: MapPlace, problems: list[Problem]) -> tuple[Ring, ...] | None:
    polygon, geojson = entry.cells.get("polygon"), entry.cells.get("geojson")
    if polygon is not None and geojson is not None:
        problems.append(Problem.error(geojson.line, f"{label}: polygon and geojson are both given; expected one"))
        return None
    if polygon is not None:
        return _drawn(label, polygon, problems)
    if geojson is not None:
        return _read(label, geojson, found, problems)
    problems.append(Problem.error(entry.line, f"{label}: polygon is missing; {_CORNERS}, or geojson: FILE"))
    return None


def _drawn(label: str, cell: Cell, problems: list[Problem]) -> tuple[Ring, ...] | None:
    if not cell.items:
        problems.append(Problem.error(cell.line, f"{label}: polygon is {cell}; {_CORNERS}"))
        return None
    corners: list[Corner] = []
    for number, item in enumerate(cell.items, start=1):
        corner = _corner(item)
        if corner is None:
            what = f"{label}: corner {number} is {values.written(item)}; expected [x, y], two numbers of metres"
            problems.append(Problem.error(item.line, what + values.comma_hint(item)))
        else:
            corners.append(corner)
    if len(corners) < len(cell.items):
        return None
    rings = (tuple(corners[:-1] if corners[0] == corners[-1] else corners),)
    return _checked(label, rings, cell.line, problems)


def _corner(cell: Cell) -> Corner | None:
    numbers = [item.number() for item in cell.items]
    x_m, y_m = numbers if len(numbers) == _COORDINATES else (None, None)
    return None if x_m is None or y_m is None else (x_m, y_m)


def _read(label: str, cell: Cell, found: MapPlace, problems: list[Problem]) -> tuple[Ring, ...] | None:
    if cell.is_list_or_mapping or not cell.text.strip():
        problems.append(Problem.error(cell.line, f"{label}: geojson is {cell}; expected the name of a file"))
        return None
    try:
        rings = read_geojson(beside(found.path, cell.text), found.files)
    except PolygonError as error:
        problems.append(Problem.error(cell.line, f"{label}: {cell.text}: {error}"))
        return None
    return _checked(label, rings, cell.line, problems)


def _checked(label: str, rings: tuple[Ring, ...], line: int, problems: list[Problem]) -> tuple[Ring, ...] | None:
    fault = polygon_fault(rings)
    if fault is None:
        return rings
    problems.append(Problem.error(line, f"{label}: {fault}"))
    return None


def _check_floors(found: Sequence[Zone], lines: Mapping[str, int], problems: list[Problem]) -> None:
    if len({zone.floor for zone in found} - {None}) > 1:
        for zone in found:
            if zone.floor is not None and zone.z_m is None and zone.id in lines:
                what = f"zone {zone.id!r}: floor says nothing of heights, and tags on other floors count as well"
                problems.append(Problem.warning(lines[zone.id], f"{what}; set z: [lowest, highest]"))
