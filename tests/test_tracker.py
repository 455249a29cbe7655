"""Tracking as mathematics: no engine, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Group, Position, Reading, Reason, Rejected, Solved, Stage
from pipeline.positioning import track_motion as motion
from pipeline.positioning.solve import solve
from pipeline.positioning.track import Track
from pipeline.positioning.track_groups import track_time_us
from pipeline.positioning.track_numbers import MAX_BIASES
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Outcome, Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.site import Anchor, Site
from pipeline.transforms import track_state
from tests.readings import reading, us
from tests.tracks import cov_of, mean_of

Place = tuple[float, float]
HEIGHT_M = 1.2
CORNERS = [(0.0, 0.0), (20.0, 0.0), (20.0, 15.0), (0.0, 15.0), (10.0, 0.0), (10.0, 15.0), (0.0, 7.0), (20.0, 8.0)]


def site_of(places: Iterable[Place] = CORNERS, *, z_m: float | None = 2.5) -> Site:
    anchors = {f"A{number}": Anchor(f"A{number}", x, y, z_m) for number, (x, y) in enumerate(places)}
    return Site("hall", anchors, None if z_m is None else HEIGHT_M)


HALL = site_of()
MOVING_ONLY = TrackSettings(still_after_s=1e9)


def true_m(anchor: Anchor, place: Place, tag_height_m: float | None) -> float:
    dz_m = 0.0 if anchor.z_m is None or tag_height_m is None else anchor.z_m - tag_height_m
    return math.hypot(anchor.x_m - place[0], anchor.y_m - place[1], dz_m)


def group(
    place: Place,
    at_s: float,
    *,
    site: Site = HALL,
    anchors: Iterable[str] | None = None,
    errors_m: dict[str, float] | None = None,
) -> Solved:
    """The group of a blink at a place, solved; a range is exact but for its error."""
    readings = [
        reading(
            name,
            at_s + 0.0001,
            distance_m=true_m(site.anchors[name], place, site.tag_height_m) + (errors_m or {}).get(name, 0.0),
        )
        for name in anchors or site.anchors
    ]
    return solve(Group("T", readings), site, SolverSettings())


def play(groups: Iterable[Solved], site: Site = HALL, settings: TrackSettings | None = None) -> Iterator[Outcome]:
    tracker, track = Tracker(site, settings or TrackSettings()), None
    for solved in groups:
        track, outcome = tracker.take(track, solved)
        yield outcome


def position(outcome: Outcome) -> Position:
    assert isinstance(outcome, Position), outcome
    return outcome


def error_m(outcome: Outcome, place: Place) -> float:
    found = position(outcome)
    return math.dist((found.x_m, found.y_m), place)


def walk(at_s: float) -> Place:
    """Once round the hall's middle at 1 m/s."""
    return 10.0 + 5.0 * math.cos(at_s / 5.0), 7.5 + 5.0 * math.sin(at_s / 5.0)


def times(count: int, every_s: float = 0.2) -> list[float]:
    return [number * every_s for number in range(count)]


# what is right


def test_exact_ranges_of_a_tag_at_rest_give_its_place() -> None:
    for outcome in play(group((4.0, 5.0), at_s) for at_s in times(60)):
        assert error_m(outcome, (4.0, 5.0)) < 1e-3


def test_exact_ranges_of_a_moving_tag_give_place_speed_and_course() -> None:
    outcomes = list(play(group((2.0 + at_s, 3.0 + at_s), at_s) for at_s in times(40)))
    last = position(outcomes[-1])
    assert error_m(last, (9.8, 10.8)) < 0.05
    assert last.speed_m_s == pytest.approx(math.sqrt(2.0), abs=0.1)
    assert last.course_deg == pytest.approx(45.0, abs=3.0)


def test_a_tag_at_rest_has_no_course() -> None:
    last = position(list(play(group((4.0, 5.0), at_s) for at_s in times(60)))[-1])
    assert last.speed_m_s == 0.0
    assert last.course_deg is None


def test_the_height_is_tracked_where_it_is_not_known() -> None:
    places = [(0, 0, 5), (20, 0, 1), (20, 15, 5), (0, 15, 1), (10, 0, 6), (10, 15, 0.5)]
    anchors = {f"A{number}": Anchor(f"A{number}", *place) for number, place in enumerate(places)}
    site = Site("hall", anchors, tag_height_range_m=(0.0, 4.0))
    tag = (8.0, 6.0, 2.0)

    def blink(at_s: float) -> Solved:
        readings = [
            reading(f"A{number}", at_s + 0.0001, distance_m=math.dist(place, tag))
            for number, place in enumerate(places)
        ]
        return solve(Group("T", readings), site, SolverSettings())

    last = position(list(play((blink(at_s) for at_s in times(50)), site))[-1])
    assert (last.x_m, last.y_m, last.z_m) == pytest.approx((8.0, 6.0, 2.0), abs=0.03)
    assert last.var_zz_m2 is not None
    assert 0.0 < last.var_zz_m2 < 1.0


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-1e4, 1e4),
    st.floats(-1e4, 1e4),
    st.floats(0.0, 2 * math.pi),
    st.booleans(),
    st.lists(st.floats(-0.3, 2.0), min_size=64, max_size=64),
)
def test_moving_turning_and_mirroring_the_site_moves_turns_and_mirrors_the_track(
    east_m: float,
    north_m: float,
    angle: float,
    mirrored: bool,  # noqa: FBT001
    errors_m: list[float],
) -> None:
    def image(place: Place) -> Place:
        x, y = place[0], -place[1] if mirrored else place[1]
        return (
            east_m + x * math.cos(angle) - y * math.sin(angle),
            north_m + x * math.sin(angle) + y * math.cos(angle),
        )

    def tracked(site: Site, transform: object) -> list[Outcome]:
        blinks = []
        for number, at_s in enumerate(times(16)):
            noise = {f"A{index}": errors_m[(4 * number + index) % 64] / 4 for index in range(8)}
            place = walk(at_s)
            blinks.append(group(image(place) if transform else place, at_s, site=site, errors_m=noise))
        return list(play(blinks, site))

    plain = tracked(HALL, None)
    moved = tracked(site_of([image(place) for place in CORNERS]), image)
    for one, other in zip(plain, moved, strict=True):
        if isinstance(one, Position):
            assert error_m(other, image((one.x_m, one.y_m))) < 0.02
        else:
            assert not isinstance(other, Position)


# what is wrong does no harm


@pytest.mark.parametrize("wild_m", [-3.0, -1.0, 1.0, 5.0, 40.0])
def test_one_wild_range_of_four_neither_moves_nor_passes_unnamed(wild_m: float) -> None:
    corners = ["A0", "A1", "A2", "A3"]
    blinks = [group((8.0, 6.0), at_s, anchors=corners) for at_s in times(50)]
    blinks.append(group((8.0, 6.0), 10.0, anchors=corners, errors_m={"A2": wild_m}))
    last = position(list(play(blinks))[-1])
    assert error_m(last, (8.0, 6.0)) < 0.05
    assert last.refused == ["A2"]


def test_a_still_tag_stays_still_under_wild_ranges() -> None:
    """A tag that blinks every 10 s, every other time with one range that is 2 m too long."""
    blinks = [
        group((8.0, 6.0), at_s, errors_m={f"A{number % 8}": 2.0} if number % 2 else None)
        for number, at_s in enumerate(times(40, 10.0))
    ]
    for outcome in list(play(blinks))[2:]:
        assert error_m(outcome, (8.0, 6.0)) < 0.05


def test_a_tag_that_starts_is_followed() -> None:
    rest = [group((8.0, 6.0), at_s) for at_s in times(100)]
    start = [group((8.0 + at_s, 6.0), 20.0 + at_s) for at_s in times(20)]
    outcomes = list(play(rest + start))
    assert max(error_m(one, (8.0 + 0.2 * number, 6.0)) for number, one in enumerate(outcomes[100:])) < 1.0
    assert error_m(outcomes[-1], (11.8, 6.0)) < 0.1


def test_a_tag_that_was_carried_off_is_found_again() -> None:
    blinks = [group((4.0, 4.0), at_s) for at_s in times(50)] + [group((15.0, 11.0), 10 + at_s) for at_s in times(10)]
    assert error_m(list(play(blinks))[-1], (15.0, 11.0)) < 0.1


def test_a_track_in_the_wrong_place_gives_way_to_the_fixes() -> None:
    tracker, blink = Tracker(HALL, TrackSettings()), group((4.0, 4.0), 0.0)
    assert blink.fix is not None
    track, _ = tracker.take(None, blink._replace(fix=blink.fix._replace(x_m=16.0, y_m=11.0)))
    outcomes = []
    for at_s in times(10)[1:]:
        track, outcome = tracker.take(track, group((4.0, 4.0), at_s))
        outcomes.append(outcome)
    assert error_m(outcomes[-1], (4.0, 4.0)) < 0.1


def test_no_speed_over_the_sites_limit() -> None:
    site = replace(HALL, speed_limit_m_s=1.5)
    blinks = [group((2.0 + 3.0 * at_s, 7.0), at_s) for at_s in times(25)]
    for outcome in play(blinks, site):
        assert position(outcome).speed_m_s <= 1.5 + 1e-6  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-5.0, 20.0), st.sets(st.integers(0, 7), min_size=1), st.floats(1e-3, 100.0)), max_size=30
    )
)
def test_nothing_makes_a_track_run_away(blinks: list[tuple[float, set[int], float]]) -> None:
    """Whatever comes, positions and covariances are finite, and every group has an outcome."""
    tracker, track = Tracker(HALL, TrackSettings()), None
    track, _ = tracker.take(track, group((8.0, 6.0), 0.0))
    at_s = 0.0
    for step_s, anchors, distance_m in blinks:
        at_s += step_s
        readings = [reading(f"A{index}", at_s + 0.0001, distance_m=distance_m) for index in sorted(anchors)]
        track, outcome = tracker.take(track, solve(Group("T", readings), HALL, SolverSettings()))
        assert track is not None
        assert np.isfinite(mean_of(track)).all()
        assert (np.linalg.eigvalsh(cov_of(track)) > -1e-6 * np.abs(cov_of(track)).max()).all()
        if isinstance(outcome, Position):
            assert outcome.readings == readings
        else:
            assert len(outcome) == len(readings)


# what has no fix


def test_two_anchors_are_enough_for_a_track() -> None:
    blinks = [group(walk(at_s), at_s, anchors=None if at_s < 5 else ["A0", "A2"]) for at_s in times(50)]
    for outcome, at_s in zip(play(blinks), times(50), strict=True):
        assert error_m(outcome, walk(at_s)) < 0.5


def test_without_a_fix_there_is_no_track() -> None:
    (rejected,) = play([group((8.0, 6.0), 0.0, anchors=["A0", "A1"])])
    assert isinstance(rejected, list)
    assert {(one.reason, one.stage) for one in rejected} == {(Reason.TOO_FEW_ANCHORS.value, Stage.TRILATERATE.value)}


def test_a_track_that_has_become_worthless_gives_no_position() -> None:
    blinks = [group((8.0, 6.0), 0.0), group((8.0, 6.0), 50.0, anchors=["A0"])]
    rejected = list(play(blinks, settings=MOVING_ONLY))[-1]
    assert isinstance(rejected, list)
    assert rejected[0].reason == Reason.DEGENERATE_GEOMETRY.value
    assert "max_sigma_m is 5" in rejected[0].detail


# time


def test_ranges_are_taken_at_their_own_times() -> None:
    """Three anchors that hear a tag of 2 m/s one after the other, 0.3 s apart: as good as at once."""
    names, blinks = ["A0", "A1", "A2", "A3"], []
    for number in range(40):
        at_s = number * 0.3
        name = names[number % 4]
        place = (1.0 + at_s, 3.0 + 0.5 * at_s)
        if number == 0:
            blinks.append(group(place, at_s))
        blinks.append(group(place, at_s, anchors=[name]))
    assert error_m(list(play(blinks))[-1], (1.0 + 39 * 0.3, 3.0 + 0.5 * 39 * 0.3)) < 0.1


def test_a_range_that_comes_late_tells_of_where_the_tag_was() -> None:
    def blinks() -> Iterator[Solved]:
        for at_s in times(40):
            yield group((2.0 + 2 * at_s, 7.0), at_s, anchors=["A0", "A1", "A2"])
            if at_s >= 1.0:
                late_s = at_s - 0.5
                yield group((2.0 + 2 * late_s, 7.0), late_s, anchors=["A3"])

    for outcome in list(play(blinks(), settings=MOVING_ONLY))[20:]:
        found = position(outcome)
        at_s = (found.at_us - us(0.0001)) / 1e6
        assert error_m(found, (2.0 + 2 * at_s, 7.0)) < 0.1


def test_a_group_from_long_ago_is_late() -> None:
    rejected = list(play([group((8.0, 6.0), 10.0), group((8.0, 6.0), 6.0)]))[-1]
    assert isinstance(rejected, list)
    assert {(one.reason, one.stage) for one in rejected} == {(Reason.LATE.value, Stage.TRACK.value)}
    assert len(rejected) == 8


@pytest.mark.parametrize(
    ("measured_s", "kafka_s", "taken_s"),
    [(1.25, 9.0, 1.25), (1.25, 1.0, 1.0), (1.0, 1.75, 1.75), (1.0, 0.5, 0.5), (1.0, -7.0, -7.0), (1.0, 50.0, 1.0)],
)
def test_a_time_in_whole_seconds_is_completed_by_kafkas(measured_s: float, kafka_s: float, taken_s: float) -> None:
    assert track_time_us(us(measured_s), us(kafka_s)) == us(taken_s)


# biases


def noisy(random: np.random.Generator, biases_m: dict[str, float], count: int, sigma_m: float = 0.05) -> list[Solved]:
    return [
        group(
            walk(at_s),
            at_s,
            errors_m={name: bias_m + sigma_m * random.standard_normal() for name, bias_m in biases_m.items()},
        )
        for at_s in times(count)
    ]


def test_biases_are_learnt_where_the_geometry_shows_them() -> None:
    biases_m = {f"A{index}": bias_m for index, bias_m in enumerate([0.4, 0.1, 0.2, 0.35, 0.0, 0.15, 0.2, 0.3])}
    blinks = noisy(np.random.default_rng(1), biases_m, 600)
    tracker, track = Tracker(HALL, TrackSettings()), None
    errors_m, fix_errors_m = [], []
    for number, blink in enumerate(blinks):
        track, outcome = tracker.take(track, blink)
        place = walk(times(600)[number])
        errors_m.append(error_m(outcome, place))
        assert blink.fix is not None
        fix_errors_m.append(math.dist((blink.fix.x_m, blink.fix.y_m), place))
    assert track is not None
    learnt_m = mean_of(track)[motion.OFFSET] + mean_of(track)[motion.BIASES :]
    assert learnt_m == pytest.approx([biases_m[name] for name in track.anchors], abs=0.06)
    assert np.mean(errors_m[300:]) < 0.6 * np.mean(fix_errors_m[300:])


def test_an_offset_is_not_believed_where_the_geometry_hides_it() -> None:
    """Anchors within 2 m, the tag 30 m away: all ranges too long is the same as the tag further off."""
    site = site_of([(0.0, 0.0), (2.0, 0.0), (2.0, 1.5), (0.0, 1.5)])
    random = np.random.default_rng(2)
    tracker, track = Tracker(site, MOVING_ONLY), None
    for at_s in times(200):
        noise = {name: 0.3 + 0.02 * random.standard_normal() for name in site.anchors}
        track, _ = tracker.take(track, group((30.0, 4.0 + 0.2 * at_s), at_s, site=site, errors_m=noise))
    assert track is not None
    offset_sigma_m = math.sqrt(cov_of(track)[motion.OFFSET, motion.OFFSET])
    assert offset_sigma_m > 0.8 * TrackSettings().offset_sigma_m


def test_a_calibrated_bias_is_taken_off() -> None:
    anchors = {name: replace(anchor, bias_m=0.4, bias_sigma_m=0.02) for name, anchor in HALL.anchors.items()}
    site = replace(HALL, anchors=anchors)
    blinks = [group((8.0, 6.0), at_s, site=site, errors_m=dict.fromkeys(anchors, 0.4)) for at_s in times(5)]
    for outcome in play(blinks, site):
        assert error_m(outcome, (8.0, 6.0)) < 0.01


def test_a_tag_remembers_so_many_biases_and_forgets_the_least_known() -> None:
    grid = [(5.0 * (index % 6), 5.0 * (index // 6)) for index in range(24)]
    site = site_of(grid)
    tracker, track = Tracker(site, TrackSettings()), None
    names = list(site.anchors)
    for number, at_s in enumerate(times(60)):
        heard = names[: MAX_BIASES - 1] if number < 50 else names[MAX_BIASES - 1 : MAX_BIASES + 2]
        track, _ = tracker.take(track, group((12.0, 7.0), at_s, site=site, anchors=heard))
    assert track is not None
    assert len(track.anchors) == MAX_BIASES
    assert set(names[MAX_BIASES - 1 : MAX_BIASES + 2]) <= set(track.anchors)
    track, outcome = tracker.take(track, group((12.0, 7.0), 13.0, site=site))
    assert error_m(outcome, (12.0, 7.0)) < 0.05
    assert track is not None
    assert len(track.anchors) == MAX_BIASES


# honesty


def test_the_stated_accuracy_is_true_where_the_model_is() -> None:
    """Tags as the filter believes them to be: the error lies within 1 and 2 sigma in 39 and 86 % of the positions."""
    believed = TrackSettings(still_after_s=1e9)
    random = np.random.default_rng(3)
    inside: list[float] = []
    for _ in range(25):
        offset_m = believed.offset_sigma_m * random.standard_normal()
        biases_m = {name: offset_m + believed.bias_sigma_m * random.standard_normal() for name in HALL.anchors}
        blinks = noisy(random, biases_m, 60, believed.range_sigma_m)
        for at_s, outcome in list(zip(times(60), play(blinks, settings=believed), strict=True))[5::5]:
            found = position(outcome)
            x, y = walk(at_s)
            cov = np.array([[found.cov_xx_m2, found.cov_xy_m2], [found.cov_xy_m2, found.cov_yy_m2]])
            error = np.array([found.x_m - x, found.y_m - y])
            inside.append(float(error @ np.linalg.solve(cov, error)))
    assert np.mean(np.array(inside) < 1.0) == pytest.approx(0.393, abs=0.1)
    assert np.mean(np.array(inside) < 4.0) == pytest.approx(0.865, abs=0.1)


# state


def test_a_track_goes_on_alike_whether_or_not_it_is_written_down() -> None:
    blinks = noisy(np.random.default_rng(4), {f"A{index}": 0.1 * index for index in range(8)}, 80)
    tracker = Tracker(HALL, TrackSettings())
    track: Track | None = None
    for outcome, blink in zip(play(blinks), blinks, strict=True):
        track, again = tracker.take(track, blink)
        assert again == outcome
        assert track is not None
        track = track_state.from_bytes(track_state.to_bytes(track))


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_setting_that_cannot_be_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"bias_sigma_m must be positive and finite, got {value!r}"):
        TrackSettings(bias_sigma_m=value)


def test_every_reading_of_a_refused_group_is_named() -> None:
    blinks = [group((8.0, 6.0), at_s) for at_s in times(50)]
    outcome = list(play([*blinks, group((8.0, 6.0), 10.0, anchors=["A0"], errors_m={"A0": 20.0})]))[-1]
    assert isinstance(outcome, list)
    assert [(one.anchor, one.reason) for one in outcome if isinstance(one, Rejected)] == [("A0", "too_few_anchors")]


def test_readings_know_their_position() -> None:
    found = position(next(play([group((8.0, 6.0), 0.0)])))
    assert isinstance(found.readings[0], Reading)
    assert {one.anchor for one in found.readings} == set(HALL.anchors)


def test_a_clock_that_is_ahead_does_not_carry_the_track_into_the_future() -> None:
    blinks = [group((8.0, 6.0), at_s) for at_s in times(50)]
    ahead = reading("A0", 18.0, kafka_s=10.0, distance_m=true_m(HALL.anchors["A0"], (8.0, 6.0), HEIGHT_M))
    outcomes = list(play([*blinks, Solved("T", [ahead], None, "too_few_anchors", ""), group((8.0, 6.0), 10.2)]))
    assert error_m(outcomes[-2], (8.0, 6.0)) < 0.05
    assert position(outcomes[-1]).at_us == us(10.2001)


@pytest.mark.parametrize("speed_m_s", [7.0, 9.5])
def test_a_fast_tag_keeps_its_track(speed_m_s: float) -> None:
    site = site_of([(0.0, 0.0), (200.0, 0.0), (200.0, 60.0), (0.0, 60.0), (100.0, 0.0), (100.0, 60.0)], z_m=None)
    outcomes = list(play([group((10 + speed_m_s * at_s, 25.0), at_s, site=site) for at_s in times(80)], site))
    assert [position(one).nis for one in outcomes].count(None) == 1  # the start
    assert position(outcomes[-1]).speed_m_s == pytest.approx(speed_m_s, abs=0.3)


def test_groups_of_the_past_neither_end_a_track_nor_set_it_back() -> None:
    blinks = [group((2.0 + 1.5 * at_s, 7.0), at_s) for at_s in times(30)]
    late = [group((2.0 + 1.5 * at_s, 7.0), at_s) for at_s in (0.0, 0.2, 0.4, 3.8, 4.0, 4.2, 4.4)]
    outcomes = list(play([*blinks, *late]))[30:]
    assert all(isinstance(one, list) for one in outcomes[:3])
    assert {position(one).at_us for one in outcomes[3:]} == {us(5.8001)}


HIGH_AND_LOW = [(0, 0, 5), (20, 0, 1), (20, 15, 5), (0, 15, 1), (10, 0, 6), (10, 15, 0.5)]


def test_a_track_begun_by_three_ranges_solves_for_the_height_too() -> None:
    anchors = {f"A{number}": Anchor(f"A{number}", *place) for number, place in enumerate(HIGH_AND_LOW)}
    site = Site("hall", anchors, tag_height_range_m=(0.0, 4.0))

    def blink(at_s: float, names: Iterable[str]) -> Solved:
        readings = [
            reading(name, at_s + 0.0001, distance_m=math.dist(HIGH_AND_LOW[int(name[1])], (8.0, 6.0, 2.0)))
            for name in names
        ]
        return solve(Group("T", readings), site, SolverSettings())

    outcomes = list(play([blink(at_s, list(anchors)[: 3 if at_s == 0 else 6]) for at_s in times(30)], site))
    last = position(outcomes[-1])
    assert last.z_m == pytest.approx(2.0, abs=0.05)
    assert last.var_zz_m2 is not None


def test_the_height_stays_within_its_range() -> None:
    """Under a flat ceiling the ranges are the same above it and below."""
    random = np.random.default_rng(5)
    site = replace(HALL, tag_height_m=None, tag_height_range_m=(0.0, 2.5))
    tag = (8.0, 6.0, 2.3)
    blinks = []
    for at_s in times(200):
        readings = [
            reading(name, at_s + 0.0001, distance_m=math.dist((*place, 2.5), tag) + 0.1 * random.standard_normal())
            for name, place in zip(HALL.anchors, CORNERS, strict=True)
        ]
        blinks.append(solve(Group("T", readings), site, SolverSettings()))
    heights = [one.z_m for one in play(blinks, site) if isinstance(one, Position)]
    assert len(heights) > 100
    assert all(z_m is not None and 0.0 <= z_m <= 2.5 for z_m in heights)


def test_a_changed_tag_height_is_taken_up_and_the_biases_are_kept() -> None:
    errors_m = dict.fromkeys(HALL.anchors, 0.2)
    tracker, track = Tracker(HALL, TrackSettings()), None
    for at_s in times(100):
        track, _ = tracker.take(track, group(walk(at_s), at_s, errors_m=errors_m))
    assert track is not None
    lower = replace(HALL, tag_height_m=0.3)
    track, outcome = Tracker(lower, TrackSettings()).take(track, group((8.0, 6.0), 20.5, site=lower, errors_m=errors_m))
    assert position(outcome).z_m == 0.3
    assert error_m(outcome, (8.0, 6.0)) < 0.05
    assert track is not None
    assert mean_of(track)[motion.OFFSET] == pytest.approx(0.2, abs=0.05)


def test_an_anchor_of_which_little_is_known_is_trusted_little() -> None:
    doubtful = {**HALL.anchors, "A0": replace(HALL.anchors["A0"], bias_sigma_m=1.0)}
    errors_m = {"A0": 0.6}

    def mean_error_m(site: Site) -> float:
        five = ["A0", "A1", "A2", "A3", "A4"]
        blinks = [group(walk(at_s), at_s, site=site, anchors=five, errors_m=errors_m) for at_s in times(60)]
        return float(np.mean([error_m(one, walk(at)) for one, at in zip(play(blinks, site), times(60), strict=True)]))

    assert mean_error_m(replace(HALL, anchors=doubtful)) < 0.8 * mean_error_m(HALL)


def test_accuracy_at_rest_is_honest_about_biases_that_are_not_learnt() -> None:
    """Still tags, biases of 0.1 to 0.3 m a pair, noise 0.05 m: no more than the expected share is further off."""
    random = np.random.default_rng(6)
    within_2 = []
    for _ in range(40):
        place = (random.uniform(3.0, 17.0), random.uniform(3.0, 12.0))
        biases_m = {name: random.uniform(0.1, 0.3) for name in HALL.anchors}
        blinks = []
        for at_s in times(60):
            noise = {name: bias_m + 0.05 * random.standard_normal() for name, bias_m in biases_m.items()}
            blinks.append(group(place, at_s, errors_m=noise))
        found = position(list(play(blinks))[-1])
        cov = np.array([[found.cov_xx_m2, found.cov_xy_m2], [found.cov_xy_m2, found.cov_yy_m2]])
        error = np.array([found.x_m - place[0], found.y_m - place[1]])
        within_2.append(float(error @ np.linalg.solve(cov, error)) < 4.0)
    assert np.mean(within_2) > 0.77


def test_three_anchors_near_one_line_do_not_start_a_track_on_the_wrong_side() -> None:
    site = site_of([(0.0, 0.0), (10.0, 0.6), (20.0, 0.0)], z_m=None)
    random = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        noise = {name: 0.1 * random.standard_normal() for name in site.anchors}
        (outcome,) = play([group((5.0, 2.0), 0.0, site=site, errors_m=noise)], site)
        wrong += isinstance(outcome, Position) and error_m(outcome, (5.0, 2.0)) > 1.5
    assert wrong <= 4  # noise alone can make the wrong side the better one
