"""The track of a tag as bytes, found again in savepoints and so pinned here; and when they are kept and forgotten."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Group, Position, Rejected, Solved
from pipeline.positioning.solve import solve
from pipeline.positioning.track import Track
from pipeline.positioning.track_numbers import EXACT, EXACT_BYTES, MAX_BIASES, ROUNDED, ROUNDED_BYTES
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.site import Anchor, Site
from pipeline.transforms.tag_groups import Codec, TagStates, timer_at
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.track_state import CODEC, VERSION, from_bytes, to_bytes
from tests.readings import reading, us
from tests.test_tag_groups import ListBag, OneTimer

TAG = "0003FFDDEEFF0001"
EXPIRY_US = 60_000_000
# Written by the first version that kept tracks. Whoever has to change these lines loses what sites have saved, and has
# to raise VERSION.
GOLDEN = (
    "020260abfbbd3c160600f07bffbd3c1606000002004130020041310000000000000000555555555555d53f555555555555e5"
    "3f000000000000f03f555555555555f53fabaaaaaaaaaafa3f0000000000000040abaaaaaaaaaa0240555555555555054000"
    "00000000000840abaaaaaaaaaa0a405555555555550d4000000000000010405555555555551140000000000000803c000000"
    "3d0000403d0000803d0000a03d0000c03d0000e03d0000003e0000103e0000203e0000303e0000403e0000503e0000603e00"
    "00703e0000803e0000883e0000903e0000983e0000a03e0000a83e0000b03e0000b83e0000c03e0000c83e0000d03e0000d8"
    "3e0000e03e0000e83e0000f03e0000f83e0000003f0000043f0000083f00000c3f0000103f0000143f0000183f00001c3f00"
    "00203f"
)


def sample() -> Track:
    """A track whose every number is its own."""
    exact, rounded = np.arange(EXACT) / 3, np.arange(ROUNDED[2], dtype=np.float32) / 64
    return Track(us(1.5), us(1.75), ("A0", "A1"), exact.tobytes(), rounded.tobytes())


def hall(count: int) -> Site:
    """A hall with so many anchors around it, named as real ones."""
    angles = [2 * math.pi * number / count for number in range(count)]
    ids = [f"00112233445566{number:02X}" for number in range(count)]
    anchors = [
        Anchor(anchor, 15 * math.cos(angle), 10 * math.sin(angle)) for anchor, angle in zip(ids, angles, strict=True)
    ]
    return Site("hall", {anchor.id: anchor for anchor in anchors})


def blink(site: Site, at_s: float, place: tuple[float, float] = (2.0, 1.0)) -> Solved:
    """What all anchors of a site measure of a tag, solved."""
    readings = [
        reading(anchor.id, at_s, tag=TAG, distance_m=math.dist(place, (anchor.x_m, anchor.y_m)), offset=number)
        for number, anchor in enumerate(site.anchors.values())
    ]
    return solve(Group(TAG, readings), site, SolverSettings())


def tracked(site: Site, blinks: int) -> Track:
    """The track of a tag that walks."""
    tracker = Tracker(site, TrackSettings())
    track: Track | None = None
    for number in range(blinks):
        track, outcome = tracker.take(track, blink(site, 0.2 * number, (2.0 + 0.2 * number, 1.0)))
        assert isinstance(outcome, Position)
    assert track is not None
    return track


def test_golden_bytes() -> None:
    assert to_bytes(sample()).hex() == GOLDEN
    assert from_bytes(bytes.fromhex(GOLDEN)) == sample()


@given(st.integers(0, MAX_BIASES), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.randoms())
def test_nothing_is_lost_on_the_way(biases: int, at_us: int, clock_us: int, random: Random) -> None:
    anchors = tuple(f"A{number}" for number in range(biases))
    exact, rounded = random.randbytes(EXACT_BYTES), random.randbytes(ROUNDED_BYTES[biases])
    track = Track(at_us, clock_us, anchors, exact, rounded)
    assert from_bytes(to_bytes(track)) == track


@pytest.mark.parametrize("changed", [{"anchors": ("A0",)}, {"exact": b""}, {"rounded": bytes(4)}])
def test_numbers_that_are_too_many_or_too_few_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="bytes of numbers"):
        from_bytes(to_bytes(sample()._replace(**changed)))


@pytest.mark.parametrize("blinks", [1, 2, 10, 40])
def test_a_track_continues_alike_whether_or_not_it_has_been_written_down(blinks: int) -> None:
    site = hall(8)
    track = tracked(site, blinks)
    written = from_bytes(to_bytes(track))
    assert written == track
    tracker, following = Tracker(site, TrackSettings()), blink(site, 0.2 * blinks, (2.0 + 0.2 * blinks, 1.0))
    assert tracker.take(written, following) == tracker.take(track, following)


def test_a_state_of_another_version_is_no_track() -> None:
    golden = bytes.fromhex(GOLDEN)
    assert golden[0] == VERSION
    for version in (0, VERSION + 1):
        assert from_bytes(bytes([version]) + golden[1:]) is None


def test_eight_anchors_take_little_room() -> None:
    assert len(to_bytes(tracked(hall(8), 40))) <= 1024


def test_room_grows_no_faster_than_anchors_and_is_bounded() -> None:
    sizes = {count: len(to_bytes(tracked(hall(count), 10))) for count in (8, 12, 16, 32)}
    assert sizes[12] <= 1.5 * sizes[8]
    assert sizes[16] <= sizes[12] + 16
    assert sizes[32] <= sizes[12] + 16


class Stage:
    """The stage with state and timer as a runner keeps them, for one tag."""

    def __init__(self, site: Site, *, strict: bool = True) -> None:
        self.bag, self.timer, self.site = ListBag(), OneTimer(), site
        self._fn = TrackFn(
            lambda: self.site, TrackSettings(), Memory(EXPIRY_US, EXPIRY_US, is_cleared=True), strict=strict
        )
        self._fn.setup()

    def take(self, *solved: Solved) -> list[Position | Rejected]:
        self._fn.start_bundle()
        return self._fn.take(solved, self.bag, self.timer)

    def fire(self, at_us: int) -> None:
        self._fn.forget(timer_at(at_us), self.bag, self.timer)

    @property
    def state(self) -> bytes:
        track = TagStates(self.bag, CODEC).get(TAG)
        return b"" if track is None else to_bytes(track)


def reasons(outcomes: Sequence[Position | Rejected]) -> list[str]:
    return [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)]


def test_a_map_that_changes_between_two_bundles_leaves_the_track_and_is_told_in_positions() -> None:
    site = hall(8)
    stage = Stage(site)
    before = [stage.take(blink(site, at_s / 5.0)) for at_s in range(10)]
    state = stage.state
    stage.site = dataclasses.replace(hall(9), version="newer")
    (after,) = stage.take(blink(stage.site, 2.0))
    assert [position.map_version for (position,) in before if isinstance(position, Position)] == [""] * 10
    assert isinstance(after, Position)
    assert after.map_version == "newer"
    assert after.nis is not None  # the track went on: the first of a track has none
    assert stage.state != state


def test_a_timer_forgets_a_silent_tag_and_none_before_its_time() -> None:
    stage, site = Stage(hall(8)), hall(8)
    stage.take(blink(site, 0.0))
    assert stage.timer.at is not None
    assert stage.timer.at.micros >= us(60.0)
    stage.fire(us(59.0))
    assert stage.state
    stage.fire(stage.timer.at.micros)
    assert stage.state == b""
    assert stage.timer.at is None
    stage.fire(us(3600.0))  # once more, for nothing
    assert stage.state == b""


def two_of(solved: Solved) -> Solved:
    return Solved(solved.tag, solved.readings[:2], None, "too_few_anchors", "2 of 3 anchors in time")


@pytest.mark.parametrize(("silent_s", "is_known"), [(1.0, True), (59.9, True), (60.0, False), (3600.0, False)])
def test_a_record_forgets_a_silent_tag_where_no_timer_has(silent_s: float, *, is_known: bool) -> None:
    site = hall(8)
    stage = Stage(site)
    stage.take(blink(site, 0.0))
    outcomes = stage.take(two_of(blink(site, silent_s)))
    assert reasons(outcomes) == ([] if is_known else ["too_few_anchors"] * 2)
    assert bool(stage.state) is is_known


def test_a_group_refused_before_any_fix_leaves_no_state() -> None:
    stage = Stage(hall(8))
    assert reasons(stage.take(two_of(blink(hall(8), 0.0)))) == ["too_few_anchors"] * 2
    assert stage.state == b""
    assert stage.timer.at is None


def stumbling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tracker fail over any group of six."""
    take_all = Tracker.take_all

    def stumble(tracker: Tracker, tracks: Mapping[str, Track | None], groups: Mapping[str, Sequence[Solved]]) -> Any:
        found = take_all(tracker, tracks, groups)
        if any(len(solved.readings) == 6 for of_tag in groups.values() for solved in of_tag):
            raise ZeroDivisionError("stumbled")
        return found

    monkeypatch.setattr(Tracker, "take_all", stumble)


def test_an_unexpected_error_leaves_the_track_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    site = hall(8)
    stage, calm = Stage(site, strict=False), Stage(site)
    first, second = blink(site, 0.0), blink(site, 1.0)
    stumbles = blink(site, 0.5)._replace(readings=blink(site, 0.5).readings[:6])
    stumbling(monkeypatch)
    stage.take(first)
    calm.take(first)
    before = stage.state
    assert reasons(stage.take(stumbles)) == ["internal_error"] * 6
    assert stage.state == before
    assert stage.take(stumbles, second)[6:] == calm.take(second)
    assert stage.state == calm.state
    with pytest.raises(ZeroDivisionError):
        calm.take(stumbles)


def test_an_unexpected_error_costs_other_groups_and_other_tags_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    site = hall(8)
    stage, calm = Stage(site, strict=False), Stage(site)
    mine = [blink(site, at_s) for at_s in (0.0, 0.2, 0.4)]
    others = [solved._replace(tag="0003FFDDEEFF0002") for solved in mine]
    stumbles = mine[1]._replace(readings=mine[1].readings[:6])
    expected = calm.take(mine[0], mine[2], *others)
    stumbling(monkeypatch)
    outcomes = stage.take(mine[0], others[0], stumbles, others[1], mine[2], others[2])
    assert [one for one in outcomes if isinstance(one, Position)] == expected
    assert reasons(outcomes) == ["internal_error"] * 6
    assert stage.state == calm.state


def test_an_unexpected_error_at_a_tags_first_group_leaves_no_track(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(hall(8), strict=False)
    stumbling(monkeypatch)
    group = blink(hall(8), 0.0)
    assert reasons(stage.take(group._replace(readings=group.readings[:6]))) == ["internal_error"] * 6
    assert stage.state == b""


def test_a_track_of_another_version_is_begun_anew() -> None:
    site = hall(8)
    stage, new = Stage(site), Stage(site)
    old = bytes([VERSION + 1]) + to_bytes(sample())[1:]
    states = TagStates(stage.bag, Codec(bytes, bytes))
    states.put(TAG, us(60.0), old)
    states.commit(stage.timer)
    stage.bag.reload()
    assert stage.take(blink(site, 1.0)) == new.take(blink(site, 1.0))
    assert stage.state == new.state
