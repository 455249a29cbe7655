"""Which readings belong together: the rules of grouping, without any engine."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Group, Reading, Rejected
from pipeline.positioning.rounds import GroupingMode, GroupingSettings, Outcome, Rounds
from pipeline.positioning.seen import ROOM
from pipeline.site import MIN_ANCHORS
from tests.readings import reading, us

ROUND = GroupingSettings()
THREE = GroupingSettings(mode=GroupingMode.THREE)


def play(
    readings: Iterable[Reading],
    settings: GroupingSettings = ROUND,
    *,
    until_s: float | None = None,
    rounds: Rounds | None = None,
) -> list[Outcome]:
    """Feed readings one by one, then let Kafka time pass."""
    state = rounds if rounds is not None else Rounds()
    outcomes = [outcome for one in readings for outcome in state.add(one, settings)]
    if until_s is not None:
        outcomes.extend(settle(state, settings, us(until_s)))
    return outcomes


def settle(rounds: Rounds, settings: GroupingSettings, until_us: int) -> list[Outcome]:
    """Do what a timer does: settle at every time that is due."""
    outcomes: list[Outcome] = []
    while (due_us := rounds.due_us(settings)) <= until_us and not rounds.is_forgotten(due_us, settings):
        outcomes.extend(rounds.advance(due_us, settings))
        assert rounds.due_us(settings) > due_us, "a timer that settles nothing would fire for ever"
    return outcomes


def groups(outcomes: Iterable[Outcome]) -> list[set[str]]:
    """The anchors of the groups of three readings or more."""
    return [found for found in _anchors(outcomes) if len(found) >= MIN_ANCHORS]


def given_up(outcomes: Iterable[Outcome]) -> list[set[str]]:
    """The anchors of readings that are alone, because too few others came in time."""
    return [found for found in _anchors(outcomes) if len(found) < MIN_ANCHORS]


def _anchors(outcomes: Iterable[Outcome]) -> list[set[str]]:
    return [{one.anchor for one in outcome.readings} for outcome in outcomes if isinstance(outcome, Group)]


def reasons(outcomes: Iterable[Outcome]) -> Counter[str]:
    return Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Rejected))


def known_tag(anchors: str = "ABC", settings: GroupingSettings = ROUND) -> Rounds:
    """A tag that the anchors have heard for some rounds, the last a minute ago less what makes it forgotten."""
    rounds = Rounds()
    for number in range(4):
        play((reading(anchor, number - 30.0) for anchor in anchors), settings, until_s=number - 29.5, rounds=rounds)
    return rounds


def test_three_groups_as_soon_as_three_distinct_anchors_are_in() -> None:
    outcomes = play([reading(anchor, 0.0) for anchor in "ABCDEF"], THREE)
    assert groups(outcomes) == [{"A", "B", "C"}, {"D", "E", "F"}]


def test_three_takes_the_latest_reading_of_an_anchor() -> None:
    outcomes = play([reading("A", 0.0), reading("A", 0.5), reading("B", 0.5), reading("C", 0.5)], THREE)
    assert _anchors(outcomes) == [{"A"}, {"A", "B", "C"}]
    assert reasons(outcomes) == {}
    first, group = (outcome for outcome in outcomes if isinstance(outcome, Group))
    assert {one.measured_at_us for one in first.readings} == {us(0.0)}
    assert {one.measured_at_us for one in group.readings} == {us(0.5)}


@pytest.mark.parametrize("settings", [ROUND, THREE])
def test_three_copies_from_one_anchor_are_given_up_one_by_one(settings: GroupingSettings) -> None:
    outcomes = play([reading("A", at_s, distance_m=1 + at_s) for at_s in (0.0, 0.2, 0.4)], settings, until_s=60)
    assert groups(outcomes) == []
    assert given_up(outcomes) == [{"A"}] * 3
    assert [outcome.readings[0].measured_at_us for outcome in outcomes if isinstance(outcome, Group)] == [
        us(0.0),
        us(0.2),
        us(0.4),
    ]
    assert reasons(outcomes) == {}


@pytest.mark.parametrize("settings", [ROUND, THREE])
def test_a_reading_that_comes_after_its_successor_is_given_up_at_once(settings: GroupingSettings) -> None:
    rounds = Rounds()
    play([reading("A", 1.0)], settings, rounds=rounds)
    overtaken = reading("A", 0.5, kafka_s=1.1)
    assert rounds.add(overtaken, settings) == [Group("T", [overtaken])]
    assert groups(play([reading("B", 1.0), reading("C", 1.0)], settings, rounds=rounds, until_s=5)) == [{"A", "B", "C"}]


@pytest.mark.parametrize("settings", [ROUND, THREE])
def test_two_anchors_of_one_blink_are_given_up_one_by_one_when_no_third_comes(settings: GroupingSettings) -> None:
    rounds = Rounds()
    assert play([reading("A", 0.0), reading("B", 0.0)], settings, rounds=rounds, until_s=2.0) == []
    outcomes = settle(rounds, settings, us(2.001))
    assert given_up(outcomes) == [{"A"}, {"B"}]
    assert rounds.open == {}


@pytest.mark.parametrize("settings", [ROUND, THREE])
def test_a_redelivered_record_changes_nothing(settings: GroupingSettings) -> None:
    once = [reading(anchor, 0.0, distance_m=2.0) for anchor in "ABC"]
    twice = [one for one in once for _ in range(2)]
    outcomes = play([*twice, *once], settings, until_s=60)
    assert groups(outcomes) == groups(play(once, settings, until_s=60))
    assert reasons(outcomes) == {"duplicate": 6}


def test_a_new_tag_waits_for_whoever_else_may_have_heard_it() -> None:
    rounds = Rounds()
    assert play([reading(anchor, 0.0) for anchor in "ABCD"], rounds=rounds) == []
    assert groups(settle(rounds, ROUND, us(0.25))) == [{"A", "B", "C", "D"}]


def test_a_known_tag_does_not_wait_once_all_its_anchors_have_reported() -> None:
    outcomes = play([reading(anchor, 0.0) for anchor in "ABC"], rounds=known_tag())
    assert groups(outcomes) == [{"A", "B", "C"}]


def test_an_anchor_that_fell_silent_is_waited_for_only_some_rounds() -> None:
    rounds = known_tag("ABCD")
    waited = [
        not groups(play([reading(anchor, at_s) for anchor in "ABC"], rounds=rounds))
        and groups(settle(rounds, ROUND, us(at_s + 0.5))) == [{"A", "B", "C"}]
        for at_s in (0.0, 1.0, 2.0)
    ]
    assert waited == [True, True, True]
    assert groups(play([reading(anchor, 3.0) for anchor in "ABC"], rounds=rounds)) == [{"A", "B", "C"}]


def test_an_anchor_reporting_again_closes_the_round() -> None:
    rounds = Rounds()
    outcomes = play([*(reading(anchor, 0.0) for anchor in "ABC"), reading("A", 0.2)], rounds=rounds)
    assert groups(outcomes) == [{"A", "B", "C"}]
    assert set(rounds.open) == {"A"}


def test_a_round_that_waits_too_long_closes_before_the_next_reading_joins() -> None:
    outcomes = play([*(reading(anchor, 0.0) for anchor in "ABC"), reading("D", 0.25)])
    assert groups(outcomes) == [{"A", "B", "C"}]


def test_fewer_than_three_readings_carry_over_until_stale() -> None:
    carried = play([reading("A", 0.0), reading("B", 0.1), reading("C", 1.9)], until_s=5)
    assert groups(carried) == [{"A", "B", "C"}]
    stale = play([reading("A", 0.0), reading("B", 0.1), reading("C", 2.5)], until_s=10)
    assert groups(stale) == []
    assert sorted(anchor for found in given_up(stale) for anchor in found) == ["A", "B", "C"]
    assert reasons(stale) == {}


def test_no_group_holds_readings_further_apart_than_the_age_bound() -> None:
    # All in Kafka at once, after a stall of the bridge, so only the payload's time can tell.
    outcomes = play(
        [reading(anchor, at_s, kafka_s=9.0) for anchor, at_s in zip("ABCDEF", (0, 1, 3, 4, 6, 7), strict=True)]
    )
    for outcome in outcomes:
        if isinstance(outcome, Group):
            times = [one.measured_at_us for one in outcome.readings]
            assert max(times) - min(times) <= ROUND.max_reading_age_us


def test_a_late_reading_is_rejected() -> None:
    outcomes = play([reading("A", 20.0), reading("B", 9.9, kafka_s=20.0)])
    assert reasons(outcomes) == {"late": 1}


def test_whole_second_stamps_of_one_blink_may_differ_by_one() -> None:
    blink = [reading("A", 0.0, kafka_s=1.01), reading("B", 1.0, kafka_s=1.02), reading("C", 0.0, kafka_s=1.03)]
    assert groups(play(blink, until_s=5)) == [{"A", "B", "C"}]


def test_an_anchor_with_a_wrong_clock_loses_only_its_own_readings() -> None:
    readings = [
        reading(anchor, at_s + (8.0 if anchor == "C" else 0.0), kafka_s=at_s + 0.01)
        for at_s in range(20)
        for anchor in "ABCDE"
    ]
    outcomes = play(readings, until_s=60)
    assert len(groups(outcomes)) == 20
    assert all(found == {"A", "B", "D", "E"} for found in groups(outcomes))
    assert reasons(outcomes) == {"stale": 20}


def test_a_lost_reading_does_not_mix_blinks_for_good() -> None:
    """Anchors report in a steady order, and one reading is lost once: the blinks after it are whole again."""
    readings = [
        reading(anchor, float(number), kafka_s=number + delay_s, offset=number)
        for number in range(40)
        for anchor, delay_s in (("C", 0.01), ("A", 0.02), ("B", 0.03))
        if (number, anchor) != (10, "C")
    ]
    outcomes = play(readings, until_s=100)
    mixed = [one for one in outcomes if isinstance(one, Group) and len({each.offset for each in one.readings}) > 1]
    assert mixed == []
    assert len(groups(outcomes)) == 39
    assert given_up(outcomes) == [{"A"}, {"B"}]
    assert reasons(outcomes) == {}


def test_a_backlog_after_a_stall_gives_the_rounds_that_were_missed() -> None:
    """A tag that blinks every 10 s, one of its anchors lost; the bridge stalls, then delivers all at once."""
    rounds = known_tag("ABCD")
    readings = [
        reading(anchor, 10.0 * number, kafka_s=60.0 + number / 100 + place / 1000, distance_m=1.0 + number)
        for number in range(6)
        for place, anchor in enumerate("ABC")
    ]
    assert groups(play(readings, rounds=rounds, until_s=90)) == [{"A", "B", "C"}] * 6


def test_an_anchor_ahead_of_the_others_does_not_make_them_late() -> None:
    """The bridge lags 2 s, and one clock is 11.5 s ahead of the others': within 10 s of Kafka's."""
    readings = [
        reading(anchor, at_s + (11.5 if anchor == "E" else 0.0), kafka_s=at_s + 2.0, distance_m=1.0 + at_s)
        for at_s in range(30)
        for anchor in "ABCDE"
    ]
    outcomes = play(readings, until_s=100)
    assert groups(outcomes) == [{"A", "B", "C", "D"}] * 30
    assert reasons(outcomes) == {"stale": 30}


@pytest.mark.parametrize(
    ("lag_s", "ahead_s"), [(0.1, 2.05), (0.3, 2.2), (0.5, 2.4), (3.0, 3.0), (3.0, 5.0), (8.0, 8.0)]
)
@pytest.mark.parametrize("order", ["EABCD", "ABECD", "ABCDE"])
def test_three_clocks_that_agree_outvote_one_that_does_not(lag_s: float, ahead_s: float, order: str) -> None:
    """However late readings reach Kafka, and whoever reports first."""
    readings = [
        reading(
            anchor,
            at_s + (ahead_s if anchor == "E" else 0.0),
            kafka_s=at_s + lag_s + 0.01 * place,
            distance_m=1.0 + at_s,
        )
        for at_s in range(30)
        for place, anchor in enumerate(order)
    ]
    found = groups(play(readings, until_s=300))
    assert len(found) == 30
    assert all(set("ABCD") <= group for group in found)


def test_a_partition_that_runs_ahead_does_not_break_rounds() -> None:
    """D's partition is read ahead of the others', so their readings come with Kafka times of the past."""
    readings = []
    for number in range(100):
        at_s = 0.2 * number
        readings.append(reading("D", at_s, kafka_s=at_s + 1.9, distance_m=1.0 + at_s))
        readings += [reading(anchor, at_s, kafka_s=at_s, distance_m=1.0 + at_s) for anchor in "ABC"]
    assert len(groups(play(readings, until_s=100))) >= 98


@pytest.mark.parametrize("lag_s", [3.0, 3600.0])
def test_a_time_that_was_replaced_is_no_evidence_against_the_others(lag_s: float) -> None:
    readings = []
    for at_s in range(30):
        readings += [reading(anchor, float(at_s), kafka_s=at_s + lag_s, distance_m=1.0 + at_s) for anchor in "ABCD"]
        replaced = reading("E", at_s + lag_s, kafka_s=at_s + lag_s, distance_m=1.0 + at_s)
        readings.append(replaced._replace(time_replaced=True))
    outcomes = play(readings, until_s=100 + lag_s)
    assert [found - {"E"} for found in groups(outcomes)] == [set("ABCD")] * 30


def test_anchors_without_any_time_still_make_rounds() -> None:
    readings = [
        reading(anchor, at_s + delay_s, distance_m=1.0 + at_s)._replace(time_replaced=True)
        for at_s in range(10)
        for anchor, delay_s in (("A", 0.01), ("B", 0.02), ("C", 0.03))
    ]
    assert groups(play(readings, until_s=30)) == [{"A", "B", "C"}] * 10


@pytest.mark.parametrize("blink_s", [0.2, 1.0, 10.0])
@pytest.mark.parametrize("settings", [ROUND, THREE])
def test_slow_and_fast_tags_give_one_group_a_blink(blink_s: float, settings: GroupingSettings) -> None:
    blinks = [number * blink_s for number in range(20)]
    outcomes = play(
        [
            reading(anchor, float(int(at_s)), kafka_s=at_s + delay, distance_m=1 + at_s)
            for at_s in blinks
            for anchor, delay in (("A", 0.01), ("B", 0.02), ("C", 0.03))
        ],
        settings,
        until_s=blinks[-1] + 30,
    )
    assert groups(outcomes) == [{"A", "B", "C"}] * 20
    assert reasons(outcomes) == {}


def test_a_silent_tag_is_forgotten_by_record_as_by_timer() -> None:
    rounds = known_tag()
    later = reading("A", 120.0)
    by_record = dataclasses.replace(
        rounds, open=dict(rounds.open), carried=set(), seen=dataclasses.replace(rounds.seen)
    )
    assert by_record.is_forgotten(later.kafka_time_us, ROUND)
    by_record.add(later, ROUND)
    by_timer = Rounds()
    by_timer.add(later, ROUND)
    assert by_record == by_timer


def test_advancing_again_does_nothing() -> None:
    rounds = Rounds()
    play([reading(anchor, 0.0) for anchor in "ABC"], rounds=rounds)
    assert len(rounds.advance(us(1.0), ROUND)) == 1
    assert rounds.advance(us(1.0), ROUND) == []
    assert rounds.advance(us(0.0), ROUND) == []


def test_what_is_remembered_is_bounded() -> None:
    rounds = Rounds()
    for number in range(ROOM // 2):
        rounds.add(reading(f"A{number // 1000 % 8}{number % 8}", number / 10_000, distance_m=1 + number), ROUND)
    assert len(rounds.seen.earlier) <= ROOM
    assert len(rounds.open) <= 16
    assert len(rounds.numbers) <= 64


def test_anchors_that_are_no_longer_heard_take_no_room() -> None:
    """A tag on its way through a large site. What is seen of the others is known by the numbers they then have."""
    rounds = Rounds()
    for second in range(500):
        ones = [reading(f"A{second + place}", float(second), distance_m=1.0 + second) for place in range(4)]
        play(ones, rounds=rounds)
        assert reasons(play(ones, rounds=rounds)) == {"duplicate": 4}
        rounds.forget_seen(ROUND)
    assert len(rounds.numbers) <= 32
    known = [reading(f"A{498 + place}", 498.0, kafka_s=499.0, distance_m=499.0) for place in range(4)]
    assert reasons(play(known, rounds=rounds)) == {"duplicate": 4}


def test_forgetting_between_bundles_changes_nothing() -> None:
    """What is remembered is bounded; what is dropped when it is full does not depend on how records were bundled."""
    readings = [
        reading(f"A{number % 40}", number / 700, distance_m=1.0 + number % 7, offset=number) for number in range(15_000)
    ]
    readings += [one._replace(kafka_time_us=readings[-1].kafka_time_us) for one in readings[-7_000::40]]
    bundled, single = Rounds(), Rounds()
    outcomes = []
    for one in readings:
        outcomes += single.add(one, ROUND)
        single.forget_seen(ROUND)
    assert play(readings, rounds=bundled) == outcomes


@pytest.mark.parametrize(
    "wrong",
    [{"round_wait_us": 0}, {"max_reading_age_us": 999}, {"tag_expiry_us": 5_000_000}],
)
def test_bounds_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        GroupingSettings(**wrong)  # type: ignore[arg-type]


streams = st.lists(
    st.tuples(
        st.sampled_from("ABCDE"),
        st.integers(0, 400) | st.integers(0, 3000),  # gap to the record before, ms
        st.integers(-3000, 3000),  # clock against Kafka's, ms
        st.integers(1, 3),  # distance: few values, so that records repeat
        st.booleans(),  # whole-second stamp
        st.booleans(),  # the anchor's time was replaced
    ),
    max_size=60,
)


def as_readings(stream: list[tuple[str, int, int, int, bool, bool]]) -> list[Reading]:
    readings: list[Reading] = []
    kafka_ms = 0
    for offset, (anchor, gap_ms, skew_ms, distance_m, whole, replaced) in enumerate(stream):
        kafka_ms += gap_ms
        at_s = kafka_ms / 1000 if replaced else (kafka_ms + skew_ms) / 1000
        readings.append(
            reading(
                anchor,
                float(int(at_s)) if whole and not replaced else at_s,
                kafka_s=kafka_ms / 1000,
                distance_m=float(distance_m),
                offset=offset,
            )._replace(time_replaced=replaced),
        )
    return readings


@given(streams, st.sampled_from([ROUND, THREE]))
def test_every_reading_ends_exactly_once(
    stream: list[tuple[str, int, int, int, bool, bool]], settings: GroupingSettings
) -> None:
    readings = as_readings(stream)
    ended: Counter[int] = Counter()
    for outcome in play(readings, settings, until_s=1000):
        ended.update([outcome.offset] if isinstance(outcome, Rejected) else [one.offset for one in outcome.readings])
    assert ended == Counter(range(len(readings)))


@given(streams, st.sampled_from([ROUND, THREE]))
def test_groups_keep_their_bounds(
    stream: list[tuple[str, int, int, int, bool, bool]], settings: GroupingSettings
) -> None:
    for outcome in play(as_readings(stream), settings, until_s=1000):
        if isinstance(outcome, Group):
            anchors = [one.anchor for one in outcome.readings]
            times = [one.measured_at_us for one in outcome.readings]
            assert len(anchors) == 1 or len(anchors) >= MIN_ANCHORS
            assert len(set(anchors)) == len(anchors)
            assert times == sorted(times)
            assert times[-1] - times[0] <= settings.max_reading_age_us


@given(streams, st.sampled_from([ROUND, THREE]), st.data())
def test_timers_may_fire_at_once_late_or_never(
    stream: list[tuple[str, int, int, int, bool, bool]],
    settings: GroupingSettings,
    data: st.DataObject,
) -> None:
    """Whether a timer comes before the next record or the record before the timer, the outcomes are the same."""
    readings = as_readings(stream)
    rounds = Rounds()
    with_timers: list[Outcome] = []
    for one in readings:
        if data.draw(st.booleans()):
            with_timers.extend(settle(rounds, settings, one.kafka_time_us))
        with_timers.extend(rounds.add(one, settings))
    with_timers.extend(settle(rounds, settings, us(1000)))
    assert with_timers == play(readings, settings, until_s=1000)


@given(streams, st.sampled_from([ROUND, THREE]))
def test_what_is_due_is_settled_at_its_time_and_not_before(
    stream: list[tuple[str, int, int, int, bool, bool]], settings: GroupingSettings
) -> None:
    rounds = Rounds()
    for one in as_readings(stream):
        rounds.add(one, settings)
        before = dataclasses.replace(rounds)
        due_us = rounds.due_us(settings)
        assert rounds.advance(due_us - 1, settings) == []
        assert rounds == before
        if rounds.open:
            copied = dataclasses.replace(rounds, open=dict(rounds.open), carried=set(rounds.carried))
            copied.advance(due_us, settings)
            assert copied != before
