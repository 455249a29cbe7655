"""Many groups of many tags in one call: the same as one after the other, whatever comes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Group, Position, Reading, Reason, Solved
from pipeline.positioning.solve import solve
from pipeline.positioning.track import Track
from pipeline.positioning.track_groups import MAX_LAG_US, take_all
from pipeline.positioning.track_numbers import MAX_BIASES
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Outcome, Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.site import Anchor, Site
from tests.readings import reading, us

EXPIRY_US = 60_000_000
HEIGHTS = {"known": (1.2, None), "unknown": (None, None), "solved for": (None, (0.0, 3.0))}


def site_of(anchors: int, heights: str = "known") -> Site:
    """A hall with so many anchors about it, at different heights."""
    chance = random.Random(anchors)
    turns = [2.0 * math.pi * number / anchors for number in range(anchors)]
    of_all = [
        Anchor(f"A{number}", 20.0 + 12.0 * math.cos(turn), 9.0 * math.sin(turn), chance.uniform(0.0, 6.0))
        for number, turn in enumerate(turns)
    ]
    if heights == "unknown":
        of_all = [replace(anchor, z_m=None) for anchor in of_all]
    height_m, range_m = HEIGHTS[heights]
    return Site("hall", {anchor.id: anchor for anchor in of_all}, height_m, tag_height_range_m=range_m)


class Walk(NamedTuple):
    """A tag that stands, walks and is carried off, as anchors hear it: some late, some wrong, some not at all."""

    tag: str
    seed: int
    groups: int

    def solved(self, site: Site) -> list[Solved]:
        chance = random.Random(self.seed)
        place, speed, at_s = [20.0, 0.0], [0.0, 0.0], 0.0
        found: list[Solved] = []
        for _ in range(self.groups):
            step_s = chance.choices([0.2, 1.0, 5.0, 50.0, 61.0, -0.5, -4.0], [60, 10, 5, 2, 1, 3, 3])[0]
            at_s += step_s
            if chance.random() < 0.1:
                speed = chance.choice([[0.0, 0.0], [chance.gauss(0.0, 1.0), chance.gauss(0.0, 1.0)]])
            place = [place[0] + speed[0] * max(step_s, 0.0), place[1] + speed[1] * max(step_s, 0.0)]
            if chance.random() < 0.03 or not (10.0 < place[0] < 30.0 and -8.0 < place[1] < 8.0):
                place = [chance.uniform(12.0, 28.0), chance.uniform(-6.0, 6.0)]
            found.append(self._blink(site, chance, (place[0], place[1]), at_s))
        return found

    def _blink(self, site: Site, chance: random.Random, place: tuple[float, float], at_s: float) -> Solved:
        most = min(len(site.anchors), chance.choice([2, 3, 4, 8, 20]))
        heard = chance.sample(list(site.anchors.values()), chance.randint(1, most))
        readings = [self._reading(anchor, chance, place, at_s) for anchor in heard]
        readings.sort(key=lambda one: (one.measured_at_us, one.kafka_time_us, one.anchor))
        if chance.random() < 0.02:
            return Solved(self.tag, readings, None, Reason.UNKNOWN_ANCHOR.value, "left the map")
        return solve(Group(self.tag, readings), site, SolverSettings())

    def _reading(self, anchor: Anchor, chance: random.Random, place: tuple[float, float], at_s: float) -> Reading:
        distance_m = math.dist((*place, 1.2), (anchor.x_m, anchor.y_m, 1.2 if anchor.z_m is None else anchor.z_m))
        distance_m += chance.gauss(0.1, 0.08) + chance.choices([0.0, 2.0, chance.uniform(0.0, 50.0)], [90, 8, 2])[0]
        measured_s = at_s + chance.uniform(0.0, 0.2) - chance.choices([0.0, 3.5], [98, 2])[0]
        measured_s = chance.choice([measured_s, measured_s, math.floor(measured_s)])
        kafka_s = measured_s + chance.uniform(-0.1, 1.5)
        return reading(anchor.id, measured_s, kafka_s=kafka_s, tag=self.tag, distance_m=max(distance_m, 0.01))


def one_by_one(tracker: Tracker, groups: Sequence[Solved]) -> tuple[Track | None, list[Outcome]]:
    track: Track | None = None
    outcomes = []
    for solved in groups:
        track, outcome = tracker.take(track, solved)
        outcomes.append(outcome)
    return track, outcomes


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 60)), min_size=1, max_size=5),
    st.sampled_from([3, 4, 8, 20]),
    st.sampled_from(list(HEIGHTS)),
    st.lists(st.lists(st.integers(0, 12), min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_groups_of_many_tags_at_once_give_what_they_give_one_by_one(
    seeds: list[tuple[int, int]], anchors: int, heights: str, shares: list[list[int]]
) -> None:
    site = site_of(anchors, heights)
    tracker = Tracker(site, TrackSettings(), EXPIRY_US)
    left = {f"T{number}": Walk(f"T{number}", *seed).solved(site) for number, seed in enumerate(seeds)}
    expected = {tag: one_by_one(tracker, groups) for tag, groups in left.items()}
    tracks: dict[str, Track | None] = dict.fromkeys(left)
    outcomes: dict[str, list[Outcome]] = {tag: [] for tag in left}
    for share in [*shares, [60] * 5]:
        part = {
            tag: groups[:count] for (tag, groups), count in zip(left.items(), share, strict=False) if groups[:count]
        }
        if part:
            after, found = tracker.take_all(tracks, part)
            tracks.update(after)
            for tag, groups in part.items():
                outcomes[tag] += found[: len(groups)]
                found = found[len(groups) :]
                left[tag] = left[tag][len(groups) :]
    assert {tag: (tracks[tag], outcomes[tag]) for tag in tracks} == expected


def test_the_walks_have_all_that_can_come_of_a_group() -> None:
    """Else the test above would show less than it says."""
    told: set[str] = set()
    most = 0
    for heights in HEIGHTS:
        site = site_of(20, heights)
        tracker = Tracker(site, TrackSettings(), EXPIRY_US)
        for seed in range(8):
            track, outcomes = one_by_one(tracker, Walk("T", seed, 60).solved(site))
            most = max(most, len(track.anchors) if track else 0)
            for outcome in outcomes:
                if isinstance(outcome, Position):
                    told |= {"start" if outcome.nis is None else "at rest" if outcome.course_deg is None else "moving"}
                    told |= {"some refused"} if outcome.refused else set()
                else:
                    told |= {f"{outcome[0].stage}: {outcome[0].reason}"}
    assert most == MAX_BIASES
    assert told >= {"start", "moving", "at rest", "some refused", "track: late", "track: inconsistent_ranges"}
    assert told >= {"track: degenerate_geometry", "trilaterate: too_few_anchors", "trilaterate: unknown_anchor"}


def test_more_readings_in_a_group_than_there_was_room_for() -> None:
    site = site_of(40)
    tag = (18.0, 2.0, 1.2)
    readings = [
        reading(one.id, 0.0001, distance_m=math.dist((one.x_m, one.y_m, one.z_m or 0.0), tag))
        for one in site.anchors.values()
    ]
    solved = solve(Group("T", readings), site, SolverSettings())
    track, outcome = Tracker(site, TrackSettings()).take(None, solved)
    assert isinstance(outcome, Position)
    assert math.dist((outcome.x_m, outcome.y_m), tag[:2]) < 0.01
    assert track is not None
    assert len(track.anchors) == MAX_BIASES


def test_the_bias_of_an_anchor_that_left_the_map_keeps_its_place_and_its_name() -> None:
    site = site_of(8)
    groups = [solved for solved in Walk("T", 1, 40).solved(site) if len(solved.readings) > 3]
    track, _ = one_by_one(Tracker(site, TrackSettings()), groups[:-1])
    assert track is not None
    (gone, *_) = (name for name in track.anchors if name not in {one.anchor for one in groups[-1].readings})
    smaller = replace(site, anchors={name: anchor for name, anchor in site.anchors.items() if name != gone})
    after, _ = Tracker(smaller, TrackSettings()).take(track, groups[-1])
    assert after is not None
    assert after.anchors[: len(track.anchors)] == track.anchors


def test_a_group_is_late_by_more_than_the_lag_only() -> None:
    site = site_of(8)
    tracker = Tracker(site, TrackSettings())

    def blink(at_us: int) -> Solved:
        readings = [
            reading(name, 0.0, distance_m=10.0)._replace(measured_at_us=at_us, kafka_time_us=at_us)
            for name in list(site.anchors)[:2]
        ]
        return Solved("T", readings, None, Reason.TOO_FEW_ANCHORS.value, "two")

    (start, *_) = (one for one in Walk("T", 2, 5).solved(site) if one.fix is not None)
    track, _ = tracker.take(None, start)
    assert track is not None
    _, late = tracker.take(track, blink(track.at_us - MAX_LAG_US - 1))
    assert isinstance(late, list)
    assert {one.reason for one in late} == {Reason.LATE.value}
    _, in_time = tracker.take(track, blink(track.at_us - MAX_LAG_US))
    assert isinstance(in_time, Position) or {one.reason for one in in_time} != {Reason.LATE.value}


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_ANCHOR, Reason.TOO_FEW_ANCHORS])
def test_a_group_of_an_anchor_on_no_map_is_refused_and_changes_nothing(reason: Reason) -> None:
    site = site_of(8)
    tracker = Tracker(site, TrackSettings())
    track, _ = one_by_one(tracker, Walk("T", 3, 20).solved(site))
    assert track is not None
    at_s = (track.at_us - us(0.0)) / 1e6 + 0.2
    strange = Solved("T", [reading("A0", at_s), reading("NEW", at_s)], None, reason.value, "")
    after, outcome = tracker.take(track, strange)
    assert after == track
    assert isinstance(outcome, list)
    assert [(one.anchor, one.reason) for one in outcome] == [("A0", reason.value), ("NEW", reason.value)]


def test_nothing_is_compiled_anew_for_numbers_of_another_type() -> None:
    whole = TrackSettings(max_sigma_m=5, range_sigma_m=1)
    site = Site("whole", {f"A{x}{y}": Anchor(f"A{x}{y}", x, y, 3, bias_m=0) for x in (0, 20) for y in (0, 10)}, 1)
    one_by_one(Tracker(site, whole, EXPIRY_US), Walk("T", 4, 10).solved(site))
    assert len(cast("Any", take_all).signatures) == 1
