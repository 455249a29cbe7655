"""Three stages in one: what each keeps and tells, and the two timers in whatever order they fire."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from pipeline.model import Position, Reading, Rejected
from pipeline.positioning.rounds import GroupingSettings, Rounds
from pipeline.positioning.solve_all import Solver
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.site import Site
from pipeline.transforms import track_state
from pipeline.transforms.follow import FollowFn
from pipeline.transforms.group import GroupFn
from pipeline.transforms.tag_groups import TagStates, tag_group, timer_at
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.trilaterate import TrilaterateFn
from pipeline.wire.readings import pack
from tests.readings import DEMO, reading, us
from tests.test_tag_groups import ListBag, OneTimer

BOUNDS = GroupingSettings()
ANCHORS = ("A0", "A1", "A2")


class Stage:
    """The stage with state and timers as a runner keeps them, for the group of one tag."""

    def __init__(self, *, strict: bool = True, is_cleared: bool = True, site: Site = DEMO) -> None:
        self.rounds, self.tracks, self.due, self.forget = ListBag(), ListBag(), OneTimer(), OneTimer()
        kept_us = BOUNDS.round_wait_us + BOUNDS.max_reading_age_us
        self._fn = FollowFn(
            GroupFn(BOUNDS, strict=strict),
            TrilaterateFn(lambda: site, SolverSettings(), strict=strict),
            TrackFn(
                lambda: site,
                TrackSettings(),
                Memory(BOUNDS.tag_expiry_us, kept_us, is_cleared=is_cleared),
                strict=strict,
            ),
        )
        self._fn.setup()
        self._key = tag_group("T")
        self._state = self.rounds, self.due, self.tracks, self.forget

    def take(self, readings: Sequence[Reading]) -> list[Position | Rejected]:
        element = (self._key, pack(readings).SerializeToString())
        self._fn.start_bundle()
        return untagged(self._fn.process(element, *self._state))

    def fire_due(self, at_us: int) -> list[Position | Rejected]:
        self._fn.start_bundle()
        return untagged(self._fn.due(timer_at(at_us), *self._state))

    def fire_forget(self, at_us: int) -> list[Position | Rejected]:
        self._fn.start_bundle()
        return untagged(self._fn.forget(timer_at(at_us), *self._state))

    @property
    def is_tracked(self) -> bool:
        return TagStates(self.tracks, track_state.CODEC).get("T") is not None


def untagged(outcomes: Any) -> list[Position | Rejected]:
    return [one for outcome in outcomes for one in ([outcome.value] if isinstance(outcome, TaggedOutput) else outcome)]


def blink(at_s: float, anchors: Sequence[str] = ANCHORS) -> list[Reading]:
    """One blink from (1, 1), which is sqrt(2), sqrt(2) and sqrt(5) from the anchors of the demo site."""
    distances_m = {"A0": 2**0.5, "A1": 2**0.5, "A2": 5**0.5}
    return [
        reading(anchor, at_s + 0.01 * number, distance_m=distances_m[anchor], offset=round(at_s * 100) + number)
        for number, anchor in enumerate(anchors)
    ]


def known(*, strict: bool = True) -> Stage:
    """A tag that has had five rounds and is tracked."""
    stage = Stage(strict=strict)
    for at_s in range(5):
        stage.take(blink(float(at_s)))
        stage.fire_due(us(at_s + 0.5))
    assert stage.is_tracked
    return stage


def named(outcomes: Sequence[Position | Rejected]) -> list[tuple[str, int]]:
    """What became of each reading, by the offset of its record."""
    told = [
        ("position", one.offset) for outcome in outcomes if isinstance(outcome, Position) for one in outcome.readings
    ]
    return told + [(outcome.reason, outcome.offset) for outcome in outcomes if isinstance(outcome, Rejected)]


def test_readings_come_out_as_positions_once_their_round_is_over() -> None:
    stage = Stage()
    assert stage.take(blink(0.0)) == []
    assert stage.due.at is not None
    (position,) = stage.fire_due(stage.due.at.micros)
    assert isinstance(position, Position)
    assert (position.x_m, position.y_m) == pytest.approx((1.0, 1.0), abs=0.01)
    assert stage.is_tracked
    assert stage.forget.at is not None


@pytest.mark.parametrize("anchors", [ANCHORS, ANCHORS[:2], ANCHORS[:1]])
def test_an_open_round_finds_its_track_whichever_timer_fires_first(anchors: Sequence[str]) -> None:
    """After a leap of the watermark both are due at once, and a runner fires them in an order of its own."""
    late_us = us(3600.0)
    outcomes = []
    for forget_first in (False, True):
        stage = known()
        assert stage.take(blink(5.0, anchors)) == [] or anchors == ANCHORS
        timers = [stage.fire_due, stage.fire_forget]
        outcomes.append(named([one for fire in timers[:: -1 if forget_first else 1] for one in fire(late_us)]))
        assert not stage.is_tracked
    assert outcomes[0] == outcomes[1]
    assert {what for what, _ in outcomes[0]} <= {"position"}


def test_timers_that_fire_again_or_for_nothing_tell_nothing() -> None:
    stage = known()
    for fire in (stage.fire_due, stage.fire_forget, stage.fire_due, stage.fire_forget):
        assert fire(us(5.0)) == []
    assert stage.is_tracked
    for fire in (stage.fire_forget, stage.fire_forget, stage.fire_due):
        assert fire(us(3600.0)) == []
    assert not stage.is_tracked


def test_a_record_does_what_a_timer_that_never_fired_would_have_done() -> None:
    """The positions of a stream are the same with its timers and without."""
    blinks = [
        blink(at_s, ANCHORS if number % 4 else ANCHORS[:2]) for number, at_s in enumerate([0, 1, 2, 3, 4, 70, 71])
    ]
    with_timers, without = Stage(), Stage()
    told: list[Position | Rejected] = []
    for one, following in pairwise([*blinks, blink(80.0)]):
        told += with_timers.take(one)
        before_us = following[0].kafka_time_us - 1000
        for timer, fire in ((with_timers.due, with_timers.fire_due), (with_timers.forget, with_timers.fire_forget)):
            while timer.at is not None and timer.at.micros <= before_us:
                told += fire(timer.at.micros)
    told += with_timers.take(blink(80.0))
    plain = [outcome for one in [*blinks, blink(80.0)] for outcome in without.take(one)]
    assert sorted(named(told)) == sorted(named(plain))


def test_what_the_grouping_rejects_goes_out_as_it_is() -> None:
    stage = known()
    first, *_ = blink(5.0)
    outcomes = stage.take([first, first._replace(offset=9999)])
    assert [one for one in named(outcomes) if one[0] != "position"] == [("duplicate", 9999)]


def test_in_a_bounded_run_no_timer_to_forget_is_set() -> None:
    stage = Stage(is_cleared=False)
    stage.take(blink(0.0))
    stage.fire_due(us(1.0))
    assert stage.is_tracked
    assert stage.forget.at is None


def stumble(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("stumbled")


@pytest.mark.parametrize(
    ("whose", "what"),
    [(Rounds, "add"), (Solver, "solve_all"), (Tracker, "take_all")],
    ids=["group", "solve", "track"],
)
def test_an_unexpected_error_in_any_part_costs_readings_and_no_more(
    monkeypatch: pytest.MonkeyPatch, whose: object, what: str
) -> None:
    calm, strict, loose = known(), Stage(), Stage(strict=False)
    monkeypatch.setattr(whose, what, stumble)
    outcomes = loose.take(blink(0.0)) + loose.fire_due(us(1.0))
    assert {reason for reason, _ in named(outcomes)} == {"internal_error"}
    assert sorted(offset for _, offset in named(outcomes)) == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        _ = strict.take(blink(0.0)) + strict.fire_due(us(1.0))
    monkeypatch.undo()
    assert named(loose.take(blink(2.0)) + loose.fire_due(us(3.0))) == [
        ("position", 200),
        ("position", 201),
        ("position", 202),
    ]
    assert calm.is_tracked
