"""Entries and exits: the rules, without any engine."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Event
from pipeline.positioning.zone_border import Certainty
from pipeline.positioning.zone_watch import DAY_US, ZonePlan, ZoneWatch, ZoneWatchSettings
from pipeline.transforms.zone_state import from_bytes, to_bytes
from pipeline.zones import Whereabouts, Zone
from tests.readings import us

DOCK = Zone("dock", (((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)),))
YARD = Zone("yard", (((10.0, 0.0), (20.0, 0.0), (20.0, 10.0), (10.0, 10.0)),))
SETTINGS = ZoneWatchSettings(position_delay_us=500_000)
SIGMA_M = 0.2
IN, OUT, BAND = 5.0, -5.0, -1.0
"""Places on x: surely inside the dock, surely outside, and outside but within 1 m of it."""


def plan(*zones: Zone, homes: dict[str, str] | None = None, settings: ZoneWatchSettings = SETTINGS) -> ZonePlan:
    return ZonePlan({zone.id: zone for zone in zones or (DOCK,)}, homes or {}, settings)


def at(at_s: float, x_m: float, y_m: float = 5.0, *, kafka_s: float | None = None) -> Whereabouts:
    kafka_time_us = us(at_s if kafka_s is None else kafka_s)
    return Whereabouts("T", us(at_s), kafka_time_us, x_m, y_m, None, SIGMA_M**2, 0.0, SIGMA_M**2, None)


def play(places: Iterable[Whereabouts], zones: ZonePlan, watch: ZoneWatch | None = None) -> list[Event]:
    watch = ZoneWatch() if watch is None else watch
    return [event for where in places for event in watch.take(where, zones)]


def told(events: Iterable[Event]) -> list[tuple[str, str | None, float]]:
    return [(event.kind, event.zone, (event.at_us - us(0)) / 1e6) for event in events]


def path(*places: tuple[float, float]) -> list[Whereabouts]:
    return [at(at_s, x_m) for at_s, x_m in places]


def test_a_tag_that_walks_through_enters_and_leaves_once() -> None:
    events = play(path(*((0.2 * step, -5.0 + 0.2 * step) for step in range(101))), plan())
    assert [event.kind for event in events] == ["zone_entry", "zone_exit"]
    entry, exit_ = events
    depth_m = 0.2 * 3.09
    assert (entry.at_us - us(0)) / 1e6 == pytest.approx(5.0 + depth_m, abs=0.2)
    assert (exit_.at_us - us(0)) / 1e6 == pytest.approx(15.0 + depth_m, abs=0.2)
    assert exit_.last_seen_us == exit_.at_us - 200_000
    assert (entry.tag, entry.zone) == ("T", "dock")


def test_the_first_position_inside_is_an_entry_and_outside_is_nothing() -> None:
    assert told(play(path((0.0, IN)), plan())) == [("zone_entry", "dock", 0.0)]
    assert play(path((0.0, OUT)), plan()) == []


def test_a_tag_may_be_in_several_zones_and_goes_from_one_to_the_next() -> None:
    hall = Zone("hall", (((-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0)),))
    events = play(path((0.0, IN), (1.0, 15.0)), plan(hall, DOCK, YARD))
    assert told(events) == [
        ("zone_entry", "hall", 0.0),
        ("zone_entry", "dock", 0.0),
        ("zone_entry", "yard", 1.0),
        ("zone_exit", "dock", 1.0),
    ]


def noisy(count: int, x_m: float, seed: int = 1) -> list[Whereabouts]:
    chance = random.Random(seed)
    return [at(0.2 * step, x_m + SIGMA_M * chance.gauss(0.0, 1.0)) for step in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_a_tag_on_the_line_does_not_flap(seed: int) -> None:
    """Ten minutes of positions, each as far off as its covariance says: a plain border would be crossed 1500 times."""
    places = noisy(3000, 0.0, seed)
    crossed = sum((one.x_m > 0.0) != (other.x_m > 0.0) for one, other in itertools.pairwise(places))
    assert crossed > 1000
    assert len(play(places, plan())) <= 8


@pytest.mark.parametrize("seed", range(5))
def test_with_an_exit_delay_it_is_told_once_at_the_most(seed: int) -> None:
    assert len(play(noisy(3000, 0.0, seed), plan(replace(DOCK, exit_delay_us=2_000_000)))) <= 1


def test_an_uncertain_position_tells_nothing() -> None:
    vague = [where._replace(cov_xx_m2=25.0, cov_yy_m2=25.0) for where in path((0.0, IN), (1.0, OUT))]
    assert play(vague, plan()) == []
    watch = ZoneWatch()
    play(path((0.0, IN)), plan(), watch)
    assert play([at(1.0, OUT)._replace(cov_xx_m2=25.0)], plan(), watch) == []


# omlox's tolerances


def test_within_the_tolerance_a_tag_stays_until_the_timeout() -> None:
    zone = replace(DOCK, exit_tolerance_m=1.0, tolerance_timeout_us=5_000_000)
    stays = play(path((0.0, IN), (1.0, BAND), (4.0, BAND), (5.0, IN), (9.0, BAND), (10.0, IN)), plan(zone))
    assert told(stays) == [("zone_entry", "dock", 0.0)]
    events = play(path((0.0, IN), (1.0, BAND), (5.0, BAND), (7.0, BAND)), plan(zone))
    assert told(events)[1:] == [("zone_exit", "dock", 6.0)]
    assert events[1].last_seen_us == us(5.0)


def test_beyond_the_tolerance_it_leaves_at_once() -> None:
    zone = replace(DOCK, exit_tolerance_m=1.0, tolerance_timeout_us=5_000_000)
    assert told(play(path((0.0, IN), (1.0, BAND), (2.0, OUT)), plan(zone)))[1:] == [("zone_exit", "dock", 2.0)]


def test_a_tolerance_without_a_timeout_holds_for_no_time() -> None:
    zone = replace(DOCK, exit_tolerance_m=1.0)
    assert told(play(path((0.0, IN), (1.0, BAND)), plan(zone)))[1:] == [("zone_exit", "dock", 1.0)]


def test_an_exit_is_told_a_while_after_the_last_position_inside() -> None:
    zones = plan(replace(DOCK, exit_delay_us=3_000_000))
    assert told(play(path((0.0, IN), (1.0, OUT), (2.9, IN), (3.5, OUT), (5.8, IN)), zones))[1:] == []
    events = play(path((0.0, IN), (1.0, IN), (2.0, OUT), (3.9, OUT), (4.5, OUT)), zones)
    assert told(events)[1:] == [("zone_exit", "dock", 4.0)]
    assert events[1].last_seen_us == us(1.0)


def test_who_comes_back_after_the_exit_was_due_has_left_and_enters_anew() -> None:
    zones = plan(replace(DOCK, exit_delay_us=3_000_000))
    assert told(play(path((0.0, IN), (1.0, OUT), (3.0, IN)), zones)) == [
        ("zone_entry", "dock", 0.0),
        ("zone_exit", "dock", 3.0),
        ("zone_entry", "dock", 3.0),
    ]


# home zones

HOME = {"T": "dock"}


def test_a_tag_that_leaves_its_home_zone_raises_an_alarm() -> None:
    events = play(path((0.0, IN), (1.0, OUT), (2.0, OUT)), plan(homes=HOME))
    assert told(events)[1:] == [("zone_exit", "dock", 1.0), ("home_zone_left", "dock", 1.0)]
    assert len({event.event_id for event in events}) == 3


def test_a_tag_first_seen_outside_its_home_zone_raises_one_alarm_and_no_exit() -> None:
    events = play(path((0.0, OUT), (1.0, OUT), (2.0, OUT)), plan(homes=HOME))
    assert told(events) == [("home_zone_left", "dock", 0.0)]
    assert events[0].last_seen_us is None


def test_a_tag_first_seen_on_the_border_of_its_home_zone_is_taken_to_be_in_it() -> None:
    assert play(path((0.0, 0.0), (1.0, 0.0)), plan(homes=HOME)) == []
    events = play(path((0.0, 0.0), (1.0, OUT)), plan(homes=HOME))
    assert told(events) == [("home_zone_left", "dock", 1.0)]
    events = play(path((0.0, 0.0), (1.0, IN)), plan(homes=HOME))
    assert told(events) == [("zone_entry", "dock", 1.0)]


def test_tags_without_a_home_and_other_zones_raise_none() -> None:
    events = play(path((0.0, 15.0), (1.0, OUT)), plan(DOCK, YARD, homes={"OTHER": "yard"}))
    assert [event.kind for event in events] == ["zone_entry", "zone_exit"]


BOTH, AT_DOCK, AT_YARD = plan(DOCK, YARD), plan(DOCK, YARD, homes=HOME), plan(DOCK, YARD, homes={"T": "yard"})
ABSENT = "the tag is not in its home zone, and has not been seen there"


def stored(watch: ZoneWatch) -> ZoneWatch:
    """What another bundle, or the next run, finds of a watch."""
    return from_bytes(to_bytes(watch))


def test_a_tag_that_is_given_a_home_while_it_is_elsewhere_raises_one_alarm() -> None:
    watch = ZoneWatch()
    assert play(path((0.0, OUT), (1.0, OUT)), BOTH, watch) == []
    (event,) = play(path((2.0, OUT), (3.0, OUT)), AT_DOCK, watch)
    assert told([event]) == [("home_zone_left", "dock", 2.0)]
    assert (event.detail, event.last_seen_us) == (ABSENT, None)
    assert play(path((4.0, OUT)), AT_DOCK, stored(watch)) == []
    assert told(play(path((5.0, IN), (6.0, OUT)), AT_DOCK, watch)) == [
        ("zone_entry", "dock", 5.0),
        ("zone_exit", "dock", 6.0),
        ("home_zone_left", "dock", 6.0),
    ]


def test_a_home_that_is_given_anew_has_its_tolerances_over_bundles_and_restarts() -> None:
    zone = replace(DOCK, exit_tolerance_m=1.0, tolerance_timeout_us=2_000_000, exit_delay_us=3_000_000)
    watch, home = ZoneWatch(), plan(zone, homes=HOME)
    events: list[list[tuple[str, str | None, float]]] = []
    play(path((0.0, OUT)), plan(zone), watch)
    for at_s in (10.0, 12.9, 14.0, 20.0):
        watch = stored(watch)
        events.append(told(play(path((at_s, OUT)), home, watch)))
    assert events == [[], [], [("home_zone_left", "dock", 13.0)], []]
    back_in_time = ZoneWatch()
    play(path((0.0, OUT)), plan(zone), back_in_time)
    assert told(play(path((10.0, OUT), (12.0, IN), (14.0, IN)), home, back_in_time)) == [("zone_entry", "dock", 12.0)]


def test_a_tag_that_is_in_the_zone_that_becomes_its_home_raises_none_until_it_leaves() -> None:
    watch = ZoneWatch()
    play(path((0.0, IN)), BOTH, watch)
    assert play(path((1.0, IN)), AT_DOCK, watch) == []
    assert play(path((2.0, 0.0)), AT_DOCK, watch) == []
    assert told(play(path((3.0, OUT)), AT_DOCK, watch))[1:] == [("home_zone_left", "dock", 3.0)]


@pytest.mark.parametrize("by_timer", [True, False])
def test_a_zone_that_becomes_a_home_while_an_exit_from_it_is_waited_for_raises_one_alarm(*, by_timer: bool) -> None:
    zone = replace(DOCK, exit_delay_us=3_000_000)
    watch, home = ZoneWatch(), plan(zone, homes=HOME)
    play(path((0.0, IN), (1.0, OUT)), plan(zone), watch)
    events = watch.advance_by_kafka(watch.due_us(SETTINGS), "T", home) if by_timer else []
    events += play(path((4.0, OUT), (5.0, OUT), (9.0, OUT)), home, stored(watch))
    assert told(events) == [("zone_exit", "dock", 3.0), ("home_zone_left", "dock", 3.0)]


def test_a_home_that_is_given_for_another_raises_its_own_alarm() -> None:
    watch = ZoneWatch()
    assert told(play(path((0.0, OUT)), AT_DOCK, watch)) == [("home_zone_left", "dock", 0.0)]
    assert told(play(path((1.0, OUT), (2.0, OUT)), AT_YARD, watch)) == [("home_zone_left", "yard", 1.0)]
    assert told(play(path((3.0, OUT), (4.0, OUT)), AT_DOCK, watch)) == [("home_zone_left", "dock", 3.0)]
    assert play(path((5.0, OUT)), BOTH, watch) == []


@pytest.mark.parametrize("by_timer", [True, False])
@pytest.mark.parametrize("without", [plan(YARD), BOTH])
def test_a_home_that_is_taken_away_and_given_back_is_given_anew(without: ZonePlan, *, by_timer: bool) -> None:
    watch = ZoneWatch()
    play(path((0.0, IN)), AT_DOCK, watch)
    if by_timer:
        assert watch.advance_by_kafka(us(1.0), "T", without) == []
    else:
        play(path((1.0, OUT)), without, watch)
    events = play(path((2.0, OUT), (3.0, OUT)), AT_DOCK, stored(watch))
    assert [event.kind for event in events].count("home_zone_left") == 1


def test_a_home_that_is_back_before_a_position_or_a_timer_is_as_it_was() -> None:
    watch = ZoneWatch()
    play(path((0.0, OUT)), AT_DOCK, watch)
    assert play(path((1.0, OUT)), plan(DOCK, YARD, homes=HOME), stored(watch)) == []


def test_what_an_earlier_version_told_of_a_home_is_not_told_again() -> None:
    watch = ZoneWatch()
    play(path((0.0, OUT)), AT_DOCK, watch)
    watch = from_bytes(to_bytes(replace(watch, home=None)))
    assert watch.home is None
    assert play(path((1.0, OUT)), AT_DOCK, watch) == []
    assert told(play(path((2.0, OUT)), AT_YARD, watch)) == [("home_zone_left", "yard", 2.0)]


# time


def test_a_position_that_is_no_newer_is_passed_over() -> None:
    watch, zones = ZoneWatch(), plan()
    play(path((1.0, IN)), zones, watch)
    assert play(path((0.5, OUT), (1.0, OUT)), zones, watch) == []
    assert told(play(path((1.2, OUT)), zones, watch)) == [("zone_exit", "dock", 1.2)]


def test_a_timer_does_what_the_next_position_would_have_done() -> None:
    zones = plan(replace(DOCK, exit_delay_us=3_000_000))
    watch = ZoneWatch()
    play([at(0.0, IN, kafka_s=100.0), at(1.0, OUT, kafka_s=101.0)], zones, watch)
    due_us = watch.due_us(SETTINGS)
    assert due_us == us(101.0 + 2.0 + 0.5)
    assert watch.advance_by_kafka(due_us - 1, "T", zones) == []
    assert told(watch.advance_by_kafka(due_us, "T", zones)) == [("zone_exit", "dock", 3.0)]
    assert watch.advance_by_kafka(due_us, "T", zones) == []


def test_a_tag_silent_for_long_is_forgotten_but_not_while_an_exit_is_waited_for() -> None:
    settings = replace(SETTINGS, expiry_us=DAY_US)
    zones = plan(replace(DOCK, exit_delay_us=2 * DAY_US), settings=settings)
    watch = ZoneWatch()
    play(path((0.0, IN)), zones, watch)
    assert watch.due_us(settings) == us(0) + DAY_US + settings.position_delay_us
    assert not watch.is_forgotten(us(0) + DAY_US - 1, settings)
    assert watch.is_forgotten(us(0) + DAY_US, settings)
    play(path((1.0, OUT)), zones, watch)
    assert not watch.is_forgotten(us(1) + DAY_US, settings)
    assert not ZoneWatch().is_forgotten(us(0), settings)


def test_who_was_forgotten_enters_anew_with_a_timer_or_without() -> None:
    settings = replace(SETTINGS, expiry_us=DAY_US)
    zones = plan(settings=settings)
    events = play([at(0.0, IN), at(86_400.0, IN)], zones)
    assert [event.kind for event in events] == ["zone_entry", "zone_entry"]


def test_a_zone_that_is_no_longer_on_the_map_is_left_in_silence() -> None:
    watch = ZoneWatch()
    play(path((0.0, IN)), plan(), watch)
    assert play(path((1.0, OUT)), plan(YARD, homes=HOME), watch) == []
    assert watch.stays == {}


zones_of_all_kinds = st.builds(
    lambda tolerance_m, timeout_us, delay_us: replace(
        DOCK, exit_tolerance_m=tolerance_m, tolerance_timeout_us=timeout_us, exit_delay_us=delay_us
    ),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from([0, 1_000_000, 4_000_000]),
    st.sampled_from([0, 700_000, 3_000_000]),
)
steps = st.lists(
    st.tuples(st.integers(0, 3_000_000), st.integers(0, 500_000), st.sampled_from([IN, OUT, BAND, 0.0, 0.7, 15.0])),
    min_size=1,
    max_size=30,
)


def placed(walk: Sequence[tuple[int, int, float]], skew_us: int) -> list[Whereabouts]:
    """Positions with times that do not go back; in Kafka by a clock that is off, each up to half a second late."""
    places, at_us, kafka_us = [], us(0), 0
    for elapsed_us, late_us, x_m in walk:
        at_us += elapsed_us
        kafka_us = max(kafka_us, at_us + skew_us + late_us)
        places.append(at(0.0, x_m)._replace(at_us=at_us, kafka_time_us=kafka_us))
    return places


@given(zones_of_all_kinds, steps, st.integers(-(10**10), 10**10), st.sampled_from([{}, HOME]), st.data())
def test_timers_change_nothing(
    zone: Zone,
    walk: list[tuple[int, int, float]],
    skew_us: int,
    homes: dict[str, str],
    data: st.DataObject,
) -> None:
    """Whenever timers fire, up to the Kafka time of the position that comes next, or not at all."""
    zones = plan(zone, YARD, homes=homes)
    places = placed(walk, skew_us)
    quiet, busy = ZoneWatch(), ZoneWatch()
    without = play(places, zones, quiet)
    with_timers: list[Event] = []
    for where in places:
        if data.draw(st.booleans()) and busy.at_us:
            with_timers += busy.advance_by_kafka(where.kafka_time_us, "T", zones)
        with_timers += busy.take(where, zones)
    last_us = us(3600.0) + max(skew_us, 0)
    without += quiet.advance_by_kafka(last_us, "T", zones)
    while (due_us := busy.due_us(SETTINGS)) <= last_us:
        with_timers += busy.advance_by_kafka(due_us, "T", zones)
        assert busy.due_us(SETTINGS) > due_us, "a timer that settles nothing would fire for ever"
    assert with_timers == without


@given(zones_of_all_kinds, steps)
def test_entries_and_exits_take_turns_and_no_event_is_told_twice(
    zone: Zone, walk: list[tuple[int, int, float]]
) -> None:
    watch, zones = ZoneWatch(), plan(zone, homes=HOME)
    events = play(placed(walk, 0), zones, watch)
    events += watch.advance(us(7200.0), "T", zones)
    crossings = [event.kind for event in events if event.kind != "home_zone_left"]
    turns = ["zone_entry", "zone_exit"] * len(crossings)
    assert crossings == turns[: len(crossings)]
    counts = Counter(event.kind for event in events)
    assert counts["zone_exit"] <= counts["home_zone_left"] <= counts["zone_exit"] + 1
    assert len({event.event_id for event in events}) == len(events)
    assert [event.at_us for event in events] == sorted(event.at_us for event in events)


@given(
    zones_of_all_kinds,
    st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 5_000), st.sampled_from([IN, OUT, BAND, 0.0, 15.0])),
        min_size=1,
        max_size=20,
    ),
)
def test_an_absence_is_told_of_once_however_maps_change(zone: Zone, steps: list[tuple[int, bool, int, float]]) -> None:
    """Each alarm follows a home given, or an entry, of its own; and who is away in the end has been told of."""
    homes = ["", "dock", "yard", "dock", "", "dock"]
    plans = [plan(zone, YARD, homes={"T": home} if home else {}) for home in homes[:3]]
    plans += [plan(zone, homes=HOME), plan(YARD), plan(zone, replace(YARD, exit_delay_us=1_000_000), homes=HOME)]
    watch, at_us, home = ZoneWatch(), us(0), ""
    story: list[tuple[str, str | None]] = []
    for number, by_timer, elapsed_ms, x_m in [*steps, *[(steps[-1][0], False, 10**6, OUT)] * 2]:
        at_us += elapsed_ms * 1000
        if homes[number] != home and (watch.at_us or not by_timer):
            home = homes[number]
            story.append(("given", home))
        if by_timer:
            events = watch.advance_by_kafka(at_us, "T", plans[number]) if watch.at_us else []
        else:
            events = watch.take(at(0.0, x_m)._replace(at_us=at_us, kafka_time_us=at_us), plans[number])
        story += [(event.kind, event.zone) for event in events]
        watch = stored(watch)
    for one in ("dock", "yard"):
        of_one = [kind for kind, name in story if name == one and kind in ("given", "zone_entry", "home_zone_left")]
        assert ("home_zone_left", "home_zone_left") not in itertools.pairwise(of_one)
        if home == one:
            assert of_one[-1] == "home_zone_left"


@pytest.mark.parametrize(("delay_us", "expiry_us"), [(-1, 1), (500_000, 500_000)])
def test_settings_that_cannot_be_are_refused(delay_us: int, expiry_us: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        ZoneWatchSettings(position_delay_us=delay_us, expiry_us=expiry_us)


def test_other_thresholds_tell_sooner() -> None:
    eager = replace(SETTINGS, certainty=Certainty(enter_probability=0.9, leave_probability=0.1))
    assert play(path((0.0, 0.3)), plan()) == []
    assert len(play(path((0.0, 0.3)), plan(settings=eager))) == 1
