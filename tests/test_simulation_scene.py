"""Scenes: what anchors publish, when, and under which id."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from pipeline.simulation.events import AnchorRecord, Heartbeat, TagReading
from pipeline.simulation.scene import Event, Scene
from pipeline.simulation.settings import AnchorFault, SceneError, SceneSettings, TearOff
from pipeline.site import Anchor, Site
from pipeline.wire.anchor_data import encode_anchor_data
from tests.readings import DEMO

HALL = Site(
    "hall",
    {a.id: a for a in (Anchor("C0", 0, 0, 4), Anchor("C1", 90, 0, 5), Anchor("C2", 90, 80, 6), Anchor("C3", 0, 80))},
    tag_height_m=1.2,
)
START_US = 1_713_300_000_000_000
EXACT = SceneSettings(noise_m=0.0, bias_m=0.0, bias_spread_m=0.0, outlier_share=0.0, lost_share=0.0)
ONE_WALKER = SceneSettings(tags=1, lost_share=0.0)


def play(settings: SceneSettings, duration_s: float = 30.0, site: Site = DEMO) -> list[Event]:
    return list(Scene(site, settings, START_US).events(duration_s))


def records(events: Sequence[Event]) -> list[AnchorRecord]:
    return [event for event in events if isinstance(event, AnchorRecord)]


def readings(events: Sequence[Event]) -> list[tuple[str, TagReading]]:
    return [(record.anchor_id, reading) for record in records(events) for reading in record.readings]


def since_s(time_us: int) -> float:
    return (time_us - START_US) / 1e6


def test_the_same_seed_gives_the_same_bytes() -> None:
    def encoded(seed: int) -> list[bytes]:
        return [
            encode_anchor_data(r.anchor_id, r.stamped_us, {reading.tag_id: reading for reading in r.readings})
            for r in records(play(SceneSettings(seed=seed), 10))
        ]

    assert encoded(3) == encoded(3)
    assert encoded(3) != encoded(4)


def test_more_tags_do_not_change_the_truth_of_the_others() -> None:
    few, many = Scene(DEMO, SceneSettings(tags=3)), Scene(DEMO, SceneSettings(tags=50))
    assert few.truth(12.3) == many.truth(12.3)[:3]


@pytest.mark.parametrize("many", [False, True])
def test_events_come_in_order_of_time(many: bool) -> None:  # noqa: FBT001
    sent_us = [event.sent_at_us for event in play(SceneSettings(tags=40, many_tags_per_record=many))]
    assert sent_us == sorted(sent_us)


def test_every_record_is_sent_some_milliseconds_after_it_was_measured() -> None:
    delays_s = [
        (record.sent_at_us - record.readings[0].measured_at_us) / 1e6
        for record in records(play(SceneSettings(tags=40, delay_s=0.003, jitter_s=0.004)))
    ]
    assert min(delays_s) >= 0.003
    assert np.mean(delays_s) == pytest.approx(0.007, rel=0.1)


def test_an_anchor_publishes_a_walking_tag_once_a_second() -> None:
    instants = defaultdict(list)
    for anchor, reading in readings(play(ONE_WALKER, 60)):
        instants[anchor].append(reading.measured_at_us)
    assert instants["A0"] == instants["A1"] == instants["A2"]  # one blink, heard by all
    gaps_s = [(later - earlier) / 1e6 for earlier, later in pairwise(instants["A0"])]
    assert gaps_s == pytest.approx([1.0] * len(gaps_s), abs=0.01)
    assert len(gaps_s) >= 57


def test_a_lost_ranging_is_made_up_for_at_the_next_blink() -> None:
    instants = defaultdict(list)
    for anchor, reading in readings(play(SceneSettings(tags=20, still_share=0.0, lost_share=0.1), 40)):
        instants[reading.tag_id, anchor].append(reading.measured_at_us)
    gaps_s = np.array([(b - a) / 1e6 for series in instants.values() for a, b in pairwise(series)])
    blinks = np.rint(gaps_s / 0.2)
    assert gaps_s == pytest.approx(blinks * 0.2, abs=0.02)
    assert min(blinks) >= 3  # a reading made up for, and the next in time again
    assert np.mean(blinks == 5) == pytest.approx(0.9**2, abs=0.05)
    assert np.mean(blinks == 6) == pytest.approx(0.9 * 0.1 * 0.9, abs=0.03)
    assert np.mean(blinks > 7) < 0.01


def test_anchors_hear_the_same_blinks_also_after_one_was_dead() -> None:
    settings = SceneSettings(tags=20, still_share=0.0, lost_share=0.1, outages=(AnchorFault("A1", 3, 4.5),))
    heard_by = defaultdict(set)
    for anchor, reading in readings(play(settings, 30)):
        if since_s(reading.measured_at_us) > 9:
            heard_by[reading.tag_id, reading.measured_at_us].add(anchor)
    anchors = [len(of_blink) for of_blink in heard_by.values()]
    assert np.sum([count for count in anchors if count == 3]) / np.sum(anchors) > 0.6


def test_a_still_tag_is_heard_every_ten_seconds() -> None:
    events = play(SceneSettings(tags=1, still_share=1.0, lost_share=0.0), 60)
    instants = [since_s(reading.measured_at_us) for anchor, reading in readings(events) if anchor == "A0"]
    assert instants[0] < 10.2
    assert [b - a for a, b in pairwise(instants)] == pytest.approx([10.0] * (len(instants) - 1), abs=0.01)
    assert len(instants) >= 5


def test_a_torn_off_tag_says_so_at_once_under_a_new_id_and_goes_on_blinking_fast() -> None:
    settings = SceneSettings(tags=5, still_share=1.0, lost_share=0.0, tear_offs=(TearOff(3, 12.34),))
    of_tag = [reading for _, reading in readings(play(settings)) if reading.tag_id.startswith("0003FF000003")]
    before = [reading for reading in of_tag if not reading.detached]
    after = [reading for reading in of_tag if reading.detached]
    assert {reading.tag_id for reading in before} == {"0003FF0000030000"}
    assert {reading.tag_id for reading in after} == {"0003FF0000030001"}
    assert max(since_s(reading.measured_at_us) for reading in before) < 12.34
    assert [since_s(reading.measured_at_us) for reading in after[:3]] == [12.34] * 3
    assert len(after) == pytest.approx(3 * 18, abs=3)


def test_torn_off_right_after_a_blink_is_still_published() -> None:
    first = next(iter(readings(play(ONE_WALKER))))[1]
    at_s = since_s(first.measured_at_us) + 0.001
    torn = SceneSettings(tags=1, lost_share=0.0, tear_offs=(TearOff(0, at_s),), many_tags_per_record=True)
    tags = [reading.tag_id[-4:] for _, reading in readings(play(torn, 1.05))]
    assert tags.count("0000") == 3
    assert tags.count("0001") == 3


def test_low_batteries_show_in_flag_and_id() -> None:
    settings = SceneSettings(tags=10, battery_low_share=0.3, battery_low_at_s=5.0, tear_offs=(TearOff(1, 6.0),))
    events = readings(play(settings))
    for _, reading in events:
        state = f"0{int(reading.battery_low)}0{int(reading.detached)}"
        assert reading.tag_id.endswith(state)
    low = {reading.tag_id[:12] for _, reading in events if reading.battery_low}
    assert len(low) == 3
    assert all(since_s(reading.measured_at_us) >= 5.0 for _, reading in events if reading.battery_low)
    assert any(reading.tag_id.endswith("0101") for _, reading in events)


def test_the_share_of_still_tags_is_kept() -> None:
    scene = Scene(DEMO, SceneSettings(tags=100, still_share=0.2))
    pairs = zip(scene.truth(0.0), scene.truth(500.0), strict=True)
    assert sum(before[1:] == after[1:] for before, after in pairs) == 20


def test_stamps_are_whole_seconds_of_the_anchors_own_clocks() -> None:
    events = play(SceneSettings(tags=30, clock_offset_s=0.2))
    assert all(event.stamped_us % 1_000_000 == 0 for event in events)
    stamps = defaultdict(set)
    for record in records(events):
        stamps[record.readings[0].tag_id, record.readings[0].measured_at_us].add(record.stamped_us)
        assert abs(record.stamped_us + 500_000 - record.readings[0].measured_at_us) < 500_000 + 1_200_000
    assert any(len(of_blink) == 2 for of_blink in stamps.values())  # t and t + 1 in one blink


def test_fine_stamps_differ_from_the_truth_by_a_constant_of_the_anchor() -> None:
    events = play(SceneSettings(tags=30, fine_timestamps=True))
    offsets = defaultdict(set)
    for record in records(events):
        offsets[record.anchor_id].add(record.stamped_us - record.readings[0].measured_at_us)
    assert {len(of_anchor) for of_anchor in offsets.values()} == {1}
    assert all(abs(offset) < 100_000 for of_anchor in offsets.values() for offset in of_anchor)


def test_heartbeats_come_every_two_seconds_from_every_anchor() -> None:
    sent = defaultdict(list)
    for event in play(SceneSettings(jitter_s=0.0), 20):
        if isinstance(event, Heartbeat):
            sent[event.anchor_id].append(event.sent_at_us)
    assert sent.keys() == DEMO.anchors.keys()
    assert {b - a for series in sent.values() for a, b in pairwise(series)} == {2_000_000}


def test_a_dead_anchor_is_silent_and_comes_back() -> None:
    events = play(SceneSettings(outages=(AnchorFault("A1", 10, 8),), jitter_s=0.0), 30)
    heard_s = [since_s(event.sent_at_us) for event in events if event.anchor_id == "A1"]
    assert not any(10.1 <= at_s < 18 for at_s in heard_s)
    assert any(at_s < 10 for at_s in heard_s)
    assert any(at_s > 18 for at_s in heard_s)
    assert any(10.1 <= since_s(event.sent_at_us) < 18 for event in events if event.anchor_id == "A0")


def test_a_lost_clock_starts_at_1970() -> None:
    events = play(SceneSettings(clock_losses=(AnchorFault("A2", 5, 4),), delay_s=0.0, jitter_s=0.0), 12)
    wrong = [event for event in events if event.stamped_us < 10_000_000]
    assert {event.anchor_id for event in wrong} == {"A2"}
    assert all(5 <= since_s(event.sent_at_us) < 9 for event in wrong)


def test_distances_are_true_slant_ranges_when_nothing_disturbs() -> None:
    checked = 0
    for anchor_id, reading in readings(play(replace(EXACT, tags=20), site=HALL)):
        anchor = HALL.anchors[anchor_id]
        assert reading.z_m == 1.2
        above_m = 0.0 if anchor.z_m is None else anchor.z_m - 1.2
        true_m = math.hypot(reading.x_m - anchor.x_m, reading.y_m - anchor.y_m, above_m)
        assert reading.distance_m == pytest.approx(true_m, rel=1e-6)
        assert true_m <= 100
        checked += 1
    assert checked > 500


def test_the_truth_of_a_reading_is_the_scenes_truth_at_that_instant() -> None:
    scene = Scene(DEMO, ONE_WALKER, START_US)
    for _, reading in readings(list(scene.events(10))):
        (truth,) = scene.truth(since_s(reading.measured_at_us))
        assert truth == (reading.tag_id, reading.x_m, reading.y_m, reading.z_m)


def test_tags_go_at_the_mean_height_of_the_anchors_where_theirs_is_not_known() -> None:
    site = Site("s", {a.id: a for a in (Anchor("A", 0, 0, 2), Anchor("B", 5, 0, 4), Anchor("C", 0, 5))})
    assert {truth.z_m for truth in Scene(site, SceneSettings()).truth(0)} == {3.0}


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_lost_and_outlying_readings_come_in_the_share_asked_for(share: float) -> None:
    scene = Scene(DEMO, SceneSettings(tags=100, lost_share=share, outlier_share=0.05), START_US)
    heard = readings(list(scene.events(30)))
    tried = len(heard) + scene.lost
    assert abs(scene.lost - share * tried) <= 5 * math.sqrt(tried * share * (1 - share))
    outliers = sum(reading.is_outlier for _, reading in heard)
    assert abs(outliers - 0.05 * len(heard)) <= 5 * math.sqrt(len(heard) * 0.05 * 0.95)


def test_errors_are_a_constant_per_pair_and_noise() -> None:
    errors_m = defaultdict(list)
    for anchor_id, reading in readings(play(SceneSettings(tags=20, still_share=0.0, outlier_share=0.0), 120)):
        anchor = DEMO.anchors[anchor_id]
        true_m = math.hypot(reading.x_m - anchor.x_m, reading.y_m - anchor.y_m)
        if true_m > 0.5:  # nearer than that, noise is cut off at zero
            errors_m[anchor_id, reading.tag_id].append(reading.distance_m - true_m)
    means_m = [np.mean(of_pair) for of_pair in errors_m.values()]
    assert np.mean(means_m) == pytest.approx(0.1, abs=0.015)
    assert np.std(means_m) == pytest.approx(0.05 / math.sqrt(3), abs=0.012)
    assert np.mean([np.std(of_pair) for of_pair in errors_m.values()]) == pytest.approx(0.08, rel=0.05)


def test_distances_stay_within_what_an_anchor_can_report() -> None:
    wild = SceneSettings(tags=50, noise_m=5.0, outlier_share=0.2, outlier_mean_m=50.0)
    distances_m = [reading.distance_m for _, reading in readings(play(wild, site=HALL))]
    assert min(distances_m) >= 0.00001
    assert max(distances_m) <= 100
    assert all(distance_m == float(np.float32(distance_m)) for distance_m in distances_m)


def test_an_anchor_out_of_range_hears_nothing() -> None:
    settings = replace(EXACT, tags=20, max_range_m=30.0)
    distances_m = [reading.distance_m for _, reading in readings(play(settings, site=HALL))]
    assert 0 < max(distances_m) <= 30


def test_many_tags_share_a_record() -> None:
    one = readings(play(replace(EXACT, tags=200), 12))
    batches = records(play(replace(EXACT, tags=200, many_tags_per_record=True), 12))
    assert max(len(record.readings) for record in batches) > 5
    assert sum(len(record.readings) for record in batches) == len(one)
    for record in batches:
        assert len({reading.tag_id for reading in record.readings}) == len(record.readings)
        times_us = [reading.measured_at_us for reading in record.readings]
        assert max(times_us) - min(times_us) < 50_000


def test_a_hundred_thousand_tags_begin_at_once() -> None:
    scene = Scene(DEMO, SceneSettings(tags=100_000, many_tags_per_record=True))
    first = list(islice(scene.events(), 20))
    assert len(first) == 20


def test_the_end_of_a_play_loses_nothing_under_way() -> None:
    settings = SceneSettings(tags=20, delay_s=2.0, jitter_s=0.0)
    longer = [event for event in play(settings, 10) if since_s(event.sent_at_us) < 7]
    assert play(settings, 5) == longer


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tags": 0}, "tags: expected a number from 1 to 100000, got 0"),
        ({"lost_share": 1.5}, "lost_share: expected a number from 0 to 1, got 1.5"),
        ({"noise_m": math.nan}, "noise_m: expected a number from 0 to 10, got nan"),
        ({"tear_offs": (TearOff(10, 1.0),)}, "tear-off of tag 10: expected a tag from 0 to 9"),
        ({"tear_offs": (TearOff(0, -1.0),)}, "tear-off of tag 0: expected 0 s or more"),
        ({"outages": (AnchorFault("A0", 1, 0),)}, "fault of anchor A0: expected a start"),
    ],
)
def test_settings_that_cannot_be_played_are_refused(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(SceneError, match=expected):
        SceneSettings(**settings)  # type: ignore[arg-type]


def test_a_fault_of_an_anchor_that_is_not_there_is_refused() -> None:
    with pytest.raises(SceneError, match="'A9': expected one of A0, A1, A2"):
        Scene(DEMO, SceneSettings(outages=(AnchorFault("A9", 1, 1),)))


def test_a_site_without_anchors_is_refused() -> None:
    with pytest.raises(SceneError, match="at least one anchor"):
        Scene(Site("empty", {}), SceneSettings())
