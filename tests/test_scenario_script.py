"""The script is sound by itself: in order, possible on its site, each event's cause in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.events import EventKind
from pipeline.simulation.directed import DirectedScene
from pipeline.simulation.settings import SceneSettings
from pipeline.site import check_site, load_site
from runners.scenario import hall
from runners.scenario.options import parse, script_text
from runners.scenario.script import (
    ANCHOR_TIMEOUT_S,
    END_S,
    OUT_ALIVE,
    OUTAGE_WINDOW_S,
    SCRIPT,
    TAG_TIMEOUT_S,
    Deed,
)
from runners.trial.tap import DEATHS

EXPECTED = [one for step in SCRIPT for one in step.expects]
TIMES_S = [step.at_s for step in SCRIPT]


def test_the_steps_are_in_order_and_leave_time_for_the_last_events() -> None:
    numbers = [at_s for at_s in TIMES_S if at_s is not None]
    assert TIMES_S[0] is None
    assert numbers == sorted(numbers)
    assert all(step.at_s + 10 < END_S for step in SCRIPT if step.at_s is not None)


def test_every_kind_of_event_has_its_step() -> None:
    assert {one.kind for one in EXPECTED} == {*(kind.value for kind in EventKind), OUT_ALIVE}


def test_every_death_is_told_on_out_alive_and_nothing_else_is() -> None:
    deaths = Counter(one.subject for one in EXPECTED if one.kind == EventKind.ANCHOR_DEAD.value)
    assert deaths == Counter(one.subject for one in EXPECTED if one.topic == DEATHS)


def test_tags_are_away_no_earlier_than_anchors_are_known_to_be_dead() -> None:
    assert TAG_TIMEOUT_S >= ANCHOR_TIMEOUT_S + OUTAGE_WINDOW_S


def test_the_outage_is_longer_than_the_tags_timeout_so_that_tags_could_be_mistaken_for_away() -> None:
    at_s = {one.kind: step.at_s for step in SCRIPT for one in step.expects}
    begins_s, ends_s = at_s[EventKind.SITE_OUTAGE.value], at_s[EventKind.SITE_BACK.value]
    assert begins_s is not None
    assert ends_s is not None
    assert ends_s - begins_s > TAG_TIMEOUT_S


def test_every_deed_is_done_once() -> None:
    assert Counter(step.does for step in SCRIPT if isinstance(step.does, Deed)) == Counter(Deed)


def test_the_maps_are_good_broken_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    hall.replace_file(path, hall.good_map())
    assert check_site(path) == []
    assert list(load_site(path).anchors) == list(hall.ANCHORS)
    assert load_site(path).version == hall.version_of(hall.good_map())
    assert load_site(path).home_zones == {hall.tag_id(hall.TOOL): hall.CAGE}
    hall.replace_file(path, hall.broken_map())
    assert [problem.severity for problem in check_site(path)].count("error") > 0
    hall.replace_file(path, hall.good_map(with_new_anchor=True))
    assert check_site(path) == []
    assert hall.NEW_ANCHOR in load_site(path).anchors
    assert [one.name for one in tmp_path.iterdir()] == ["site.yaml"]


def test_every_direction_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    hall.replace_file(path, hall.good_map(with_new_anchor=True))
    scene = DirectedScene(load_site(path), SceneSettings(tags=len(hall.TAG_PLACES)), hall.TAG_PLACES)
    for step in SCRIPT:
        if not isinstance(step.does, Deed):
            list(scene.play(step.at_s or 0.0))
            step.does(scene)


def test_the_help_has_every_step_with_its_events() -> None:
    text = " ".join(script_text().split())
    assert all(step.tells in text for step in SCRIPT)
    assert all(one.kind in text for one in EXPECTED)
    assert parse([]).seed == 1
