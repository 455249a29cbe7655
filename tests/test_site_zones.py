"""Zones on the site map: what a good map gives, and each fault on its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.site import Problem, Site, TagIdentity, check_site, load_site
from pipeline.zones import Zone

BASE = """\
site: hall
anchors:
  - {id: A0, x: 2, y: 0}
  - {id: A1, x: 0, y: 2}
  - {id: A2, x: 2, y: 3}
"""
COMMA = " (a decimal comma? decimals take a point)"
CORNERS = "expected a list of corners [x, y], two numbers of metres each"
SQUARE = "[[0, 0], [4, 0], [4, 4], [0, 4]]"
RING = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(further: str) -> Path:
        path = tmp_path / "map.yaml"
        path.write_text(BASE + further)
        return path

    return write_file


def zone(written: str) -> str:
    """Zones of which the one in question is on line 7."""
    return f"zones:\n  - {written}\n"


def test_a_zone_with_all_that_it_can_have(write: Callable[[str], Path]) -> None:
    path = write(
        zone(
            f'{{id: dock, name: "The dock", polygon: {SQUARE}, z: [0, 3.5], floor: 1, '
            "exit_tolerance: 0.5, tolerance_timeout: 2.5, exit_delay: 10}"
        )
    )
    assert check_site(path) == []
    assert load_site(path).zones == {
        "dock": Zone("dock", (RING,), "The dock", (0.0, 3.5), 1.0, 0.5, 2_500_000, 10_000_000)
    }


def test_a_zone_needs_no_more_than_id_and_corners_and_may_be_closed(write: Callable[[str], Path]) -> None:
    path = write(zone("{id: dock, polygon: [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]}"))
    assert load_site(path).zones == {"dock": Zone("dock", (RING,))}


def test_a_map_without_zones_has_none(write: Callable[[str], Path]) -> None:
    site = load_site(write("zones:\nhome_zones:\n"))
    assert (site.zones, site.home_zones, site.tag_identity) == ({}, {}, TagIdentity.WHOLE)
    assert Site("hall", {}).zones == {}


def test_tags_have_home_zones(write: Callable[[str], Path]) -> None:
    site = load_site(write(zone(f"{{id: dock, polygon: {SQUARE}}}") + "home_zones:\n  T1: dock\n  0012: dock\n"))
    assert site.home_zones == {"T1": "dock", "0012": "dock"}


def test_home_zones_are_kept_under_the_id_that_is_given_out(write: Callable[[str], Path]) -> None:
    site = load_site(
        write(
            f"tag_identity: first12\nhome_zones: {{0003ffddeeff0001: dock}}\n{zone(f'{{id: dock, polygon: {SQUARE}}}')}"
        )
    )
    assert site.tag_identity is TagIdentity.FIRST12
    assert site.home_zones == {"0003FFDDEEFF0000": "dock"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (f"{{polygon: {SQUARE}}}", "zone 1: id is missing; expected text"),
        (f"{{id: 7, polygon: {SQUARE}}}", 'zone 1: id is 7, which YAML does not read as text; quote it: id: "7"'),
        ("dock", "zone 1 has no values; expected {id, polygon}"),
        (
            "{id: dock}",
            f"zone 'dock': polygon is missing; {CORNERS}, or geojson: FILE",
        ),
        (
            f"{{id: dock, polygon: {SQUARE}, geojson: dock.json}}",
            "zone 'dock': polygon and geojson are both given; expected one",
        ),
        (
            "{id: dock, polygon: 4}",
            f"zone 'dock': polygon is 4; {CORNERS}",
        ),
        (
            "{id: dock, polygon: [[0, 0], [4, north], [4, 4]]}",
            "zone 'dock': corner 2 is [4, north]; expected [x, y], two numbers of metres",
        ),
        (
            "{id: dock, polygon: [[0, 0], 4, [4, 4]]}",
            "zone 'dock': corner 2 is 4; expected [x, y], two numbers of metres",
        ),
        (
            "{id: dock, polygon: [[0, 0], [4,5, 1], [4, 4]]}",
            f"zone 'dock': corner 2 is [4, 5, 1]; expected [x, y], two numbers of metres{COMMA}",
        ),
        (
            f"{{id: dock, polygon: {SQUARE}, exit_delay: 2,5}}",
            "zone 1: '5' is not known and has no value; a decimal comma? write 2.5",
        ),
        (
            "{id: dock, polygon: [[0, 0], [4, 0], [0, 0]]}",
            "zone 'dock': the polygon has 2 corners; expected at least 3",
        ),
        (
            "{id: dock, polygon: [[0, 0], [4, 4], [4, 0], [0, 4]]}",
            "zone 'dock': the polygon is not simple: Self-intersection[2 2]; expected a line that does not meet itself",
        ),
        (f"{{id: dock, polygon: {SQUARE}, z: [3, 1]}}", "zone 'dock': z is [3, 1]; "),
        (f"{{id: dock, polygon: {SQUARE}, floor: up}}", "zone 'dock': floor is up; expected a number, 0 is ground"),
        (f"{{id: dock, polygon: {SQUARE}, name: [a]}}", "zone 'dock': name is a list; expected text"),
        (
            f"{{id: dock, polygon: {SQUARE}, exit_tolerance: -1}}",
            "zone 'dock': exit_tolerance is -1; expected a number of metres, 0 or more",
        ),
        (
            f"{{id: dock, polygon: {SQUARE}, tolerance_timeout: never}}",
            "zone 'dock': tolerance_timeout is never; expected a number of seconds, 0 or more",
        ),
        (
            f"{{id: dock, polygon: {SQUARE}, exit_delay: .nan}}",
            "zone 'dock': exit_delay is .nan; expected a number of seconds, 0 or more",
        ),
        ("{id: dock, geojson: [a]}", "zone 'dock': geojson is a list; expected the name of a file"),
        (
            "{id: dock, geojson: none.json}",
            "zone 'dock': none.json: the file cannot be read: No such file or directory",
        ),
    ],
)
def test_a_faulty_zone_is_one_error_on_its_line(write: Callable[[str], Path], written: str, message: str) -> None:
    ((line, severity, what),) = check_site(write(zone(written)))
    assert (line, severity) == (7, "error")
    assert what.startswith(message) if message.endswith("; ") else what == message


def test_corners_on_one_line_are_no_zone(write: Callable[[str], Path]) -> None:
    (problem,) = check_site(write(zone("{id: dock, polygon: [[0, 0], [4, 0], [8, 0]]}")))
    assert problem.line == 7
    assert problem.message.startswith("zone 'dock': the polygon ")


def test_an_id_given_twice_is_told_with_where_it_stands(write: Callable[[str], Path]) -> None:
    again = f"  - {{id: dock, polygon: {SQUARE}}}\n"
    path = write(f"zones:\n{again}{again}")
    assert check_site(path) == [
        Problem(8, "error", "zone 'dock': the id is given twice; it already stands on line 7"),
    ]


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("zones: dock\n", "`zones` is a single value; expected a list of {id, polygon}"),
        ("home_zones: [T1]\n", "`home_zones` is a list; expected a mapping from tag ids to the ids of zones"),
        ("home_zones: {T1: dock}\n", "`home_zones`: the zone of tag 'T1' is dock; expected the id of one of `zones`"),
        ("home_zones: {T1: [a]}\n", "`home_zones`: the zone of tag 'T1' is a list; expected the id of one of `zones`"),
        ("tag_identity: first\n", "`tag_identity` is first; expected whole or first12"),
    ],
)
def test_a_faulty_setting_is_an_error_on_its_line(write: Callable[[str], Path], further: str, message: str) -> None:
    assert check_site(write(further)) == [Problem(6, "error", message)]


def test_a_home_zone_that_is_faulty_itself_is_one_error(write: Callable[[str], Path]) -> None:
    path = write(zone("{id: dock, polygon: 4}") + "home_zones: {T1: dock}\n")
    assert [problem.line for problem in check_site(path)] == [7]


def test_tags_at_home_have_ids_as_the_identity_says(write: Callable[[str], Path]) -> None:
    path = write(
        f"tag_identity: first12\n{zone(f'{{id: dock, polygon: {SQUARE}}}')}"
        "home_zones:\n  T1: dock\n  0003FFDDEEFF0000: dock\n  0003FFDDEEFF0001: dock\n"
    )
    assert check_site(path) == [
        Problem(10, "error", "`home_zones`: the tag id is 'T1'; expected 16 hex digits, as `tag_identity` says"),
        Problem(
            12,
            "error",
            "`home_zones`: tag '0003FFDDEEFF0001' is given twice: its id without its state is 0003FFDDEEFF0000",
        ),
    ]


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("exit_tolerance: 1", "exit_tolerance is of no use without tolerance_timeout"),
        ("exit_delay: 5000", "exit_delay is 5000 s, more than an hour; it is in seconds here, in milliseconds at"),
        ("exit_dely: 5", "zone 1: 'exit_dely' is not known and not read; did you mean 'exit_delay'?"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(write: Callable[[str], Path], written: str, part: str) -> None:
    ((line, severity, what),) = check_site(write(zone(f"{{id: dock, polygon: {SQUARE}, {written}}}")))
    assert (line, severity) == (7, "warning")
    assert part in what


def test_floors_without_heights_are_a_warning_where_there_are_several(write: Callable[[str], Path]) -> None:
    path = write(
        f"zones:\n  - {{id: a, polygon: {SQUARE}, floor: 0, z: [0, 3]}}\n  - {{id: b, polygon: {SQUARE}, floor: 1}}\n"
    )
    ((line, severity, what),) = check_site(path)
    assert (line, severity) == (8, "warning")
    assert "set z: [lowest, highest]" in what


def test_a_list_that_holds_itself_is_read(write: Callable[[str], Path]) -> None:
    assert [problem.line for problem in check_site(write(zone("{id: dock, polygon: &p [*p, *p, *p]}")))] == [7] * 3


# GeoJSON

POLYGON = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4, 1.5], [0, 4], [0, 0]]]}
FEATURE = {"type": "Feature", "properties": {}, "geometry": POLYGON}


def geojson(write: Callable[[str], Path], content: Any) -> Path:
    path = write(zone("{id: dock, geojson: shapes/dock.geojson}"))
    file = path.parent / "shapes/dock.geojson"
    file.parent.mkdir()
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("content", [POLYGON, FEATURE, {"type": "FeatureCollection", "features": [FEATURE]}])
def test_a_polygon_may_stand_in_a_geojson_file_beside_the_map(write: Callable[[str], Path], content: Any) -> None:
    assert load_site(geojson(write, content)).zones == {"dock": Zone("dock", (RING,))}


def test_geojson_may_cut_out_a_part(write: Callable[[str], Path]) -> None:
    hole = [[1, 1], [2, 1], [2, 2], [1, 1]]
    content = {"type": "Polygon", "coordinates": [POLYGON["coordinates"][0], hole]}
    assert load_site(geojson(write, content)).zones["dock"].rings == (RING, ((1.0, 1.0), (2.0, 1.0), (2.0, 2.0)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON: "),
        ("[]", "the geometry is 'list'; expected a Polygon"),
        ({"type": "Point", "coordinates": [0, 0]}, "the geometry is 'Point'; expected a Polygon"),
        ({"type": "MultiPolygon", "coordinates": []}, "the geometry is 'MultiPolygon'; expected a Polygon"),
        ({"type": "Feature", "geometry": None}, "the geometry is 'NoneType'; expected a Polygon"),
        (
            {"type": "FeatureCollection", "features": [FEATURE, FEATURE]},
            "the collection has 2 features; expected one, a Polygon",
        ),
        ({"type": "Polygon"}, "the polygon has no coordinates"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], ["a", 0], [1, 1]]]},
            "a corner is ['a', 0]; expected [x, y], two numbers of metres",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, True], [1, 1]]]}, "a corner is [1, True]; "),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, ""),
        ({"type": "Polygon", "coordinates": [5]}, ""),
    ],
)
def test_a_geojson_file_without_one_polygon_is_an_error(
    write: Callable[[str], Path], content: Any, message: str
) -> None:
    ((line, severity, what),) = check_site(geojson(write, content))
    assert (line, severity) == (7, "error")
    expected = f"zone 'dock': shapes/dock.geojson: {message}" if message else "zone 'dock': the polygon has "
    assert what.startswith(expected)
