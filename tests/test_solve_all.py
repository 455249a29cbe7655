"""Many groups solved at once: each as it is by itself, to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Group, Reading, Solved
from pipeline.positioning.solve import solve_known
from pipeline.positioning.solve_all import Solver
from pipeline.positioning.trilateration import SolverSettings, warm_up
from pipeline.site import Anchor, Site
from tests.readings import DEMO, reading

BELIEVED = SolverSettings()
HALL = Site(
    "hall",
    {f"A{k}": Anchor(f"A{k}", 10.0 * math.cos(k), 8.0 * math.sin(k), 2.0 + 0.3 * (k % 3)) for k in range(10)},
    tag_height_m=1.0,
    version="hall-1",
)
TAG = (1.0, -2.0, 1.0)


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    warm_up()


def group_of(site: Site, anchors: Sequence[str], errors_m: Sequence[float], tag: Sequence[float] = TAG) -> Group:
    readings = [
        reading(name, number / 1000, distance_m=distance_m(site, name, tag) + error_m, offset=number)
        for number, (name, error_m) in enumerate(zip(anchors, errors_m, strict=True))
    ]
    return Group("T", readings)


def distance_m(site: Site, name: str, tag: Sequence[float]) -> float:
    if name not in site.anchors:
        return 1.0
    anchor = site.anchors[name]
    return math.dist((anchor.x_m, anchor.y_m, tag[2] if anchor.z_m is None else anchor.z_m), tag)


def one_by_one(groups: Sequence[Group], site: Site, believed: SolverSettings = BELIEVED) -> list[Solved]:
    return [solved for group in groups for solved in solve_known(group, site, believed)]


METRES = st.one_of(st.integers(-3, 3).map(lambda k: 4.0 * k), st.floats(-20.0, 20.0))
"""Often enough on one line, or in one place."""
HEIGHTS = st.one_of(st.sampled_from([2.0, 3.0]), st.floats(-1.0, 5.0))
ERRORS = st.one_of(st.just(0.0), st.floats(-0.3, 0.3), st.floats(0.0, 0.3), st.floats(-5.0, 30.0), st.just(1e200))


@st.composite
def sites(draw: st.DrawFn) -> Site:
    heights = draw(st.sampled_from([HEIGHTS, HEIGHTS, st.none(), st.one_of(HEIGHTS, st.none())]))
    anchors = {
        name: Anchor(
            name,
            draw(METRES),
            draw(METRES),
            draw(heights),
            draw(st.sampled_from([0.0, 0.1, -0.2])),
            draw(st.sampled_from([None, 0.01, 0.5])),
        )
        for name in (f"A{k}" for k in range(draw(st.integers(1, 10))))
    }
    height_m = draw(st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0])))
    range_m = draw(st.sampled_from([None, (0.0, 2.0), (-math.inf, 2.5), (0.5, math.inf)]))
    return Site("random", anchors, height_m, range_m, version="random-1")


@st.composite
def groups_of(draw: st.DrawFn, site: Site) -> list[Group]:
    names = [*site.anchors, "GONE"]
    groups = []
    for _ in range(draw(st.integers(0, 5))):
        most = draw(st.sampled_from([3, len(names), len(names)]))
        heard = draw(st.lists(st.sampled_from(names), unique=True, max_size=most))
        if len(names) > most and draw(st.booleans()):
            heard = names[: draw(st.integers(3, len(names)))]
        tag = (draw(METRES), draw(METRES), draw(HEIGHTS))
        errors_m = [max(draw(ERRORS), -distance_m(site, name, tag)) for name in heard]
        groups.append(group_of(site, heard, errors_m, tag))
    return groups


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([BELIEVED, SolverSettings(max_residual_m=30.0), SolverSettings(max_gdop=2.0)]))
def test_many_at_once_are_as_one_by_one(data: st.DataObject, believed: SolverSettings) -> None:
    site = data.draw(sites())
    groups = data.draw(groups_of(site))
    found = Solver(site, believed).solve_all(groups)
    assert repr(found) == repr(one_by_one(groups, site, believed))


def test_all_that_can_come_of_a_group_comes_in_order() -> None:
    names = list(HALL.anchors)
    groups = [
        group_of(HALL, names[:3], [0.0] * 3),
        group_of(HALL, names[:2], [0.0] * 2),
        group_of(HALL, names[:8], [0.0, 0.02, 5.0, -0.03, 0.0, 0.01, 0.0, 0.02]),
        group_of(HALL, ["NEW", *names[:4]], [0.0] * 5),
        group_of(HALL, names[:5], [0.0, 9.0, 9.0, 0.0, 0.0]),
        group_of(HALL, ["NEW"], [0.0]),
        group_of(HALL, names[2:6], [0.0, 0.1, 0.0, -0.1]),
    ]
    found = Solver(HALL, BELIEVED).solve_all(groups)
    assert found == one_by_one(groups, HALL)
    assert [(len(one.readings), one.reason) for one in found] == [
        (3, None),
        (2, "too_few_anchors"),
        (8, None),
        (4, None),
        (1, "unknown_anchor"),
        (5, "inconsistent_ranges"),
        (1, "unknown_anchor"),
        (4, None),
    ]
    assert [one.fix.refused for one in found if one.fix] == [[], ["A2"], [], []]
    assert {one.fix.map_version for one in found if one.fix} == {"hall-1"}


@pytest.mark.parametrize("site", [DEMO, Site("elsewhere", {})])
def test_of_no_groups_there_are_none(site: Site) -> None:
    assert Solver(site, BELIEVED).solve_all([]) == []


def test_what_is_no_range_is_refused_as_it_is_alone() -> None:
    good = group_of(HALL, list(HALL.anchors)[:4], [0.0] * 4)
    twice = Group("T", [*good.readings, good.readings[0]])
    negative = Group("T", [*good.readings[:3], good.readings[3]._replace(distance_m=-1.0)])
    missing = Group("T", [*good.readings[:3], good.readings[3]._replace(distance_m=math.nan)])
    for bad in (twice, negative, missing):
        with pytest.raises(ValueError) as alone:  # noqa: PT011  (the message is compared)
            solve_known(bad, HALL, BELIEVED)
        with pytest.raises(ValueError) as among_others:  # noqa: PT011
            Solver(HALL, BELIEVED).solve_all([good, bad, good])
        assert str(among_others.value) == str(alone.value)


def test_a_solver_is_of_its_map() -> None:
    moved = Site("hall", {**HALL.anchors, "A1": Anchor("A1", 0.0, 9.0, 2.0)}, HALL.tag_height_m)
    groups: list[Group] = [group_of(moved, list(moved.anchors)[:4], [0.0] * 4)]
    (here,), (there,) = (Solver(site, BELIEVED).solve_all(groups) for site in (HALL, moved))
    assert there.fix is not None
    assert math.dist((there.fix.x_m, there.fix.y_m), TAG[:2]) < 1e-6
    assert here != there


def test_readings_are_handed_on_as_they_are() -> None:
    group = group_of(HALL, list(HALL.anchors)[:3], [0.0] * 3)
    (solved,) = Solver(HALL, BELIEVED).solve_all([group])
    assert solved.readings is group.readings
    assert all(isinstance(one, Reading) for one in solved.readings)
