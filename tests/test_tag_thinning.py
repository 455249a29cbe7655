"""What the tag watch is not given: with and without it, it tells the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import Event, Sighting
from pipeline.model import Reading
from pipeline.positioning.anchor_watch import AnchorWatch, AnchorWatchSettings
from pipeline.positioning.known_anchors import AnchorChange, KnownAnchors, anchor_change
from pipeline.positioning.runs import Run
from pipeline.positioning.tag_flags import Taken
from pipeline.positioning.tag_thinning import needed
from pipeline.positioning.tag_watch import TagWatch, TagWatchSettings
from pipeline.transforms import tag_watch_state as state
from tests.readings import columns, reading, us, watched
from tests.test_anchor_watch import ABC

OF_ANCHORS = AnchorWatchSettings()
WITH_ANCHORS = TagWatchSettings(outage_window_us=OF_ANCHORS.outage_window_us)
ALONE = TagWatchSettings()
TAGS = "TU"


def thinned(batch: Sequence[Reading], of_tags: TagWatchSettings) -> list[Reading]:
    by_tag = sorted(batch, key=lambda one: one.tag)
    return [by_tag[number] for number in needed(columns(by_tag), of_tags).tolist()]


@dataclass
class Side:
    """The watch of some tags, as the stage has it."""

    settings: TagWatchSettings
    anchors: KnownAnchors = field(default_factory=KnownAnchors)
    watches: dict[str, TagWatch] = field(default_factory=lambda: {tag: TagWatch() for tag in TAGS})

    def take(self, batch: Sequence[Reading]) -> list[Event]:
        self._hear(batch)
        watches = self.watches
        return [
            event for tag in TAGS for one in batch if one.tag == tag for event in watches[tag].take(one, self.settings)
        ]

    def take_at_once(self, batch: Sequence[Reading]) -> list[Event]:
        """Take readings in as the stage does; what goes on with bytes is as it would be without."""
        self._hear(batch)
        events: list[Event] = []
        for tag, watch in self.watches.items():
            of_tag = [one for one in batch if one.tag == tag]
            before = state.to_bytes(watch)
            told = [event for one in of_tag for event in watch.take(one, self.settings)]
            gone_on = state.gone_on(before, watched(of_tag), self.settings) if of_tag else None
            if gone_on is not None and not self.anchors.silences:
                assert told == []
                assert gone_on == (state.to_bytes(watch), watch.due_us(self.anchors, self.settings))
            events += told
        return events

    def _hear(self, batch: Sequence[Reading]) -> None:
        for one in batch:
            self.anchors.hear(one.anchor, one.kafka_time_us, self.settings.told_after_us)

    def fire(self, until_us: int) -> list[tuple[int, Event]]:
        """Tell what is due until then, and when it was told."""
        told: list[tuple[int, Event]] = []
        for tag, watch in self.watches.items():
            while (due_us := watch.due_us(self.anchors, self.settings)) <= until_us:
                told += [(due_us, event) for event in watch.advance(due_us, tag, self.anchors, self.settings)]
                if watch.is_forgotten(due_us, self.settings):
                    break
        return told

    def standing(self) -> dict[str, object]:
        """What all that follows depends on.

        Of the times at which an anchor heard a tag those but the newest of a run say nothing. They go with the run.
        """
        found: dict[str, object] = {"silences": self.anchors.silences}
        for tag, watch in self.watches.items():
            spans = [(0, watch.last_us), *watch.runs]
            heard = {
                (anchor, last_us): max(times_us)
                for anchor, heard_us in watch.heard_by.items()
                for first_us, last_us in spans
                if (times_us := [at_us for at_us in heard_us if first_us <= at_us <= last_us])
            }
            flags = (watch.detached, watch.battery_low, watch.newest_us)
            due_us = watch.due_us(self.anchors, self.settings)
            found[tag] = (watch.last_us, watch.away_us, watch.runs, heard, flags, due_us)
        return found


class Play:
    """Batches as they come, with what the anchor watch makes of them, to both: all readings, and those needed."""

    def __init__(self, of_tags: TagWatchSettings) -> None:
        self.all, self.needed, self.settings = Side(of_tags), Side(of_tags), of_tags
        self._anchor_watch = AnchorWatch() if of_tags.told_after_us else None

    def lose_anchors(self) -> None:
        """As where the anchor watch fails, and begins anew."""
        if self._anchor_watch is not None:
            self._anchor_watch = AnchorWatch()

    def advance(self, watermark_us: int) -> None:
        """Nothing from before is still to come."""
        if self._anchor_watch is not None:
            for event in self._anchor_watch.advance(watermark_us, ABC, OF_ANCHORS):
                change = anchor_change(event)
                if change is not None:
                    self.all.anchors.take(change)
                    self.needed.anchors.take(change)
        assert self.needed.fire(watermark_us) == self.all.fire(watermark_us)

    def take(self, batch: Sequence[Reading]) -> None:
        if self._anchor_watch is not None:
            for one in batch:
                self._anchor_watch.add(Sighting(one.anchor, one.kafka_time_us, one.measured_at_us), ABC, OF_ANCHORS)
        assert self.needed.take_at_once(thinned(batch, self.settings)) == self.all.take(batch)
        assert self.needed.standing() == self.all.standing()


gaps_ms = (
    st.sampled_from([0, 10, 59_990, 60_000, 60_010, 70_000])
    | st.integers(0, 300)
    | st.integers(0, 3000)
    | st.integers(0, 100_000)
)
calm = st.tuples(
    st.sampled_from(TAGS),
    st.sampled_from("ABC"),
    st.integers(0, 30).map(lambda tens: 10 * tens),
    st.integers(-1500, -100),
    st.just(False),  # noqa: FBT003
    st.just(False),  # noqa: FBT003
    st.just(0),
)
flags = st.sampled_from([False, False, False, True])
wild = st.tuples(
    st.sampled_from(TAGS),
    st.sampled_from("ABC"),
    gaps_ms.map(lambda ms: ms // 10 * 10),  # after the one before, ms; the anchor watch keeps milliseconds apart
    st.integers(-1500, 1500) | st.sampled_from([-3_600_000, -60_000, -2000, 0, 8000]),  # its clock against Kafka's
    flags,
    flags,
    st.sampled_from([0, 0, 0, 0, 500, 30_000, 70_000]),  # how much later than others it comes, ms
)
phases = st.lists(st.lists(calm, min_size=5, max_size=40) | st.lists(wild, max_size=30), min_size=1, max_size=4)
Phases = list[list[tuple[str, str, int, int, bool, bool, int]]]


def as_they_come(found: Phases, behind_us: dict[str, int]) -> list[Reading]:
    coming: list[tuple[int, Reading]] = []
    at_ms = 0
    for tag, anchor, gap_ms, skew_ms, detached, low, late_ms in (one for phase in found for one in phase):
        at_ms += gap_ms
        one = reading(anchor, (at_ms + skew_ms) / 1000, kafka_s=at_ms / 1000, tag=tag)
        one = one._replace(detached=detached, battery_low=low)
        coming.append((at_ms * 1000 + late_ms * 1000 + behind_us[anchor], one))
    return [one for _, one in sorted(coming, key=lambda pair: pair[0])]


@given(
    phases,
    st.fixed_dictionaries({anchor: st.sampled_from([0, 0, 3_000_000, 90_000_000]) for anchor in "ABC"}),
    st.lists(st.integers(1, 50), min_size=1),
    st.lists(st.sampled_from(["advance", "advance", "wait", "lose"]), min_size=1),
    st.sampled_from([ALONE, WITH_ANCHORS]),
)
@settings(max_examples=300, deadline=None)
def test_what_batches_leave_out_changes_nothing(
    found: Phases, behind_us: dict[str, int], sizes: list[int], steps: list[str], of_tags: TagWatchSettings
) -> None:
    """Anchors are of partitions that may be behind; timers fire when the watermark is there, or with a later one."""
    rest = as_they_come(found, behind_us)
    play = Play(of_tags)
    number = 0
    while rest:
        step = steps[number % len(steps)]
        if step == "lose":
            play.lose_anchors()
        if step != "wait":
            play.advance(min(one.kafka_time_us for one in rest))
        size = sizes[number % len(sizes)]
        play.take(rest[:size])
        rest = rest[size:]
        number += 1
    play.advance(us(100_000.0))
    assert play.needed.standing() == play.all.standing()


def is_as_new(one: Reading, other: Reading) -> bool:
    """Whether it is as new by its stamp, and as near as can be told."""
    times = [Taken.of(each.measured_at_us, each.kafka_time_us, ALONE.flag_tolerance_us) for each in (one, other)]
    return times[0].stamped_us >= times[1].stamped_us and times[0].at_us >= times[1].at_us


@given(phases, st.sampled_from([ALONE, WITH_ANCHORS]), st.sampled_from([3, 5]))
@settings(max_examples=200, deadline=None)
def test_what_is_needed_of_many_groups_is_left_of_them_all(
    found: Phases, of_tags: TagWatchSettings, group_of_u: int
) -> None:
    batch = sorted(as_they_come(found, dict.fromkeys("ABC", 0)), key=lambda one: one.tag)
    groups = {"T": 3, "U": group_of_u}
    left = set(needed(columns(batch, groups), of_tags).tolist())
    first_of_anchor: dict[tuple[int, str], int] = {}
    for tag in TAGS:
        of_tag = [number for number, one in enumerate(batch) if one.tag == tag]
        since = 0
        for place, number in enumerate(of_tag):
            one = batch[number]
            before = batch[of_tag[place - 1]] if place else one
            if (one.detached, one.battery_low) != (before.detached, before.battery_low):
                since = place
            assert number in left or any(is_as_new(batch[other], one) for other in of_tag[since:place])
            first_of_anchor.setdefault((groups[tag], one.anchor), one.kafka_time_us)
            first_of_anchor[groups[tag], one.anchor] = min(first_of_anchor[groups[tag], one.anchor], one.kafka_time_us)
        of_left = [number for number in of_tag if number in left]
        assert heard_from_to(batch[number] for number in of_tag) == heard_from_to(batch[number] for number in of_left)
    if of_tags.told_after_us:
        assert {(groups[batch[number].tag], batch[number].anchor, batch[number].kafka_time_us) for number in left} >= {
            (*key, at_us) for key, at_us in first_of_anchor.items()
        }


def heard_from_to(readings: Iterable[Reading]) -> tuple[int | None, dict[str, int]]:
    """Return when a tag was first heard, and when each anchor heard it last."""
    given_readings = sorted(readings, key=lambda one: one.kafka_time_us)
    first_us = given_readings[0].kafka_time_us if given_readings else None
    return first_us, {one.anchor: one.kafka_time_us for one in given_readings}


def test_of_times_that_lie_ages_apart_all_is_left() -> None:
    batch = [reading("A"), reading("A")._replace(kafka_time_us=-(2**61), measured_at_us=2**61), reading("A")]
    assert len(thinned(batch, WITH_ANCHORS)) == len(batch)


def numbers(batch: Sequence[Reading], of_tags: TagWatchSettings = WITH_ANCHORS) -> list[int]:
    return [one.offset for one in thinned(batch, of_tags)]


def blinks(count: int, every_ms: int, *, stamp_ms: int = 1000) -> list[Reading]:
    """A tag heard by three anchors, 5 ms apart, the stamps no finer than told."""
    found: list[Reading] = []
    for blink in range(count):
        for place, anchor in enumerate("ABC"):
            at_ms = blink * every_ms + 5 * place
            one = reading(anchor, at_ms // stamp_ms * stamp_ms / 1000, kafka_s=(at_ms + 20) / 1000, offset=len(found))
            found.append(one)
    return found


def test_of_a_tag_that_blinks_the_first_reading_of_each_second_is_left_and_the_last_of_each_anchor() -> None:
    assert numbers(blinks(5, 200)) == [0, 1, 2, 12, 13, 14]
    assert numbers(blinks(5, 200), ALONE) == [0, 12, 13, 14]
    assert numbers(blinks(13, 200), ALONE) == [0, 15, 30, 36, 37, 38]
    assert numbers(blinks(3, 1000), ALONE) == [0, 3, 6, 7, 8]


def test_flags_that_stay_what_they_are_cost_no_more() -> None:
    torn_off = [one._replace(detached=True, battery_low=True) for one in blinks(5, 200)]
    assert numbers(torn_off, ALONE) == numbers(blinks(5, 200), ALONE)


def test_a_reading_whose_flags_are_new_is_left() -> None:
    batch = blinks(5, 200)
    batch[4] = batch[4]._replace(detached=True)
    assert numbers(batch, ALONE) == [0, 4, 5, 12, 13, 14]


def test_of_nothing_nothing_is_left() -> None:
    assert thinned([], WITH_ANCHORS) == []


def test_an_alarm_whose_stamp_is_old_is_left_beside_one_that_came_too_soon() -> None:
    play = Play(ALONE)
    torn_off = reading("A", 0.0)._replace(detached=True)
    play.take([torn_off, reading("A", 3.0)])
    late = reading("B", 1.0, kafka_s=9.0)._replace(detached=True)
    play.take([reading("A", 4.0)._replace(detached=True), late, reading("B", 1.5, kafka_s=9.5)._replace(detached=True)])
    assert play.needed.watches["T"].detached.changed_at_us == late.kafka_time_us


def test_the_first_reading_after_a_silence_is_left_for_it_ends_the_silence() -> None:
    play = Play(WITH_ANCHORS)
    for side in (play.all, play.needed):
        side.anchors.take(AnchorChange("A", heard=False, at_us=us(20.0)))
    after = [reading("B", 40.0, kafka_s=40.1), reading("A", 40.0, kafka_s=40.2), reading("A", 40.0, kafka_s=40.3)]
    play.take([reading("A", 10.0), *after])
    assert play.needed.anchors.silences["A"] == [Run(us(20.0), us(40.2))]


def test_readings_that_go_on_after_a_silence_that_is_too_long_do_not_hide_it() -> None:
    play = Play(ALONE)
    play.take([reading("A", 0.0)])
    play.advance(us(0.0))
    play.take([reading("A", 60.0), reading("A", 60.1), reading("A", 120.2)])
    assert play.needed.watches["T"].runs == [Run(us(120.2), us(120.2))]


def test_a_reading_that_comes_late_does_not_take_back_when_its_anchor_heard_the_tag() -> None:
    play = Play(ALONE)
    play.take([reading("A", 10.0)])
    play.advance(us(5.0))
    play.take([reading("A", 8.0)])
    play.advance(us(10.0))
    play.take([reading("A", 9.0)])
    assert play.needed.watches["T"].heard_by == {"A": [us(10.0)]}
