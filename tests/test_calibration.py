"""Biases from made-up logs whose biases are known, with and without the truth, in good geometry and in none."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.positioning.calibration import Calibration, Ranges, calibrate_by_truth, directions
from pipeline.positioning.held_out import held_out_by_itself, held_out_by_truth
from pipeline.positioning.joint_fit import PRIOR_SIGMA_M
from pipeline.positioning.known_places import places_at
from pipeline.positioning.robust import Floats, cluster_meat, clusters_of, location, mad_sigma
from pipeline.positioning.round_table import first_places, gather, thinned
from pipeline.positioning.self_calibration import anchors_of, calibrate_by_itself
from pipeline.site import Anchor, Site

HEIGHT_M = 1.0
PLACES = (
    (0, 0, 4.0),
    (6, -1, 4.5),
    (12, 0, 4.0),
    (13, 5, 3.5),
    (12, 10, 4.0),
    (6, 11, 4.5),
    (0, 10, 4.0),
    (-1, 5, 3.5),
)
HALL = Site("hall", {f"A{n}": Anchor(f"A{n}", *place) for n, place in enumerate(PLACES)}, tag_height_m=HEIGHT_M)
BIASES = np.array([0.15, 0.25, 0.05, -0.1, 0.3, 0.18, 0.0, 0.2])
AFAR = Site(
    "afar",
    {f"A{n}": Anchor(f"A{n}", *place) for n, place in enumerate([(0, 0, 2), (2.5, 0, 2), (0, 1.7, 1), (2.5, 1.7, 1)])},
    tag_height_m=HEIGHT_M,
)


class Walked(NamedTuple):
    """Ranges and where their tags were."""

    ranges: Ranges
    places_m: Floats


def walked(
    site: Site,
    biases_m: Floats,
    *,
    seed: int = 1,
    tags: int = 1,
    seconds: float = 120.0,
    centre: tuple[float, float] = (6.0, 5.0),
    tag_spread_m: float = 0.0,
    outliers: float = 0.05,
) -> Walked:
    """Walk round the centre and be ranged by all anchors every half second; one range in twenty takes a detour."""
    random = np.random.default_rng(seed)
    at_s = np.repeat(np.arange(0.0, seconds, 0.5), tags)
    tag = np.tile(np.arange(tags), at_s.size // tags)
    angle, radius = 0.11 * at_s + 2.0 * tag, 3.0 + 1.5 * np.sin(0.037 * at_s + tag)
    places = np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(at_s.size, HEIGHT_M)]
    )
    anchors = anchors_of(site)
    pairs = biases_m + tag_spread_m * random.standard_normal((tags, len(anchors)))
    true = np.linalg.norm(places[:, None, :] - anchors[None, :, :], axis=2)
    measured = true + pairs[tag] + 0.06 * random.standard_normal(true.shape)
    measured += np.where(random.random(true.shape) < outliers, random.exponential(2.0, true.shape), 0.0)
    count = len(anchors)
    numbers = np.tile(np.arange(count), at_s.size)
    return Walked(
        Ranges(np.repeat(at_s, count), np.repeat(tag, count), numbers, measured.ravel()),
        np.repeat(places, count, axis=0),
    )


def by_itself(walk: Walked, site: Site) -> Calibration:
    table = gather(walk.ranges, len(site.anchors), 4)
    places = first_places(table, site)
    solved = np.isfinite(places[:, 0])
    return calibrate_by_itself(table.at(solved), places[solved], site)


def with_moved(site: Site, anchor_id: str, dx_m: float, dy_m: float) -> Site:
    anchor = site.anchors[anchor_id]
    moved = dataclasses.replace(anchor, x_m=anchor.x_m + dx_m, y_m=anchor.y_m + dy_m)
    return dataclasses.replace(site, anchors={**site.anchors, anchor_id: moved})


def assert_within(calibration: Calibration, biases_m: Floats, sigmas: float = 3.0) -> None:
    for found, true_m in zip(calibration.anchors, biases_m, strict=True):
        assert found.bias_m is not None
        assert abs(found.bias_m - true_m) < sigmas * found.sigma_m


def assert_sigmas_hold(calibrations: list[Calibration], biases_m: Floats) -> None:
    """Of errors in sigmas, the root mean square is about 1, and hardly any are over 3."""
    errors = [
        (found.bias_m - true_m) / found.sigma_m
        for calibration in calibrations
        for found, true_m in zip(calibration.anchors, biases_m, strict=True)
        if found.bias_m is not None
    ]
    assert len(errors) == len(calibrations) * len(biases_m)
    assert 0.7 < np.sqrt(np.mean(np.square(errors))) < 1.3
    assert np.mean(np.abs(errors) < 3.0) > 0.97


# with the truth


def test_biases_are_found_by_the_truth_to_centimetres_and_sigmas_say_how_well() -> None:
    walks = [walked(HALL, BIASES, seed=seed) for seed in range(10)]
    calibrations = [calibrate_by_truth(walk.ranges, walk.places_m, anchors_of(HALL)) for walk in walks]
    assert_sigmas_hold(calibrations, BIASES)
    assert all(anchor.sigma_m < 0.01 for calibration in calibrations for anchor in calibration.anchors)
    assert all(anchor.offset is None for calibration in calibrations for anchor in calibration.anchors)
    assert calibrations[0].tag_spread_m is None


def test_the_spread_between_tags_is_told_and_held_by_the_sigmas() -> None:
    walk = walked(HALL, BIASES, tags=6, tag_spread_m=0.08, seed=3)
    calibration = calibrate_by_truth(walk.ranges, walk.places_m, anchors_of(HALL))
    assert calibration.tag_spread_m == pytest.approx(0.08, rel=0.3)
    assert all(anchor.sigma_m > 0.06 for anchor in calibration.anchors)
    assert_within(calibration, BIASES)


def test_a_moved_anchor_is_told_with_where_it_is_and_its_bias_is_doubted() -> None:
    walk = walked(HALL, BIASES)
    on_map = with_moved(HALL, "A3", 0.4, -0.3)
    calibration = calibrate_by_truth(walk.ranges, walk.places_m, anchors_of(on_map))
    offsets = [anchor.offset for anchor in calibration.anchors]
    offset = offsets[3]
    assert [index for index, one in enumerate(offsets) if one is not None] == [3]
    assert offset is not None
    assert abs(offset.x_m + 0.4) < 3.0 * offset.sigma_x_m < 0.2
    assert abs(offset.y_m - 0.3) < 3.0 * offset.sigma_y_m < 0.2
    assert calibration.anchors[3].sigma_m > 0.3


def test_tags_that_stand_each_at_a_place_are_not_taken_for_a_moved_anchor() -> None:
    random = np.random.default_rng(0)
    places = np.array([[2.0, 2, 1], [10, 2, 1], [10, 8, 1], [2, 8, 1]])
    tag, anchor = np.repeat(np.arange(4), 50), np.zeros(200, dtype=np.int64)
    true, _ = directions(places[tag], np.array(PLACES[0]))
    own = np.array([0.1, -0.1, 0.12, -0.08])
    measured = np.asarray(true + own[tag] + 0.02 * random.standard_normal(200), dtype=np.float64)
    ranges = Ranges(np.tile(np.arange(50.0), 4), tag, anchor, measured)
    order = np.argsort(ranges.at_s, kind="stable")
    (found,) = calibrate_by_truth(ranges.at(order), places[tag][order], np.array([PLACES[0]])).anchors
    assert found.offset is None
    assert found.sigma_m > 0.08


def test_an_anchor_with_hardly_any_readings_is_left_alone() -> None:
    walk = walked(HALL, BIASES)
    rows = (walk.ranges.anchor != 2) | (np.arange(walk.ranges.anchor.size) < 40)
    found = calibrate_by_truth(walk.ranges.at(rows), walk.places_m[rows], anchors_of(HALL)).anchors[2]
    assert (found.readings, found.bias_m) == (5, None)


def test_anchors_without_height_are_taken_to_be_at_the_tags() -> None:
    flat = Site("flat", {one.id: dataclasses.replace(one, z_m=None) for one in HALL.anchors.values()})
    level = Site("level", {one.id: dataclasses.replace(one, z_m=HEIGHT_M) for one in HALL.anchors.values()})
    walk = walked(level, BIASES)
    assert_within(calibrate_by_truth(walk.ranges, walk.places_m, anchors_of(flat)), BIASES)
    assert_within(by_itself(walk, flat), BIASES)


# without


def test_biases_are_found_from_the_ranges_alone_and_sigmas_say_how_well() -> None:
    calibrations = [by_itself(walked(HALL, BIASES, seed=seed), HALL) for seed in range(10)]
    assert_sigmas_hold(calibrations, BIASES)
    assert all(anchor.sigma_m < 0.02 for calibration in calibrations for anchor in calibration.anchors)
    assert all(anchor.offset is None for calibration in calibrations for anchor in calibration.anchors)


def test_the_biases_of_the_map_do_not_matter() -> None:
    walk = walked(HALL, BIASES)
    calibrated = {
        one.id: dataclasses.replace(one, bias_m=bias_m, bias_sigma_m=0.05)
        for one, bias_m in zip(HALL.anchors.values(), BIASES[::-1].tolist(), strict=True)
    }
    again = by_itself(walk, dataclasses.replace(HALL, anchors=calibrated))
    for one, other in zip(by_itself(walk, HALL).anchors, again.anchors, strict=True):
        assert one.bias_m == pytest.approx(other.bias_m, abs=0.01)


def test_the_height_may_be_solved_for_beside_the_biases() -> None:
    within = dataclasses.replace(HALL, tag_height_m=None, tag_height_range_m=(0.0, 2.0))
    assert_within(by_itself(walked(HALL, BIASES, outliers=0.0), within), BIASES)


def test_a_moved_anchor_shows_without_truth_and_does_not_spoil_the_others() -> None:
    on_map = with_moved(HALL, "A3", 0.6, -0.5)
    calibration = by_itself(walked(HALL, BIASES, tags=2), on_map)
    offset = calibration.anchors[3].offset
    assert [index for index, one in enumerate(calibration.anchors) if one.offset is not None] == [3]
    assert offset is not None
    assert math.hypot(offset.x_m + 0.6, offset.y_m - 0.5) < 0.25
    assert_within(calibration, BIASES, sigmas=4.0)


def test_anchors_seen_from_outside_leave_the_common_bias_open_and_say_so() -> None:
    biases = np.array([0.2, 0.3, 0.1, 0.2])
    calibration = by_itself(walked(AFAR, biases, centre=(18.0, 6.0)), AFAR)
    assert_within(calibration, biases)
    assert all(0.1 < anchor.sigma_m <= PRIOR_SIGMA_M for anchor in calibration.anchors)


def test_an_anchor_that_no_round_hears_is_left_alone() -> None:
    walk = walked(HALL, BIASES)
    found = by_itself(Walked(walk.ranges.at(walk.ranges.anchor != 5), walk.places_m), HALL).anchors[5]
    assert (found.readings, found.bias_m) == (0, None)


# held out


def test_what_is_held_out_shows_what_biases_are_worth() -> None:
    walk = walked(HALL, BIASES, tags=3, outliers=0.0)
    by_truth = held_out_by_truth(walk.ranges, walk.places_m, anchors_of(HALL), np.zeros(8)).overall
    table = gather(walk.ranges, 8, 4)
    itself = held_out_by_itself(table, first_places(table, HALL), HALL).overall
    assert by_truth is not None
    assert itself is not None
    assert by_truth.before.rms_m == pytest.approx(math.sqrt(np.mean(BIASES**2) + 0.06**2), rel=0.1)
    assert by_truth.after.rms_m == pytest.approx(0.06, rel=0.1)
    assert itself.after.rms_m < 0.06 < itself.before.rms_m
    assert 0 < by_truth.readings < walk.ranges.at_s.size


def test_one_place_leaves_nothing_to_hold_out() -> None:
    walk = walked(HALL, BIASES)
    places = np.repeat([[6.0, 5.0, 1.0]], walk.ranges.at_s.size, axis=0)
    assert held_out_by_truth(walk.ranges, places, anchors_of(HALL), BIASES).overall is None


# rounds


def test_a_round_ends_when_an_anchor_reports_again_or_after_a_quarter_of_a_second() -> None:
    at_s = np.array([0.0, 0.1, 0.2, 0.21, 0.22, 0.6, 0.7])
    distance_m = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    ranges = Ranges(at_s, np.array([0, 0, 0, 0, 1, 0, 0]), np.array([0, 1, 0, 1, 0, 1, 0]), distance_m)
    table = gather(ranges, 2, 1)
    assert table.distance_m.tolist()[:2] == [[1.0, 2.0], [3.0, 4.0]]
    assert gather(ranges, 2, 2).distance_m.tolist() == [[1.0, 2.0], [3.0, 4.0], [7.0, 6.0]]
    assert gather(ranges, 2, 2).tag.tolist() == [0, 0, 0]


def test_long_logs_are_thinned_evenly_and_always_alike() -> None:
    table = gather(walked(HALL, BIASES).ranges, 8, 4)
    thin = thinned(table, 50)
    assert thin.at_s.size == 50
    assert (thin.at_s[0], thin.at_s[-1]) == (table.at_s[0], table.at_s[-1])
    assert np.diff(thin.at_s).max() <= 2 * np.diff(thin.at_s).min()
    assert np.array_equal(thin.distance_m, thinned(table, 50).distance_m, equal_nan=True)


# known places


def test_places_lie_between_known_ones_and_nowhere_else() -> None:
    track = np.array([[0.0, 0, 0, 1], [1, 2, 0, 1], [10, 2.05, 0, 1], [20, 9, 0, 1]])
    found = places_at(track, np.array([-0.1, 0.0, 0.5, 5.0, 15.0, 20.0, 20.1]))
    assert np.isfinite(found[:, 0]).tolist() == [False, True, True, True, False, True, False]
    assert found[2].tolist() == [1.0, 0.0, 1.0]


def test_a_tag_with_one_place_stood_there_all_the_time() -> None:
    assert places_at(np.array([[5.0, 1, 2, 3]]), np.array([0.0, 99.0])).tolist() == [[1, 2, 3], [1, 2, 3]]


# robust


def test_the_middle_is_not_drawn_by_a_quarter_of_detours() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([0.2 + 0.05 * random.standard_normal(300), 0.2 + random.exponential(3.0, 100)])
    assert location(values) == pytest.approx(0.2, abs=0.02)
    assert mad_sigma(random.standard_normal(10_000)) == pytest.approx(1.0, rel=0.05)


def test_errors_that_stay_are_counted_once_a_cluster() -> None:
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(100), 20)
    errors = random.standard_normal(100)[clusters][:, None]
    assert cluster_meat(errors, clusters)[0, 0] == pytest.approx(100 * 20**2, rel=0.3)


def test_a_cluster_is_of_one_tag_and_lasts_until_it_has_moved() -> None:
    at_s = np.array([0.0, 1.0, 6.0, 7.0, 20.0, 21.0])
    tags = np.array([0, 1, 0, 1, 0, 1])
    places = np.array([[0.0, 0], [5, 5], [0, 0.1], [6, 5], [1, 0], [6, 5]])
    assert clusters_of(tags, at_s, places, 5.0, 0.5).tolist() == [0, 1, 0, 2, 3, 2]
