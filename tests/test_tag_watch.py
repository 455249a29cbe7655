"""Which tags are away, torn off or low on battery: the rules, without any engine."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Event, EventKind
from pipeline.model import Reading
from pipeline.positioning.known_anchors import ALL, EVER_US, AnchorChange, KnownAnchors, anchor_change
from pipeline.positioning.runs import Run
from pipeline.positioning.tag_watch import TagWatch, TagWatchSettings
from tests.readings import reading, us

SETTINGS = TagWatchSettings()
WINDOW_US = 5_000_000
WITH_ANCHORS = TagWatchSettings(outage_window_us=WINDOW_US)
ALL_WELL = KnownAnchors()


def blinks(from_s: float, to_s: float, anchors: str = "ABC") -> list[Reading]:
    """A still tag: a blink every 10 s, heard by some anchors 5 ms apart."""
    return [
        reading(anchor, at_s, kafka_s=at_s + 0.005 * place)
        for at_s in (from_s + 10.0 * number for number in range(int((to_s - from_s) / 10) + 1))
        for place, anchor in enumerate(anchors)
    ]


def fire(
    watch: TagWatch, until_us: int, anchors: KnownAnchors = ALL_WELL, settings: TagWatchSettings = SETTINGS
) -> list[Event]:
    """Do what timers do until the watermark is at a time."""
    events: list[Event] = []
    while (due_us := watch.due_us(anchors, settings)) <= until_us and not watch.is_forgotten(due_us, settings):
        events += watch.advance(due_us, "T", anchors, settings)
        assert watch.due_us(anchors, settings) != due_us, "a timer that settles nothing would fire for ever"
    return events


def play(
    readings: Iterable[Reading],
    until_s: float,
    *,
    changes: Sequence[AnchorChange] = (),
    told_us: Sequence[int] = (),
    watch: TagWatch | None = None,
    settings: TagWatchSettings = SETTINGS,
) -> list[Event]:
    """Take readings and changes of anchors in by time, with the timers that a runner would fire.

    Changes are told at once unless it is given when.
    """
    watch, anchors = watch or TagWatch(), KnownAnchors()
    at = told_us or [one.at_us for one in changes]
    steps: list[tuple[int, int, Reading | AnchorChange]] = [
        *((one.kafka_time_us, number, one) for number, one in enumerate(readings)),
        *((at_us, number - len(changes), one) for number, (at_us, one) in enumerate(zip(at, changes, strict=True))),
    ]
    events: list[Event] = []
    for at_us, _, step in sorted(steps, key=lambda one: one[:2]):
        events += fire(watch, at_us, anchors, settings)
        if isinstance(step, Reading):
            events += watch.take(step, settings)
        else:
            anchors.take(step)
    return events + fire(watch, us(until_s), anchors, settings)


def told(events: Iterable[Event]) -> list[tuple[str, float]]:
    """Kind, seconds after the start."""
    return [(event.kind, round((event.at_us - us(0)) / 1e6, 6)) for event in events]


def change(anchor: str, at_s: float, *, heard: bool) -> AnchorChange:
    return AnchorChange(anchor, heard, us(at_s))


def test_a_tag_that_is_silent_for_too_long_is_away_and_its_return_is_told() -> None:
    events = play([*blinks(0, 20, "A"), *blinks(200, 300, "A")], 300)
    assert told(events) == [("tag_away", 80.0), ("tag_back", 200.0)]
    assert [event.last_seen_us for event in events] == [us(20.0), us(20.0)]
    assert {event.tag for event in events} == {"T"}


@pytest.mark.parametrize(("gap_s", "away"), [(59.999, False), (60.0, False), (60.001, True)])
def test_a_silence_is_too_long_when_it_is_longer_than_the_timeout(gap_s: float, *, away: bool) -> None:
    events = play([reading("A", 0.0), reading("A", gap_s)], gap_s + 1)
    assert [event.kind for event in events] == (["tag_away", "tag_back"] if away else [])


def test_away_is_told_once() -> None:
    assert told(play(blinks(0, 20), 10_000)) == [("tag_away", 80.01)]


def test_a_tag_is_not_away_where_the_anchors_that_heard_it_are_dead() -> None:
    dead = [change(anchor, 35.0, heard=False) for anchor in "ABC"]
    assert play(blinks(0, 20), 10_000, changes=dead) == []


def test_a_tag_is_away_where_one_of_its_anchors_lives() -> None:
    dead = [change(anchor, 35.0, heard=False) for anchor in "AB"]
    assert told(play(blinks(0, 20), 10_000, changes=dead)) == [("tag_away", 80.01)]


def test_anchors_that_never_heard_it_say_nothing_of_a_tag() -> None:
    assert play(blinks(0, 20, "A"), 10_000, changes=[change("A", 35.0, heard=False)]) == []


def in_one_batch(from_s: float, to_s: float, anchors: str) -> list[Reading]:
    """A moving tag: each second a blink whose readings Kafka had at one time."""
    return [reading(anchor, float(at_s)) for at_s in range(int(from_s), int(to_s) + 1) for anchor in anchors]


def test_every_anchor_of_a_batch_has_heard_the_tag() -> None:
    """A bridge may send the readings of a blink as one batch: Kafka gives all of them one time."""
    dead = [change("A", 30.0, heard=False)]
    assert told(play(in_one_batch(0, 20, "ABC"), 10_000, changes=dead)) == [("tag_away", 80.0)]


def test_who_hears_a_tag_after_a_silence_could_not_have_before() -> None:
    """Records of one partition may be far ahead of another's: B's come before it is settled that the tag was silent."""
    anchors, watch = KnownAnchors(), TagWatch()
    watch.take(reading("A", 0.0), SETTINGS)
    anchors.take(change("A", 10.0, heard=False))
    for one in (reading("B", 100.0), reading("A", 100.0), reading("C", 300.0)):
        watch.take(one, SETTINGS)
    assert told(fire(watch, us(1000.0), anchors)) == [
        ("tag_away", 160.0),
        ("tag_back", 300.0),
        ("tag_away", 360.0),
    ]


def test_silence_counts_from_the_return_of_an_anchor_that_could_hear_the_tag() -> None:
    changes = [change(anchor, 35.0, heard=False) for anchor in "ABC"] + [change("B", 100.0, heard=True)]
    assert told(play(blinks(0, 20), 10_000, changes=changes)) == [("tag_away", 160.0)]


def test_a_tag_that_comes_back_with_its_anchors_was_never_away() -> None:
    changes = [change(ALL, 35.0, heard=False), change(ALL, 500.0, heard=True)]
    assert play([*blinks(0, 20), *blinks(505, 600)], 600, changes=changes) == []


def test_after_an_outage_a_tag_that_does_not_come_back_is_away() -> None:
    changes = [change(ALL, 35.0, heard=False), change(ALL, 500.0, heard=True)]
    assert told(play(blinks(0, 20), 10_000, changes=changes)) == [("tag_away", 560.0)]


@pytest.mark.parametrize(
    ("died_s", "expected"), [(57.0, []), (60.0, []), (60.001, [("tag_away", 60.0)]), (62.0, [("tag_away", 60.0)])]
)
def test_a_death_counts_from_its_own_time_though_it_is_told_later(
    died_s: float, expected: list[tuple[str, float]]
) -> None:
    changes, told_us = [change("A", died_s, heard=False)], [us(died_s + 5.0)]
    events = play(blinks(0, 0, "A"), 200, changes=changes, told_us=told_us, settings=WITH_ANCHORS)
    assert told(events) == expected


def test_a_return_waits_until_it_is_known_whether_the_tag_was_away() -> None:
    """A is told dead after the tag is heard again: then it never was away."""
    stream = [reading("A", 0.0), reading("B", 61.0)]
    watch = TagWatch()
    assert play(stream, 65.0, watch=watch, settings=WITH_ANCHORS) == []
    assert told(fire(watch, us(65.1), settings=WITH_ANCHORS)) == [("tag_away", 60.0), ("tag_back", 61.0)]
    changes = [change("A", 57.0, heard=False)]
    assert play(stream, 70.0, changes=changes, told_us=[us(62.0)], settings=WITH_ANCHORS) == []


def test_without_an_anchor_watch_a_verdict_waits_for_nothing() -> None:
    assert told(play([reading("A", 0.0)], 60.001)) == [("tag_away", 60.0)]
    assert play([reading("A", 0.0)], 65.0, settings=WITH_ANCHORS) == []


def test_what_is_told_of_anchors_after_a_tag_was_away_does_not_count_for_that() -> None:
    """While a backlog is read: all that became of the anchors may be told before the tag's own time."""
    changes = [change("A", 100.0, heard=False), change("A", 500.0, heard=True)]
    events = play([reading("A", 0.0)], 1000.0, changes=changes, told_us=[us(0.0)] * 2, settings=WITH_ANCHORS)
    assert told(events) == [("tag_away", 60.0)]


def test_silences_that_follow_each_other_too_soon_leave_no_time_to_be_away() -> None:
    changes = [
        change(anchor, at_s, heard=heard)
        for anchor, from_s, to_s in (("A", 30.0, 50.0), (ALL, 70.0, 90.0), ("A", 120.0, 140.0), ("A", 150.0, 160.0))
        for at_s, heard in ((from_s, False), (to_s, True))
    ]
    for told_us in ([], [us(0.0)] * len(changes)):
        events = play([reading("A", 0.0)], 1000.0, changes=changes, told_us=told_us, settings=WITH_ANCHORS)
        assert told(events) == [("tag_away", 220.0)]


def test_a_change_of_an_anchor_that_is_told_again_or_late_changes_nothing() -> None:
    changes = [change("A", at_s, heard=heard) for at_s, heard in ((1.0, False), (2.0, True), (3.0, False))]
    anchors, expected = KnownAnchors(), [Run(us(1.0), us(2.0)), Run(us(3.0), EVER_US)]
    for one in (*changes, *changes, change("A", 2.5, heard=True), change("A", 1.5, heard=False)):
        anchors.take(one)
    assert anchors == KnownAnchors({"A": expected})
    anchors.take(change("B", 1.0, heard=True))
    assert anchors == KnownAnchors({"A": expected}), "of B no silence was told: it has always been heard"


def test_who_is_heard_is_not_silent_though_no_return_is_told() -> None:
    anchors = KnownAnchors()
    for name in ("A", "B", ALL):
        anchors.take(change(name, 30.0, heard=False))
    assert not anchors.hear("A", us(35.0), WITH_ANCHORS.told_after_us), "that was before it was told"
    assert anchors.hear("A", us(40.0), WITH_ANCHORS.told_after_us)
    ended = [Run(us(30.0), us(40.0))]
    assert anchors == KnownAnchors({"A": ended, "B": [Run(us(30.0), EVER_US)], ALL: ended})
    assert not anchors.hear("A", us(41.0), WITH_ANCHORS.told_after_us)
    assert anchors.hear("A", us(39.0), WITH_ANCHORS.told_after_us), "records come in any order"
    anchors.take(change("A", 38.0, heard=True))
    assert anchors.silences["A"] == [Run(us(30.0), us(38.0))]


def test_events_of_the_anchor_watch_say_who_hears() -> None:
    changes = {kind: anchor_change(Event(kind.value, "id", 7, anchor="A", site="hall")) for kind in EventKind}
    assert {kind.value: found.heard for kind, found in changes.items() if found is not None} == {
        "anchor_dead": False,
        "anchor_back": True,
        "site_outage": False,
        "site_back": True,
    }
    assert changes[EventKind.ANCHOR_DEAD] == AnchorChange("A", heard=False, at_us=7)
    assert anchor_change(Event("site_outage", "id", 7, site="hall")) == AnchorChange(ALL, heard=False, at_us=7)


def torn_off(one: Reading) -> Reading:
    return one._replace(detached=True)


def test_the_first_reading_that_says_so_tells_at_once_and_no_other() -> None:
    watch = TagWatch()
    for one in blinks(0, 20):
        assert watch.take(one, SETTINGS) == []
    assert told(watch.take(torn_off(reading("B", 25.0)), SETTINGS)) == [("tag_detached", 25.0)]
    for anchor in "ACB":
        assert watch.take(torn_off(reading(anchor, 25.2)), SETTINGS) == []


def test_an_unknown_tag_that_is_torn_off_is_told_at_once() -> None:
    assert told(TagWatch().take(torn_off(reading("A", 0.0)), SETTINGS)) == [("tag_detached", 0.0)]
    assert TagWatch().take(reading("A", 0.0), SETTINGS) == []


def test_a_late_reading_of_the_blink_before_does_not_flip_the_flag_back() -> None:
    """Stamps are whole seconds; C's clock is ahead by a part of one, and its reading of the blink before comes late."""
    stream = [
        *blinks(0, 90, "ABC"),
        torn_off(reading("A", 101.0, kafka_s=101.15)),
        reading("C", 101.0, kafka_s=101.5),
        reading("B", 100.0, kafka_s=101.6),
        *(
            torn_off(reading(anchor, float(int(at_s)), kafka_s=at_s + 0.1))
            for at_s in (102.0, 102.2)
            for anchor in "ABC"
        ),
        reading("C", 95.0, kafka_s=130.0),
    ]
    assert told(play(stream, 131)) == [("tag_detached", 101.0)]


def test_a_tag_that_is_put_on_again_is_attached() -> None:
    stream = [torn_off(reading("A", 0.0)), reading("B", 1.0), reading("B", 2.0), reading("B", 2.5), reading("A", 3.0)]
    assert told(play(stream, 4)) == [("tag_detached", 0.0), ("tag_attached", 2.5)]


def test_a_clock_that_is_ahead_does_not_hold_an_alarm_up() -> None:
    stream = [
        *(reading("A", at_s + 8.0, kafka_s=at_s) for at_s in range(20)),
        torn_off(reading("B", 19.0, kafka_s=19.1)),
    ]
    assert told(play(stream, 20)) == [("tag_detached", 19.0)]


@pytest.mark.parametrize("behind_s", [1.0, 60.0, 86_400.0])
def test_a_clock_that_is_behind_does_not_hold_an_alarm_up(behind_s: float) -> None:
    """The tag goes from A, whose clock is right, to B, is torn off there, put on at A, and torn off at B again."""

    def at_b(at_s: float) -> Reading:
        return reading("B", at_s - behind_s, kafka_s=at_s)

    stream = [
        *(reading("A", float(at_s)) for at_s in range(30)),
        *(at_b(at_s) for at_s in range(30, 40)),
        *(torn_off(at_b(at_s)) for at_s in range(40, 50)),
        *(reading("A", float(at_s)) for at_s in range(50, 60)),
        *(torn_off(at_b(at_s)) for at_s in range(60, 70)),
    ]
    watch = TagWatch()
    came = [(event.kind, one.kafka_time_us) for one in stream for event in watch.take(one, SETTINGS)]
    assert [(kind, (at_us - us(0)) / 1e6) for kind, at_us in came] == [
        ("tag_detached", 40.0),
        ("tag_attached", 50.0),
        ("tag_detached", 60.0),
    ]


def test_a_site_whose_clocks_are_all_behind_tells_flags_at_once() -> None:
    stream = [
        reading(anchor, at_s - 3600.0, kafka_s=at_s + 0.1)._replace(detached=10 <= at_s < 20)
        for at_s in range(30)
        for anchor in "AB"
    ]
    assert told(play(stream, 31)) == [("tag_detached", 10.1), ("tag_attached", 20.1)]


def test_a_late_record_does_not_take_an_alarm_back() -> None:
    """B's network was gone for 30 s: what it has to say of before the tag was torn off comes after that."""
    late = [reading("B", float(at_s), kafka_s=50.0 + at_s / 100) for at_s in range(15, 45)]
    stream = [*(reading("A", float(at_s)) for at_s in range(40)), torn_off(reading("A", 45.0)), *late]
    assert told(play(stream, 51)) == [("tag_detached", 45.0)]


def test_a_late_alarm_is_told_and_taken_back_by_the_next_reading_in_time() -> None:
    late = [torn_off(reading("B", float(at_s), kafka_s=50.0)) for at_s in range(20, 25)]
    stream = [*(reading("A", float(at_s)) for at_s in range(51)), *late, *(reading("A", at_s) for at_s in (51.0, 53.0))]
    assert told(play(stream, 54)) == [("tag_detached", 50.0), ("tag_attached", 53.0)]


def test_a_reading_from_a_clock_that_is_behind_takes_an_alarm_back_late() -> None:
    stream = [
        torn_off(reading("A", 100.0)),
        *(reading("B", at_s - 60.0, kafka_s=at_s) for at_s in (float(one) for one in range(101, 180))),
    ]
    assert told(play(stream, 180)) == [("tag_detached", 100.0), ("tag_attached", 163.0)]


def test_a_low_battery_is_told_at_each_change_to_low() -> None:
    low = [reading("A", at_s)._replace(battery_low=at_s in {10, 11, 30}) for at_s in range(40)]
    assert told(play(low, 40)) == [("battery_low", 10.0), ("battery_low", 30.0)]


def test_a_tag_silent_for_long_is_forgotten() -> None:
    watch = TagWatch()
    play(blinks(0, 20), 100, watch=watch)
    assert not watch.is_forgotten(us(20.0) + SETTINGS.tag_memory_us, SETTINGS)
    due_us = watch.due_us(ALL_WELL, SETTINGS)
    assert watch.is_forgotten(due_us, SETTINGS)


def test_a_reading_from_before_the_tag_was_found_away_is_no_return() -> None:
    watch = TagWatch()
    play(blinks(0, 20), 100, watch=watch)
    assert watch.take(reading("A", 30.0), SETTINGS) == []
    assert fire(watch, us(100.0)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"tag_timeout_us": 0}, {"tag_memory_us": 1_000_000}, {"tag_memory_us": 65_000_000, "outage_window_us": WINDOW_US}],
)
def test_bounds_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TagWatchSettings(**wrong)


streams = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.just(0) | st.integers(0, 3000) | st.integers(0, 100_000),  # gap to the reading before, ms
        st.integers(-1500, 1500),  # clock against Kafka's, ms
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
Stream = list[tuple[str, int, int, bool, bool]]


def as_readings(stream: Stream) -> list[Reading]:
    readings = []
    at_ms = 0
    for anchor, gap_ms, skew_ms, detached, low in stream:
        at_ms += gap_ms
        one = reading(anchor, (at_ms + skew_ms) / 1000, kafka_s=at_ms / 1000)
        readings.append(one._replace(detached=detached, battery_low=low))
    return readings


FLAGS = ("tag_detached", "tag_attached", "battery_low")
END_US = us(10_000.0)


def presence(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.kind not in FLAGS]


@given(streams, st.data())
def test_timers_may_fire_at_once_late_twice_or_never(stream: Stream, data: st.DataObject) -> None:
    readings = as_readings(stream)
    watch, never = TagWatch(), TagWatch()
    events: list[Event] = []
    expected: list[Event] = []
    for one in readings:
        times = data.draw(st.integers(0, 2))
        late_us = data.draw(st.sampled_from([0, 30_000_000]))
        for _ in range(times):
            events += watch.advance(one.kafka_time_us - late_us, "T", ALL_WELL, SETTINGS)
        events += watch.take(one, SETTINGS)
        expected += never.take(one, SETTINGS)
    events += fire(watch, END_US)
    expected += never.advance(END_US, "T", ALL_WELL, SETTINGS)
    assert sorted(events) == sorted(expected)
    assert presence(events) == presence(expected)


@given(streams, st.sets(st.sampled_from("ABC")), st.randoms(use_true_random=False))
def test_the_order_of_readings_does_not_matter_to_who_is_away(
    stream: Stream, dead: set[str], shuffled: random.Random
) -> None:
    changes = [change(anchor, -1.0, heard=False) for anchor in sorted(dead)]
    anchors = KnownAnchors()
    for one in changes:
        anchors.take(one)
    readings = as_readings(stream)
    waiting = [*readings, *readings[::3]]
    shuffled.shuffle(waiting)
    watch = TagWatch()
    events: list[Event] = []
    while waiting:
        watch.take(waiting.pop(), SETTINGS)
        if waiting:
            events += watch.advance(min(one.kafka_time_us for one in waiting), "T", anchors, SETTINGS)
    events += fire(watch, END_US, anchors)
    assert events == presence(play(readings, 10_000.0, changes=changes))


silences = st.dictionaries(
    st.sampled_from(["A", "B", "C", ALL]),
    st.lists(st.integers(0, 400_000), min_size=1, max_size=4, unique=True).map(sorted),  # dead, back, dead, back; ms
)


@given(streams, silences, st.data())
def test_how_late_deaths_are_told_does_not_matter(
    stream: Stream, found: dict[str, list[int]], data: st.DataObject
) -> None:
    """Nor whether all is told in advance, as while a backlog is read."""
    changes = [
        AnchorChange(anchor, number % 2 == 1, us(at_ms / 1000))
        for anchor, times_ms in found.items()
        for number, at_ms in enumerate(times_ms)
    ]
    late = st.sampled_from([0, 1, WINDOW_US])
    told_us = []
    for number, one in enumerate(changes):
        told_us.append(one.at_us if one.heard else one.at_us + data.draw(late))
        if one.heard:
            told_us[number - 1] = min(told_us[number - 1 : number + 1])
    readings = as_readings(stream)
    expected = play(readings, 10_000.0, changes=changes, settings=WITH_ANCHORS)
    assert play(readings, 10_000.0, changes=changes, told_us=told_us, settings=WITH_ANCHORS) == expected
    in_advance = [us(-1.0)] * len(changes)
    assert play(readings, 10_000.0, changes=changes, told_us=in_advance, settings=WITH_ANCHORS) == expected


@given(streams)
def test_events_alternate_and_each_has_a_name_of_its_own(stream: Stream) -> None:
    events = play(as_readings(stream), 10_000.0)
    for pair in (("tag_away", "tag_back"), ("tag_detached", "tag_attached")):
        kinds = [event.kind for event in events if event.kind in pair]
        assert kinds == [pair[number % 2] for number in range(len(kinds))]
    away = [event.event_id for event in events if event.kind in {"tag_away", "tag_back"}]
    assert len(set(away)) == len(away)
