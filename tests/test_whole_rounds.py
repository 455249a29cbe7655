"""Many readings at once: held to one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Group, Reading, Rejected
from pipeline.positioning.round_bytes import Columns
from pipeline.positioning.round_state import VERSION, to_bytes
from pipeline.positioning.rounds import GroupingMode, GroupingSettings, Outcome, Rounds
from pipeline.positioning.seen import NEARLY_FULL
from pipeline.positioning.whole_rounds import Taken, WholeRounds, names_as_numbers, warm_up
from pipeline.transforms.group import GroupFn
from pipeline.transforms.tag_groups import Codec, TagStates, timer_at
from pipeline.wire.readings import pack
from tests.readings import reading, us
from tests.test_tag_groups import ListBag, OneTimer

ROUND = GroupingSettings()
THREE = GroupingSettings(mode=GroupingMode.THREE)

NAMES = {name: f"A1B2C3D3E4F5{name:>04}" for name in "ABCDEF"}
"""Of anchors, as those name themselves."""

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
                    f"B{len(found):015X}" if fault == "new" and number == which else NAMES["ABCDEF"[number]],
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


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up()


class Stage:
    """The stage that takes readings in at once."""

    def __init__(self, settings: GroupingSettings) -> None:
        self._fn = GroupFn(settings, strict=True)
        self._bag, self._timer = ListBag(), OneTimer()

    def take(self, readings: Sequence[Reading]) -> list[Outcome]:
        return self._fn.take(pack(readings).SerializeToString(), self._bag, self._timer)

    def holds(self, rounds: Rounds, settings: GroupingSettings) -> bool:
        """Whether it has written what rounds of the one tag come to that took the readings in one by one."""
        return self.holds_all({"T": rounds}, settings)

    def holds_all(self, tags: Mapping[str, Rounds], settings: GroupingSettings) -> bool:
        """The same of all tags."""
        states = TagStates(self._bag, Codec(bytes, bytes))
        for tag, rounds in tags.items():
            rounds.forget_seen(settings)
            if states.get(tag) != to_bytes(rounds):
                return False
        return bool(self._timer.at == timer_at(min(rounds.due_us(settings) for rounds in tags.values())))


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
    at_once, single = Stage(settings), Rounds()
    for begin, end in pairwise(sorted({0, *cuts, len(readings)})):
        chunk = readings[begin:end]
        assert at_once.take(chunk) == one_by_one(single, chunk, settings)
        assert at_once.holds(single, settings)


def walk(count: int, anchors: str = "ABC", begin_s: float = 0.0) -> list[Reading]:
    return [
        reading(NAMES[anchor], begin_s + 0.2 * number, distance_m=1.5 + number, offset=3 * number + place)
        for number in range(count)
        for place, anchor in enumerate(anchors)
    ]


BEGINNING = walk(5, begin_s=-1.0)


@pytest.fixture(params=[ROUND, THREE], ids=["round", "three"])
def settings(request: pytest.FixtureRequest) -> GroupingSettings:
    found: GroupingSettings = request.param
    return found


@pytest.fixture
def stage(settings: GroupingSettings) -> Stage:
    """The stage, to which the tag is known."""
    found = Stage(settings)
    found.take(BEGINNING)
    return found


@pytest.fixture
def single(settings: GroupingSettings) -> Rounds:
    """What is known of the tag then."""
    rounds = Rounds()
    one_by_one(rounds, BEGINNING, settings)
    return rounds


def count_added(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the offset of each reading comes that is taken in by itself."""
    taken: list[int] = []
    add = Rounds.add

    def counted(self: Rounds, one: Reading, settings: GroupingSettings) -> list[Outcome]:
        taken.append(one.offset)
        return add(self, one, settings)

    monkeypatch.setattr(Rounds, "add", counted)
    return taken


def test_whole_rounds_are_not_taken_in_one_by_one(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    stage.take(walk(1))  # the rounds of a new tag wait
    monkeypatch.delattr(Rounds, "add")
    outcomes = stage.take(walk(20, begin_s=0.2))
    assert outcomes == [Group("T", walk(20, begin_s=0.2)[at : at + 3]) for at in range(0, 60, 3)]


def test_what_was_taken_in_at_once_is_known_again(stage: Stage) -> None:
    stage.take(walk(20))
    again = stage.take(walk(20))
    assert [outcome.reason for outcome in again if isinstance(outcome, Rejected)] == ["duplicate"] * 60


def test_a_fault_costs_its_own_round_only(
    monkeypatch: pytest.MonkeyPatch, settings: GroupingSettings, stage: Stage, single: Rounds
) -> None:
    readings = walk(40)
    del readings[61]
    expected = one_by_one(single, readings, settings)
    taken = count_added(monkeypatch)
    assert stage.take(readings) == expected
    assert len(taken) < 12


def test_anchors_with_other_names_are_taken_in_one_by_one(
    monkeypatch: pytest.MonkeyPatch, settings: GroupingSettings
) -> None:
    readings = [one._replace(anchor=one.anchor[-1]) for one in walk(20)]
    stage, single = Stage(settings), Rounds()
    expected = one_by_one(single, readings, settings)
    taken = count_added(monkeypatch)
    assert stage.take(readings) == expected
    assert stage.holds(single, settings)
    assert len(taken) == 60


def stamped(anchors: str, at_s: float, kafka_s: Sequence[float]) -> list[Reading]:
    return [
        reading(NAMES[anchor], at_s, kafka_s=one_s, distance_m=9.5, offset=900 + place)
        for place, (anchor, one_s) in enumerate(zip(anchors, kafka_s, strict=True))
    ]


@pytest.mark.parametrize(
    "more",
    [
        stamped("ABC", 4.0, [4.0, 7.0, 7.0]),
        stamped("ABC", -9.0, [4.0, 4.0, 4.0]),
        stamped("ABC", 4.0, [0.5, 0.5, 0.5]),
        stamped("CBA", 4.0, [4.0, 4.0, 4.0]),
        stamped("ABC" * 100, 4.0, [4.0] * 300),
        [*walk(6, "ABCDEF", 4.0), *walk(1, "ABC", 6.0), *walk(1, "ABC", 6.2)],
        [*walk(6, "ABCDEF", 4.0), *walk(3, "ABC", 6.0)],
    ],
    ids=["slow", "late", "behind the clock", "backwards", "many of one time", "two rounds of fewer anchors", "three"],
)
def test_what_add_has_more_to_do_about_is_left_to_it(
    settings: GroupingSettings, stage: Stage, single: Rounds, more: list[Reading]
) -> None:
    for part in ([*walk(20), *more[:36]], more[36:], walk(5, begin_s=9.0)):
        if part:
            assert stage.take(part) == one_by_one(single, part, settings)
            assert stage.holds(single, settings)


def test_many_readings_of_one_time_fill_more_than_one_block(settings: GroupingSettings, stage: Stage) -> None:
    single = Rounds()
    one_by_one(single, BEGINNING, settings)
    ones = [
        one._replace(distance_m=1.0 + number, kafka_time_us=us(4.0 + number / 1000))
        for number, one in enumerate(stamped("ABC" * 200, 4.0, [4.0] * 600))
    ]
    assert stage.take(ones) == one_by_one(single, ones, settings)
    assert stage.holds(single, settings)


@given(st.lists(scripts, min_size=3, max_size=3), st.sampled_from([ROUND, THREE]), st.integers(1, 200))
def test_tags_do_not_meet(
    scripts: list[list[Blink]],
    settings: GroupingSettings,
    bundle: int,
) -> None:
    """Each has faults of its own, and is as it would be alone."""
    of_tags = {
        tag: [one._replace(tag=tag) for one in as_readings(script, 3, whole=False)]
        for tag, script in zip("TUV", scripts, strict=True)
    }
    mixed = [one for ones in zip_longest(*of_tags.values()) for one in ones if one is not None]
    stage, singles = Stage(settings), {tag: Rounds() for tag in of_tags}
    for first in range(0, len(mixed), bundle):
        some = mixed[first : first + bundle]
        outcomes = stage.take(some)
        for tag, rounds in singles.items():
            expected = one_by_one(rounds, [one for one in some if one.tag == tag], settings)
            assert [one for one in outcomes if one.tag == tag] == expected
        known = {one.tag for one in mixed[: first + bundle]}
        assert stage.holds_all({tag: rounds for tag, rounds in singles.items() if tag in known}, settings)


def test_what_is_never_whole_is_not_tried_again_and_again(
    monkeypatch: pytest.MonkeyPatch, settings: GroupingSettings, stage: Stage, single: Rounds
) -> None:
    readings = [one._replace(time_replaced=one.anchor == NAMES["B"]) for one in walk(100)]
    tried = []
    take_all = WholeRounds.take_all

    def counted(self: WholeRounds, known: Sequence[tuple[bytes, int, int]], columns: Columns) -> list[Taken]:
        tried.append(known)
        return take_all(self, known, columns)

    monkeypatch.setattr(WholeRounds, "take_all", counted)
    assert stage.take(readings) == one_by_one(single, readings, settings)
    assert stage.holds(single, settings)
    assert len(tried) <= 2


@pytest.mark.parametrize("anchors", [31, 40, 300])
def test_more_anchors_than_have_numbers(settings: GroupingSettings, anchors: int) -> None:
    stage, single = Stage(settings), Rounds()
    readings = [
        reading(f"A1B2C3D3E4F5{(3 * number + place) % anchors:04X}", 0.2 * number, distance_m=2.0, offset=number)
        for number in range(400)
        for place in range(3)
    ]
    for first in range(0, len(readings), 90):
        some = readings[first : first + 90]
        assert stage.take(some) == one_by_one(single, some, settings)
        assert stage.holds(single, settings)


def test_more_readings_than_there_is_room_for(settings: GroupingSettings) -> None:
    stage, single = Stage(settings), Rounds()
    readings = [
        reading(NAMES[anchor], 0.001 * number, distance_m=2.0, offset=3 * number + place)
        for number in range(2500)
        for place, anchor in enumerate("ABC")
    ]
    for first in range(0, len(readings), 1500):
        some = readings[first : first + 1500]
        assert stage.take(some) == one_by_one(single, some, settings)
        assert stage.holds(single, settings)
    assert len(single.seen.earlier) > NEARLY_FULL


def test_a_state_of_another_version_is_none(settings: GroupingSettings) -> None:
    rounds = Rounds()
    one_by_one(rounds, BEGINNING, settings)
    other = bytes([VERSION + 1]) + to_bytes(rounds)[1:]
    columns = Columns(
        np.array([0, 1, 2]),
        np.full(3, 1.5, np.float32).view(np.uint32),
        np.full(3, us(9.0)),
        np.full(3, us(9.0)),
        np.zeros(3, np.bool_),
        names_as_numbers([NAMES[anchor] for anchor in "ABC"]),
    )
    (taken,) = WholeRounds(settings).take_all([(other, 0, 3)], columns)
    assert (taken.readings, taken.state) == (0, other)
