"""The stage that solves: what it makes of groups, alone and together, and what it counts of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Group
from pipeline.positioning.solve import solve_known
from pipeline.positioning.trilateration import SolverSettings
from pipeline.site import Site
from pipeline.transforms.trilaterate import TrilaterateFn
from tests.readings import DEMO, reading
from tests.test_metrics import counts, told

GOOD = Group("T", [reading(name, distance_m=2.0) for name in ("A0", "A1", "A2")])
FEW = Group("T", GOOD.readings[:1])
BAD = Group("BAD", [one._replace(tag="BAD", distance_m=math.nan) for one in GOOD.readings])
MOVED = Group("T", [*GOOD.readings, reading("NEW")])


def stage(site: Site = DEMO, *, strict: bool = False) -> TrilaterateFn:
    fn = TrilaterateFn(lambda: site, SolverSettings(), strict=strict)
    fn.setup()
    fn.start_bundle()
    return fn


@settings(deadline=None)
@given(st.lists(st.sampled_from([GOOD, FEW, BAD, MOVED])))
def test_what_comes_of_a_group_does_not_depend_on_the_others(groups: list[Group]) -> None:
    fn = stage()
    assert fn.take(groups) == [solved for group in groups for solved in fn.take([group])]


def test_an_unexpected_error_is_that_of_its_group_alone() -> None:
    good, bad, moved, gone, few = stage().take([GOOD, BAD, MOVED, FEW])
    assert [good, moved, gone, few] == [
        solved for group in (GOOD, MOVED, FEW) for solved in solve_known(group, DEMO, SolverSettings())
    ]
    assert (bad.tag, bad.readings, bad.fix, bad.reason) == ("BAD", BAD.readings, None, "internal_error")
    assert bad.detail is not None
    assert bad.detail.startswith('ValueError("coordinates and distance must be finite')


def test_what_is_no_group_at_all_harms_no_other() -> None:
    no_group: Any = Group("T", [GOOD.readings[0]._replace(distance_m="far")] * 3)  # type: ignore[arg-type]
    outcomes = stage().take([GOOD, no_group, GOOD])
    assert [solved.reason for solved in outcomes] == [None, "internal_error", None]


def test_strict_it_stops() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        stage(strict=True).take([GOOD, BAD])


def test_a_batch_is_counted_group_by_group() -> None:
    fn = stage()
    with told() as container:
        fn.take([GOOD, BAD, MOVED, FEW])
        fn.take([])
        fn.take([GOOD])
        fn.finish_bundle()
    found = counts(container)
    assert {name: count for name, count in found.items() if "solve_us" not in name} == {
        "trilaterate.in": 5,
        "trilaterate.out": 3,
        "trilaterate.internal_error": 1,
        "trilaterate.no_fix.internal_error": 1,
        "trilaterate.no_fix.unknown_anchor": 1,
        "trilaterate.no_fix.too_few_anchors": 1,
    }
    assert found["trilaterate.solve_us.le_inf"] == 5


def test_a_new_map_is_in_force_from_the_next_bundle() -> None:
    maps = [Site("demo", DEMO.anchors, version="old")]
    fn = TrilaterateFn(lambda: maps[-1], SolverSettings(), strict=True)
    fn.setup()
    versions = []
    for version in ("new", "newer"):
        fn.start_bundle()
        maps.append(Site("demo", DEMO.anchors, version=version))
        versions += [solved.fix.map_version for solved in fn.take([GOOD]) if solved.fix]
    assert versions == ["old", "new"]
