"""Which anchors are dead, whether all are, and whose clock is wrong: the rules, without any engine."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Event, Sighting, subject_of
from pipeline.positioning.anchor_watch import AnchorWatch, AnchorWatchSettings
from pipeline.positioning.known_anchors import EVER_US, KnownAnchors, anchor_change
from pipeline.positioning.thinning import needed, thinned
from pipeline.site import Anchor, Site
from pipeline.wire.sightings import pack_sightings, unpack_sightings
from tests.readings import us

SETTINGS = AnchorWatchSettings()
END_S = 3600.0


def site_of(anchors: str) -> Site:
    return Site("hall", {name: Anchor(name, 0.0, 0.0) for name in anchors})


ABC = site_of("ABC")


def seen(anchor: str, at_s: float, skew_s: float | None = 0.0) -> Sighting:
    return Sighting(anchor, us(at_s), None if skew_s is None else us(at_s + skew_s))


def beats(anchor: str, from_s: float, to_s: float, skew_s: float | None = 0.0) -> list[Sighting]:
    """Heartbeats every 2 s, the last at the end or less than 2 s before it."""
    return [seen(anchor, from_s + 2.0 * number, skew_s) for number in range(int((to_s - from_s) / 2) + 1)]


def play(
    sightings: Iterable[Sighting], until_s: float = END_S, *, site: Site = ABC, watch: AnchorWatch | None = None
) -> list[Event]:
    """Take sightings in by time, with the timers that a runner would fire, then let Kafka time pass."""
    watch = AnchorWatch() if watch is None else watch
    events = []
    for one in sorted(sightings, key=lambda each: each.kafka_time_us):
        events += fire(watch, one.kafka_time_us, site)
        watch.add(one, site, SETTINGS)
    return events + fire(watch, us(until_s), site)


def fire(watch: AnchorWatch, until_us: int, site: Site = ABC) -> list[Event]:
    """Do what timers do until the watermark is at a time."""
    events: list[Event] = []
    while (due_us := watch.due_us(SETTINGS)) is not None and due_us <= until_us:
        events += watch.advance(due_us, site, SETTINGS)
        assert watch.due_us(SETTINGS) != due_us, "a timer that settles nothing would fire for ever"
    return events


def told(events: Iterable[Event]) -> list[tuple[str, str, float]]:
    """Kind, subject, seconds after the start."""
    return [(event.kind, subject_of(event), round((event.at_us - us(0)) / 1e6, 6)) for event in events]


def test_an_anchor_that_falls_silent_is_dead_and_told_once() -> None:
    sightings = [*beats("A", 0, 100), *beats("B", 0, 100), *beats("C", 0, 20)]
    watch = AnchorWatch()
    (event,) = play(sightings, 100.0, watch=watch)
    assert told([event]) == [("anchor_dead", "C", 30.0)]
    assert event.last_seen_us == us(20.0)
    assert fire(watch, us(105.0)) == []


def test_a_death_waits_for_the_outage_window_and_no_longer() -> None:
    watch = AnchorWatch()
    sightings = [*beats("A", 0, 34), *beats("B", 0, 34), *beats("C", 0, 20)]
    assert play(sightings, 35.0, watch=watch) == []
    assert told(fire(watch, us(35.001))) == [("anchor_dead", "C", 30.0)]


@pytest.mark.parametrize(("gap_s", "dead"), [(9.999, False), (10.0, False), (10.001, True), (14.0, True), (15.0, True)])
def test_a_silence_is_too_long_when_it_is_longer_than_the_timeout(gap_s: float, *, dead: bool) -> None:
    events = play([*beats("A", 0, 60), *beats("B", 0, 60), *beats("C", 0, 20), *beats("C", 20 + gap_s, 60)], 61.0)
    expected = [("anchor_dead", "C", 30.0), ("anchor_back", "C", round(20.0 + gap_s, 6))]
    assert told(events) == (expected if dead else [])


def test_an_anchor_of_the_map_that_never_spoke_is_dead() -> None:
    (event,) = play([*beats("A", 0, 30), *beats("B", 1, 30)], 30.0)
    assert told([event]) == [("anchor_dead", "C", 10.0)]
    assert event.last_seen_us is None


def test_the_last_anchors_to_be_added_to_the_map_are_given_their_time() -> None:
    watch = AnchorWatch()
    assert play([*beats("A", 0, 100), *beats("B", 0, 100)], 100.0, site=site_of("AB"), watch=watch) == []
    events = play([*beats("A", 102, 150), *beats("B", 102, 150)], 150.0, watch=watch)
    assert told(events) == [("anchor_dead", "C", 110.0)]


def test_an_anchor_removed_from_the_map_is_not_told_of() -> None:
    watch = AnchorWatch()
    play([one for name in "ABC" for one in beats(name, 0, 20)], 20.0, watch=watch)
    events = play([*beats("A", 22, 60), *beats("B", 22, 60), seen("C", 40.0)], 60.0, site=site_of("AB"), watch=watch)
    assert events == []


AB = site_of("AB")


def c_is_dead(watch: AnchorWatch) -> None:
    events = play([*beats("A", 0, 40), *beats("B", 0, 40), *beats("C", 0, 10, 7.0)], 40.0, watch=watch)
    assert told(events) == [("anchor_dead", "C", 20.0)]


def a_and_b(from_s: float, to_s: float) -> list[Sighting]:
    return [*beats("A", from_s, to_s), *beats("B", from_s, to_s)]


def test_a_dead_anchor_that_was_off_the_map_is_told_back_when_it_is_heard_on_the_map() -> None:
    watch = AnchorWatch()
    c_is_dead(watch)
    assert play([*a_and_b(42, 60), seen("C", 50.0)], 60.0, site=AB, watch=watch) == []
    assert play(a_and_b(62, 80), 80.0, watch=watch) == []
    (event,) = play([*a_and_b(82, 90), *beats("C", 85, 90)], 90.0, watch=watch)
    assert told([event]) == [("anchor_back", "C", 85.0)]
    assert event.last_seen_us == us(10.0)
    assert told(play(a_and_b(92, 120), 120.0, watch=watch)) == [("anchor_dead", "C", 99.0)]


def test_a_return_that_is_not_settled_when_the_anchor_leaves_the_map_is_told_when_it_is_back() -> None:
    watch = AnchorWatch()
    c_is_dead(watch)
    watch.add(seen("C", 41.0), ABC, SETTINGS)
    assert play(a_and_b(42, 60), 60.0, site=AB, watch=watch) == []
    assert told(play([*a_and_b(62, 70), *beats("C", 64, 70)], 70.0, watch=watch)) == [("anchor_back", "C", 64.0)]


def test_an_anchor_that_leaves_the_map_alive_and_is_put_back_is_new_there() -> None:
    watch = AnchorWatch()
    play([*a_and_b(0, 20), *beats("C", 0, 20)], 20.0, watch=watch)
    assert play(a_and_b(22, 60), 60.0, site=AB, watch=watch) == []
    assert watch.dead_off_map == {}
    assert play([*a_and_b(62, 80), *beats("C", 66, 80)], 80.0, watch=watch) == []
    assert told(play(a_and_b(82, 120), 120.0, watch=watch)) == [("anchor_dead", "C", 90.0)]


def test_a_dead_anchor_that_stays_off_the_map_is_not_told_again_and_little_is_kept_of_it() -> None:
    watch = AnchorWatch()
    c_is_dead(watch)
    assert watch.anchors["C"].clock.windows
    assert play([*a_and_b(42, 600), *beats("C", 100, 600)], 600.0, site=AB, watch=watch) == []
    gone = watch.dead_off_map["C"]
    assert (gone.last_us, gone.runs, gone.clock.windows) == (us(10.0), [], {})


def test_an_anchor_that_leaves_the_map_in_an_outage_and_is_put_back_is_watched() -> None:
    """With or without an end of the outage in between: who hears of the end takes it for all anchors."""
    watch = AnchorWatch()
    events = play([*a_and_b(0, 20), *beats("C", 0, 20)], 40.0, watch=watch)
    assert told(events) == [("site_outage", "hall", 30.0)]
    assert told(play(a_and_b(50, 60), 60.0, site=AB, watch=watch)) == [("site_back", "hall", 50.0)]
    assert watch.dead_off_map == {}
    assert play([*a_and_b(62, 70), *beats("C", 62, 70)], 70.0, watch=watch) == []
    assert told(play([], 100.0, watch=watch)) == [("site_outage", "hall", 80.0)]
    assert watch.advance(us(110.0), AB, SETTINGS) == []
    assert told(play([seen("C", 120.0)], 121.0, watch=watch)) == [("site_back", "hall", 120.0)]


def test_all_anchors_silent_within_the_window_are_one_outage() -> None:
    sightings = [*beats("A", 0, 20), *beats("B", 0, 22), *beats("C", 0, 24)]
    (event,) = play(sightings)
    assert told([event]) == [("site_outage", "hall", 34.0)]
    assert event.last_seen_us == us(24.0)


@pytest.mark.parametrize(("apart_s", "kinds"), [(5.0, ["site_outage"]), (5.001, ["anchor_dead"] * 3)])
def test_the_window_is_as_long_as_it_is(apart_s: float, kinds: list[str]) -> None:
    """Where one was silent before the window, not all fell silent together: each is dead."""
    sightings = [
        *beats("A", 0, 20),
        *beats("B", 0, 20 + apart_s),
        seen("B", 20 + apart_s),
        *beats("C", 0, 20 + apart_s),
    ]
    events = play([*sightings, seen("C", 20 + apart_s)])
    assert [event.kind for event in events] == kinds


def test_after_an_outage_one_event_tells_of_the_return_and_deaths_are_counted_anew() -> None:
    before = [one for name in "ABC" for one in beats(name, 0, 20)]
    after = [*beats("A", 100, 200), *beats("B", 103, 200)]
    events = play([*before, *after], 200.0)
    assert told(events) == [("site_outage", "hall", 30.0), ("site_back", "hall", 100.0), ("anchor_dead", "C", 110.0)]
    assert events[-1].last_seen_us == us(20.0)


def test_a_stall_of_all_that_ends_before_the_verdict_is_due_is_an_outage_too() -> None:
    """The bridge stands still for 12 s, then everything comes at once."""
    sightings = [one for name in "ABC" for one in (*beats(name, 0, 20), *beats(name, 32, 60))]
    assert told(play(sightings, 60.0)) == [("site_outage", "hall", 30.0), ("site_back", "hall", 32.0)]


def test_who_has_been_dead_for_more_than_a_minute_is_no_part_of_an_outage() -> None:
    sightings = [*beats("A", 0, 71), *beats("B", 0, 71), *beats("C", 0, 10), seen("C", 100.0)]
    assert told(play(sightings, 105.0)) == [
        ("anchor_dead", "C", 20.0),
        ("site_outage", "hall", 80.0),
        ("site_back", "hall", 100.0),
        ("anchor_back", "C", 100.0),
    ]


@pytest.mark.parametrize(
    ("last_s", "dead_at_s"), [((30, 36, 42), (40, 46, 52)), ((30, 30, 55), (40, 40, 65)), ((10, 40, 40), (20, 50, 50))]
)
def test_anchors_that_fall_silent_one_after_the_other_are_dead_each(
    last_s: tuple[int, ...], dead_at_s: tuple[int, ...]
) -> None:
    """Within a minute, but not within the window."""
    sightings = [seen(name, float(at_s)) for name, last in zip("ABC", last_s, strict=True) for at_s in range(last + 1)]
    expected = [("anchor_dead", name, float(at_s)) for name, at_s in zip("ABC", dead_at_s, strict=True)]
    assert told(play(sightings, 100.0)) == expected


def test_nobody_is_dead_while_a_backlog_is_read() -> None:
    """An hour of heartbeats, one partition read to its end before the other is begun; the watermark waits for it."""
    watch = AnchorWatch()
    halves: tuple[list[Sighting], list[Sighting]] = ([], [])
    for name in "ABC":
        for number, one in enumerate(beats(name, 0, 3600)):
            halves[number // 7 % 2].append(one)
    events = [*halves[0], *halves[1]]
    found: list[Event] = []
    for one in events:
        watch.add(one, ABC, SETTINGS)
        found += fire(watch, us(0.0))
    assert found + fire(watch, us(3600.0)) == []


def test_a_heartbeat_from_before_a_death_raises_no_dead() -> None:
    watch = AnchorWatch()
    play([*beats("A", 0, 100), *beats("B", 0, 100), *beats("C", 0, 20)], 100.0, watch=watch)
    watch.add(seen("C", 25.0), ABC, SETTINGS)
    assert fire(watch, us(100.5)) == []
    (event,) = play([*beats("A", 102, 110), *beats("B", 102, 110), seen("C", 105.0)], 110.0, watch=watch)
    assert told([event]) == [("anchor_back", "C", 105.0)]
    assert event.last_seen_us == us(25.0)


def test_an_anchor_that_is_not_on_the_map_is_not_watched() -> None:
    assert play([*beats("A", 0, 20), *beats("X", 0, 5)], 20.0, site=site_of("A")) == []


def test_before_anything_is_heard_nothing_is_due() -> None:
    watch = AnchorWatch()
    assert watch.due_us(SETTINGS) is None
    assert watch.advance(us(0.0), ABC, SETTINGS) == []


def alive(skewed: list[Sighting]) -> list[Sighting]:
    return [*skewed, *beats("B", 0, 240), *beats("C", 0, 240)]


@pytest.mark.parametrize(("skew_s", "words"), [(7.0, "7.0 s ahead of"), (-7.0, "7.0 s behind"), (-1.7e9, "behind")])
def test_a_clock_that_is_wrong_is_told_once_and_once_when_it_is_right_again(skew_s: float, words: str) -> None:
    events = play(alive([*beats("A", 0, 150, skew_s), *beats("A", 152, 240, -0.5)]), 240.0)
    assert [(event.kind, event.anchor) for event in events] == [("clock_skewed", "A"), ("clock_right", "A")]
    assert words in events[0].detail


@pytest.mark.parametrize("skew_s", [5.0, -5.0, None])
def test_a_clock_within_the_limit_or_that_says_nothing_is_no_event(skew_s: float | None) -> None:
    assert play(alive(beats("A", 0, 240, skew_s)), 240.0) == []


def test_records_that_were_delayed_do_not_make_a_clock_wrong() -> None:
    """All but one of each minute are 8 s late."""
    late = [seen("A", 2.0 * number, -8.0 if number % 20 else -0.2) for number in range(121)]
    assert play(alive(late), 240.0) == []


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="anchor_timeout_us is 0; expected at least"):
        AnchorWatchSettings(anchor_timeout_us=0)


streams = st.lists(
    st.tuples(
        st.sampled_from("ABCX"),
        st.integers(0, 3000) | st.integers(0, 20_000),  # gap to the record before, ms
        st.sampled_from([None, 0, -8000, 8000]),  # clock against Kafka's, ms
    ),
    min_size=1,
    max_size=60,
)
Stream = list[tuple[str, int, "int | None"]]


def as_sightings(stream: Stream) -> list[Sighting]:
    sightings = []
    at_s = 0.0
    for anchor, gap_ms, skew_ms in stream:
        at_s += gap_ms / 1000
        sightings.append(seen(anchor, at_s, None if skew_ms is None else skew_ms / 1000))
    return sightings


def at_the_end(sightings: Iterable[Sighting]) -> list[Event]:
    """The events where no timer fires before all is read."""
    watch = AnchorWatch()
    for one in sightings:
        watch.add(one, ABC, SETTINGS)
    return watch.advance(us(END_S), ABC, SETTINGS)


def in_order(events: Iterable[Event]) -> list[Event]:
    """By time; what is of the same instant is told in any order."""
    return sorted(events, key=lambda event: (event.at_us, event.event_id))


@given(streams, st.data())
def test_timers_may_fire_at_once_late_twice_or_never(stream: Stream, data: st.DataObject) -> None:
    sightings = as_sightings(stream)
    watch = AnchorWatch()
    events: list[Event] = []
    for one in sightings:
        match data.draw(st.sampled_from(["at once", "late", "twice", "never"])):
            case "at once":
                events += fire(watch, one.kafka_time_us)
            case "late":
                events += fire(watch, one.kafka_time_us - 3_000_000)
            case "twice":
                events += fire(watch, one.kafka_time_us)
                events += watch.advance(one.kafka_time_us, ABC, SETTINGS)
            case _:
                pass
        watch.add(one, ABC, SETTINGS)
    events += fire(watch, us(END_S))
    assert in_order(events) == in_order(at_the_end(sightings))


@given(streams, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(stream: Stream, shuffled: random.Random) -> None:
    """The watermark is behind all that is still to come: then it may come in any order, and again."""
    sightings = as_sightings(stream)
    waiting = [*sightings, *sightings[::3]]
    shuffled.shuffle(waiting)
    watch = AnchorWatch()
    events: list[Event] = []
    while waiting:
        watch.add(waiting.pop(), ABC, SETTINGS)
        if waiting:
            events += fire(watch, min(one.kafka_time_us for one in waiting))
    assert in_order(events + fire(watch, us(END_S))) == in_order(at_the_end(sightings))


@given(streams, st.lists(st.integers(1, 30), min_size=1), st.randoms(use_true_random=False))
def test_what_bundles_leave_out_changes_nothing(stream: Stream, sizes: list[int], shuffled: random.Random) -> None:
    sightings = as_sightings(stream)
    rest = list(sightings)
    shuffled.shuffle(rest)
    thin: list[Sighting] = []
    while rest:
        size = sizes[len(thin) % len(sizes)]
        thin += unpack_sightings(pack_sightings(thinned(rest[:size], SETTINGS)))
        rest = rest[size:]
    assert at_the_end(thin) == at_the_end(sightings)


@given(streams, st.lists(st.integers(1, 30), min_size=1), st.randoms(use_true_random=False))
def test_what_batches_leave_out_before_changes_nothing(
    stream: Stream, sizes: list[int], shuffled: random.Random
) -> None:
    sightings = as_sightings(stream)
    rest = [one for one in sightings if one.stamped_us is not None]
    shuffled.shuffle(rest)
    thin = [one for one in sightings if one.stamped_us is None]
    while rest:
        size = sizes[len(thin) % len(sizes)]
        left = some_needed(rest[:size])
        assert not Counter(left) - Counter(rest[:size])
        thin += thinned(left, SETTINGS)
        rest = rest[size:]
    assert at_the_end(thin) == at_the_end(sightings)


def some_needed(sightings: list[Sighting]) -> list[Sighting]:
    rows = [(ord(name), at_us, stamped_us) for name, at_us, stamped_us in sightings]
    anchor, kafka_time_us, stamped_us = np.array(rows, np.int64).T
    return [sightings[number] for number in needed(anchor, kafka_time_us, stamped_us, SETTINGS)]


def test_a_bundle_of_many_records_of_an_anchor_is_thinned_to_few() -> None:
    of_a_second = [seen("A", number / 1000) for number in range(1000)]
    assert len(thinned(of_a_second, SETTINGS)) <= 3
    assert len(some_needed(of_a_second)) <= 3


def test_of_no_sightings_there_is_no_need() -> None:
    none = np.zeros(0, np.int64)
    assert needed(none, none, none, SETTINGS) == []


@given(streams)
def test_each_event_has_a_name_of_its_own_and_kinds_alternate(stream: Stream) -> None:
    events = at_the_end(as_sightings(stream))
    assert len({event.event_id for event in events}) == len(events)
    for pair in (("anchor_dead", "anchor_back"), ("site_outage", "site_back"), ("clock_skewed", "clock_right")):
        for subject in {subject_of(event) for event in events}:
            kinds = [event.kind for event in events if subject_of(event) == subject and event.kind in pair]
            assert kinds == [pair[number % 2] for number in range(len(kinds))]


@given(streams)
def test_who_is_silent_in_the_end_has_been_told_of(stream: Stream) -> None:
    """An hour later all anchors are dead or the site is out."""
    sightings = as_sightings(stream)
    kinds: dict[str, str] = {}
    for event in at_the_end(sightings):
        if not event.kind.startswith("clock"):
            kinds[subject_of(event)] = event.kind
    out = kinds.get("hall") == "site_outage"
    for anchor in "ABC":
        assert kinds.get(anchor) == "anchor_dead" or out


@given(streams, st.lists(st.sampled_from(["ABC", "AB", "BC", "ABX"]), min_size=1))
def test_on_any_map_a_death_is_told_once_and_the_return_of_who_is_heard(stream: Stream, maps: list[str]) -> None:
    """Maps change from record to record; on the last, all anchors are heard once more."""
    watch, known = AnchorWatch(), KnownAnchors()
    events: list[Event] = []
    sightings = as_sightings(stream)
    for number, one in enumerate(sightings):
        site = site_of(maps[number % len(maps)])
        events += fire(watch, one.kafka_time_us, site)
        watch.add(one, site, SETTINGS)
    last_s = (sightings[-1].kafka_time_us - us(0)) / 1e6 + 100.0
    events += play([seen(name, last_s) for name in "ABCX"], last_s + 1.0, site=site_of("ABCX"), watch=watch)
    for name in "ABCX":
        kinds = [event.kind for event in events if event.anchor == name and not event.kind.startswith("clock")]
        assert kinds == ["anchor_dead", "anchor_back"] * (len(kinds) // 2)
    for change in filter(None, map(anchor_change, events)):
        known.take(change)
    assert all(silences[-1].last_us < EVER_US for silences in known.silences.values())
    assert watch.dead_off_map == {}
    of_anchors = [event.event_id for event in events if event.anchor]
    assert len(set(of_anchors)) == len(of_anchors)
