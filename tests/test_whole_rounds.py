"""Many readings at once: held to one by one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Group, Reading, Rejected
from pipeline.positioning.rounds import GroupingMode, GroupingSettings, Outcome, Rounds
from pipeline.positioning.whole_rounds import add_all
from pipeline.transforms import round_state
from tests.readings import reading, us

ROUND = GroupingSettings()
THREE = GroupingSettings(mode=GroupingMode.THREE)

Blink = tuple[int, int, int, str | None, int, list[int]]
FAULTS = ["missing", "again", "late", "replaced", "new", "ahead", "silent", "back", "swap"]
blinks = st.tuples(
    st.sampled_from([200] * 8 + [900, 3000]),  # gap to the blink before, ms
    st.sampled_from([0] * 8 + [5, 300, 2500]),  # spread of Kafka time over the blink, ms
    st.sampled_from([0] * 8 + [1, 2500]),  # spread of the anchors' clocks, ms
    st.sampled_from([None] * 40 + FAULTS),
    st.integers(0, 5),  # which anchor has the fault
    st.permutations(range(6)) | st.just([*range(6)]),
)
scripts = st.tuples(st.just([(200, 0, 0, None, 0, [*range(6)])] * 5), st.lists(blinks, max_size=40)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def as_readings(script: list[Blink], size: int, *, whole: bool) -> list[Reading]:
    """Blinks that so many anchors hear, with a fault here and there, a time of measurement in whole seconds or not."""
    found: list[Reading] = []
    at_ms = 0
    for gap_ms, kafka_ms, clock_ms, fault, which, order in script:
        at_ms += 90_000 if fault == "silent" else gap_ms
        ones: list[Reading] = []
        for place, number in enumerate(one for one in order if one < size):
            late_ms = 11_000 if fault == "late" and number == which else 0
            ahead_ms = 4_000 if fault == "ahead" and number == which else 0
            at_s = (at_ms - late_ms + ahead_ms + clock_ms * number / size) / 1000
            back_ms = 5_000 if fault == "back" and number == which else 0
            ones.append(
                reading(
                    f"N{len(found)}" if fault == "new" and number == which else f"A{number}",
                    float(int(at_s)) if whole else at_s,
                    kafka_s=(at_ms + 20 + kafka_ms * place / size - back_ms) / 1000,
                    distance_m=1.5 + (at_ms // 200 + number) % 50,
                )._replace(time_replaced=fault == "replaced" and number == which)
            )
        if fault == "missing":
            del ones[which % len(ones)]
        if fault == "again":
            ones.insert(which % len(ones), (found or ones)[-which % len(found or ones)])
        found += ones
        if fault == "swap" and len(found) > size:
            found[-size - 1], found[-1] = found[-1], found[-size - 1]
    return [one._replace(offset=offset) for offset, one in enumerate(found)]


def one_by_one(rounds: Rounds, readings: list[Reading], settings: GroupingSettings) -> list[Outcome]:
    return [outcome for one in readings for outcome in rounds.add(one, settings)]


@given(
    scripts,
    st.integers(3, 6),
    st.booleans(),
    st.lists(st.integers(0, 120), max_size=5),
    st.sampled_from(
        [ROUND, THREE, GroupingSettings(max_lateness_us=2_000_000), GroupingSettings(max_reading_age_us=1000)]
    ),
)
def test_readings_at_once_come_to_the_same_as_one_by_one(
    script: list[Blink],
    size: int,
    whole: bool,  # noqa: FBT001
    cuts: list[int],
    settings: GroupingSettings,
) -> None:
    readings = as_readings(script, size, whole=whole)
    at_once, single = Rounds(), Rounds()
    for begin, end in pairwise(sorted({0, *cuts, len(readings)})):
        chunk = readings[begin:end]
        assert add_all(at_once, chunk, settings) == one_by_one(single, chunk, settings)
        assert at_once == single
        assert at_once.due_us(settings) == single.due_us(settings)
        assert round_state.to_bytes(at_once) == round_state.to_bytes(single)
        at_once.forget_seen(settings)
        single.forget_seen(settings)
        assert at_once == single


def walk(count: int, anchors: str = "ABC", begin_s: float = 0.0) -> list[Reading]:
    return [
        reading(anchor, begin_s + 0.2 * number, distance_m=1.5 + number, offset=3 * number + place)
        for number in range(count)
        for place, anchor in enumerate(anchors)
    ]


def known_tag(settings: GroupingSettings) -> Rounds:
    rounds = Rounds()
    one_by_one(rounds, walk(5, begin_s=-1.2), settings)
    rounds.advance(us(-0.1), settings)
    return rounds


@pytest.mark.parametrize("settings", [ROUND, THREE], ids=["round", "three"])
def test_whole_rounds_are_not_taken_in_one_by_one(monkeypatch: pytest.MonkeyPatch, settings: GroupingSettings) -> None:
    rounds = known_tag(settings)
    monkeypatch.delattr(Rounds, "add")
    outcomes = add_all(rounds, walk(20), settings)
    assert outcomes == [Group("T", walk(20)[at : at + 3]) for at in range(0, 60, 3)]


@pytest.mark.parametrize("settings", [ROUND, THREE], ids=["round", "three"])
def test_what_was_taken_in_at_once_is_known_again(settings: GroupingSettings) -> None:
    rounds = known_tag(settings)
    add_all(rounds, walk(20), settings)
    again = add_all(rounds, walk(20), settings)
    assert [outcome.reason for outcome in again if isinstance(outcome, Rejected)] == ["duplicate"] * 60


def test_a_fault_costs_its_own_round_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = known_tag(ROUND)
    taken: list[int] = []
    add = Rounds.add

    def counted(self: Rounds, one: Reading, settings: GroupingSettings) -> list[Outcome]:
        taken.append(one.offset)
        return add(self, one, settings)

    monkeypatch.setattr(Rounds, "add", counted)
    readings = walk(40)
    del readings[61]
    single = copy.deepcopy(rounds)
    expected = [outcome for one in readings for outcome in add(single, one, ROUND)]
    assert add_all(rounds, readings, ROUND) == expected
    assert len(taken) < 12


def stamped(anchors: str, at_s: float, kafka_s: Sequence[float]) -> list[Reading]:
    return [
        reading(anchor, at_s, kafka_s=one_s, distance_m=9.5, offset=900 + place)
        for place, (anchor, one_s) in enumerate(zip(anchors, kafka_s, strict=True))
    ]


@pytest.mark.parametrize("settings", [ROUND, THREE], ids=["round", "three"])
@pytest.mark.parametrize(
    "more",
    [
        stamped("ABC", 4.0, [4.0, 7.0, 7.0]),
        stamped("ABC", -9.0, [4.0, 4.0, 4.0]),
        stamped("ABC", 4.0, [0.5, 0.5, 0.5]),
        [*walk(6, "ABCDEF", 4.0), *walk(1, "ABC", 6.0), *walk(1, "ABC", 6.2)],
        [*walk(6, "ABCDEF", 4.0), *walk(3, "ABC", 6.0)],
    ],
    ids=["slow", "late", "behind the clock", "two rounds of fewer anchors", "three of them"],
)
def test_what_add_has_more_to_do_about_is_left_to_it(settings: GroupingSettings, more: list[Reading]) -> None:
    readings = [*walk(20), *more]
    at_once, single = known_tag(settings), known_tag(settings)
    assert add_all(at_once, readings, settings) == one_by_one(single, readings, settings)
    assert at_once == single
    one, other = known_tag(settings), known_tag(settings)
    for part in (walk(20), more[:36], more[36:]):
        assert add_all(one, part, settings) == one_by_one(other, part, settings)
        assert one == other
