"""A scene whose tags and anchors do as they are told."""

from __future__ import annotations

import math

import pytest

from pipeline.model import KafkaRecord
from pipeline.simulation.directed import DirectedScene
from pipeline.simulation.events import AnchorRecord, Heartbeat
from pipeline.simulation.settings import SceneSettings
from pipeline.site import Anchor, Site
from pipeline.tag_identity import TagIdentity
from pipeline.wire.anchor_data import encode_anchor_data
from pipeline.wire.decode import decode

PLACES = {"A0": (0.0, 0.0), "A1": (10.0, 0.0), "A2": (0.0, 10.0)}
SITE = Site(
    "demo",
    {name: Anchor(name, x, y, None) for name, (x, y) in PLACES.items()},
    tag_identity=TagIdentity.FIRST12,
)
EXACT = SceneSettings(tags=2, noise_m=0, bias_m=0, bias_spread_m=0, outlier_share=0, lost_share=0)
START_US = 1_700_000_000_250_000


def scene() -> DirectedScene:
    return DirectedScene(SITE, EXACT, [(3.0, 4.0), (5.0, 5.0)], START_US)


def readings(records: list[AnchorRecord | Heartbeat]) -> list[tuple[str, str, float]]:
    """Anchor, tag id and distance of each reading."""
    found = [(one.anchor_id, one.readings[0]) for one in records if isinstance(one, AnchorRecord)]
    return [(anchor, reading.tag_id, reading.distance_m) for anchor, reading in found]


def heartbeats(records: list[AnchorRecord | Heartbeat]) -> list[str]:
    return [one.anchor_id for one in records if isinstance(one, Heartbeat)]


def test_every_anchor_publishes_every_tag_once_a_second_and_a_heartbeat_every_two() -> None:
    records = list(scene().play(10.0))
    assert len(readings(records)) == 10 * 2 * 3
    assert len(heartbeats(records)) == 5 * 3
    assert [one.sent_at_us for one in records] == sorted(one.sent_at_us for one in records)
    anchor, tag_id, distance_m = readings(records)[0]
    assert (anchor, tag_id) == ("A0", "0003FF0000000000")
    assert distance_m == pytest.approx(5.0)


def test_playing_in_slices_gives_the_same() -> None:
    whole, sliced = scene(), scene()
    parts = [list(sliced.play(0.05 * number)) for number in range(1, 101)]
    assert [one for part in parts for one in part] == list(whole.play(5.0))
    assert sliced.now_s == whole.now_s == 5.0


def test_a_silent_anchor_sends_nothing_until_it_wakes() -> None:
    play = scene()
    play.silence("A1", "A2")
    records = list(play.play(4.0))
    assert {one.anchor_id for one in records} == {"A0"}
    play.wake("A1")
    assert {one.anchor_id for one in play.play(8.0)} == {"A0", "A1"}


def test_a_clock_is_off_by_what_it_was_told_and_stamps_are_whole_seconds() -> None:
    play = scene()
    play.set_clock("A0", 3600.0)
    for one in play.play(3.0):
        off_us = one.stamped_us - one.sent_at_us
        assert one.stamped_us % 1_000_000 == 0
        assert -1_000_000 < off_us - (3_600_000_000 if one.anchor_id == "A0" else 0) <= 0


def test_a_torn_off_tag_blinks_at_once_under_another_id_and_names_the_same_tag() -> None:
    play = scene()
    list(play.play(2.3))
    play.tear_off(0)
    first, *_ = [one for one in play.play(2.31) if isinstance(one, AnchorRecord)]
    assert first.readings[0].tag_id == "0003FF0000000001"
    value = encode_anchor_data(first.anchor_id, first.stamped_us, {one.tag_id: one for one in first.readings})
    (reading,) = decode(KafkaRecord(0, 0, first.sent_at_us, value), SITE).readings
    assert (reading.tag, reading.detached, reading.battery_low) == ("0003FF0000000000", True, False)
    play.tear_off(0, detached=False)
    play.run_low(0)
    assert {tag for _, tag, _ in readings(list(play.play(4.0)))} == {"0003FF0000000100", "0003FF0000010000"}


def test_a_hidden_tag_is_not_heard_until_it_is_shown() -> None:
    play = scene()
    play.hide(1)
    assert {tag for _, tag, _ in readings(list(play.play(3.0)))} == {"0003FF0000000000"}
    play.hide(1, hidden=False)
    assert len({tag for _, tag, _ in readings(list(play.play(6.0)))}) == 2


def test_a_tag_walks_along_its_way_at_its_speed_and_rests_at_the_end() -> None:
    play = scene()
    list(play.play(2.0))
    play.walk(0, [(3.0, 8.0), (6.0, 8.0)], 2.0)
    assert [play.place(0, at_s) for at_s in (2.0, 3.0, 4.0, 5.0, 60.0)] == [
        *((3.0, 4.0), (3.0, 6.0), (3.0, 8.0)),
        *((5.0, 8.0), (6.0, 8.0)),
    ]
    (at_rest,) = [one for one in readings(list(play.play(60.9))) if one[:2] == ("A0", "0003FF0000000000")][-1:]
    assert at_rest[2] == pytest.approx(math.hypot(6.0, 8.0), abs=1e-5)


def test_a_reading_carries_the_truth_behind_it() -> None:
    play = scene()
    play.walk(0, [(9.0, 4.0)])
    for one in play.play(3.0):
        if isinstance(one, AnchorRecord) and one.readings[0].tag_id == "0003FF0000000000":
            truth = one.readings[0]
            x, y = PLACES[one.anchor_id]
            assert truth.distance_m == pytest.approx(math.hypot(truth.x_m - x, truth.y_m - y), abs=1e-5)
            assert truth.x_m == pytest.approx(3.0 + (truth.measured_at_us - START_US) / 1e6)
