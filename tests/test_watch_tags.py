"""The stage that watches tags: its bytes, found again in savepoints and so pinned here, and on Beam's own engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import apache_beam as beam
import pytest
from apache_beam.testing import test_stream as beam_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given

from pipeline.events import Event, Sighting
from pipeline.model import Reading
from pipeline.positioning.known_anchors import ALL, AnchorChange, KnownAnchors
from pipeline.positioning.runs import Run
from pipeline.positioning.tag_watch import TagWatch
from pipeline.positioning.watched import Heard
from pipeline.transforms import tag_watch_state as state
from pipeline.transforms.tag_groups import AS_WRITTEN, TAG_GROUPS, TagStates, tag_group, timer_at
from pipeline.transforms.tag_watch_state import VERSION
from pipeline.transforms.watch_anchors import WatchAnchors
from pipeline.transforms.watch_tags import WatchTags, WatchTagsFn
from pipeline.wire.sightings import pack_sightings
from tests.beam_engines import BUNDLE_BASED, engine
from tests.readings import columns, reading, us, watched
from tests.test_anchor_watch import ABC, beats
from tests.test_anchor_watch import SETTINGS as ANCHOR_SETTINGS
from tests.test_tag_groups import ListBag, OneTimer
from tests.test_tag_watch import SETTINGS, WITH_ANCHORS, Stream, as_readings, blinks, play, streams
from tests.test_watch_anchors import BytesBag

# Whoever has to change these lines loses what sites have saved.
GOLDEN = (
    "0402880816bf3c160600898fa9c23c160600008ad0c93c160600008ad0c93c160600008ad0c93c16060000c8e4bd3c160600"
    "00c8e4bd3c1606000100000003000000008ad0c93c160600008ad0c93c16060000f515bf3c160600008ad0c93c1606008808"
    "16bf3c16060000010041010041010042"
)
GOLDEN_ANCHORS = "0a000a01410a014212030501021a03000003"
GOLDEN_INPUT = (
    "0a01540a0155120802000000010000001a01411a0142220c0000000001000000010000002a18400af4bd3c160600400af4bd3c160600"
    "400af4bd3c1606003218804c03be3c160600804c03be3c160600804c03be3c1606003a0300020342070a014110011807"
)


def sample() -> TagWatch:
    watch = TagWatch()
    low = [one._replace(battery_low=True, detached=one.anchor == "B") for one in blinks(0, 20, "AB")]
    play(low, 100, watch=watch)
    watch.take(reading("A", 200.0)._replace(battery_low=True), SETTINGS)
    return watch


def anchors() -> KnownAnchors:
    known = KnownAnchors()
    for change in (
        AnchorChange("A", heard=False, at_us=1),
        AnchorChange("B", heard=False, at_us=2),
        AnchorChange("B", heard=True, at_us=3),
    ):
        known.take(change)
    known.take(AnchorChange(ALL, heard=False, at_us=5))
    return known


def packed(readings: Sequence[Reading]) -> bytes:
    by_tag = sorted(readings, key=lambda one: one.tag)
    tags = [(tag, sum(one.tag == tag for one in readings)) for tag in sorted({one.tag for one in readings})]
    return state.pack_readings(tags, sorted({one.anchor for one in readings}), columns(by_tag))


def test_golden_bytes() -> None:
    watch = sample()
    assert watch.away_us
    assert watch.runs
    assert watch.detached.changed_us != watch.battery_low.changed_us
    assert state.to_bytes(watch).hex() == GOLDEN
    assert state.from_bytes(bytes.fromhex(GOLDEN)) == watch


def test_golden_bytes_of_what_is_known_of_anchors() -> None:
    assert state.anchors_to_bytes(anchors()).hex() == GOLDEN_ANCHORS
    assert state.anchors_from_bytes(bytes.fromhex(GOLDEN_ANCHORS)) == anchors()


def test_golden_bytes_of_what_flows_in() -> None:
    readings = [reading(anchor, 1.0, kafka_s=2.0, tag=tag) for tag, anchor in (("T", "A"), ("U", "B"), ("T", "B"))]
    readings[1] = readings[1]._replace(detached=True, battery_low=True)
    readings[2] = readings[2]._replace(battery_low=True)
    change = AnchorChange("A", heard=True, at_us=7)
    flowing = packed(readings) + state.pack_changes([change])
    assert flowing.hex() == GOLDEN_INPUT
    found, changes = state.unpack(flowing)
    assert [(tag, list(of_tag.each())) for tag, of_tag in found] == [
        ("T", list(watched([readings[0], readings[2]]).each())),
        ("U", list(watched([readings[1]]).each())),
    ]
    assert changes == [change]


@pytest.mark.parametrize("name", ["", "é\0\n", "\U0001f3f7", "A" * 64])
def test_anchors_may_have_any_name(name: str) -> None:
    watch = TagWatch(heard_by={name: [1, 2], "A": [-(2**63)], "B": [2**63 - 1]})
    assert state.from_bytes(state.to_bytes(watch)) == watch
    assert state.from_bytes(state.to_bytes(TagWatch(heard_by={name: [1]}))) == TagWatch(heard_by={name: [1]})


def test_no_bytes_are_anchors_of_which_nothing_is_known() -> None:
    assert state.anchors_from_bytes(b"") == KnownAnchors()


@given(streams)
def test_nothing_is_lost_on_the_way(stream: Stream) -> None:
    watch = TagWatch()
    for one in as_readings(stream):
        watch.take(one, SETTINGS)
        assert state.from_bytes(state.to_bytes(watch)) == watch


def test_a_tag_heard_by_eight_anchors_takes_little_room() -> None:
    watch = TagWatch()
    play(blinks(0, 300, "ABCDEFGH"), 300, watch=watch)
    assert len(state.to_bytes(watch)) < 256


class Stage:
    """The stage with state and timer as a runner keeps them, for the group of tag T."""

    def __init__(self, *, strict: bool = True) -> None:
        self.bag, self.anchors, self.timer = ListBag(), BytesBag(), OneTimer()
        self._fn = WatchTagsFn(SETTINGS, strict=strict)

    def take(self, *readings: Reading) -> list[str]:
        return self._process(packed(readings))

    def change(self, *changes: AnchorChange) -> list[str]:
        return self._process(state.pack_changes(changes))

    def _process(self, packed: bytes) -> list[str]:
        events: list[Any] = list(self._fn.process((tag_group("T"), packed), self.bag, self.anchors, self.timer))
        return [event.kind for event in events]

    def kept(self) -> TagWatch | None:
        kept = TagStates(self.bag, AS_WRITTEN).get("T")
        return None if kept is None else state.from_bytes(kept)

    def fire(self, until_us: int) -> list[str]:
        events: list[Any] = []
        while self.timer.at is not None and self.timer.at.micros <= until_us:
            at, self.timer.at = self.timer.at, None
            events += self._fn.due(at, self.bag, self.anchors, self.timer)
        return [event.kind for event in events]

    def fire_for_nothing(self, at_us: int) -> list[Event]:
        return list(self._fn.due(timer_at(at_us), self.bag, self.anchors, self.timer))


HEARD = TagWatch()
play(blinks(0, 20, "AB"), 21, watch=HEARD)


def test_a_tag_that_is_still_heard_goes_on_without_more_ado(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, other = Stage(), Stage()
    for one in (stage, other):
        one.take(*blinks(0, 20, "AB"))
        one.fire(us(21.0))
    for at_s in range(30, 60):
        other.take(reading("A", at_s))
        other.take(reading("B", at_s))
    monkeypatch.delattr(TagWatch, "take")
    for at_s in range(30, 60):
        assert stage.take(reading("A", at_s), reading("B", at_s)) == []
    assert stage.kept() == other.kept()
    assert stage.timer.at == other.timer.at


@pytest.mark.parametrize(
    "readings",
    [
        [reading("A", 22.0), reading("C", 22.0)],
        [reading("A", 22.0), reading("A", 23.0)._replace(detached=True)],
        [reading("A", 22.0)._replace(battery_low=True)],
        [reading("A", 23.0), reading("B", 22.0)],
        [reading("A", 22.0 + SETTINGS.tag_timeout_us / 1e6)],
        [reading("A", 18.0 - SETTINGS.tag_timeout_us / 1e6)],
        [reading("B", 20.005 + SETTINGS.tag_timeout_us / 1e6)],
    ],
    ids=["new anchor", "torn off", "battery", "out of order", "after long", "before long", "one anchor long ago"],
)
def test_what_tells_more_is_looked_at_closely(readings: list[Reading]) -> None:
    assert state.gone_on(state.to_bytes(HEARD), watched([reading("A", 22.0), reading("B", 22.0)]), SETTINGS) is not None
    assert state.gone_on(state.to_bytes(HEARD), watched(readings), SETTINGS) is None


@pytest.mark.parametrize(
    "watch",
    [
        TagWatch(),
        replace(HEARD, away_us=us(21.0)),
        replace(HEARD, runs=[Run(us(21.0), us(21.5))]),
        replace(HEARD, heard_by={"A": [us(18.0), us(20.0)], "B": [us(20.0)]}),
    ],
    ids=["not yet heard", "away", "not settled", "in two runs"],
)
def test_a_tag_of_which_there_is_more_to_tell_is_looked_at_closely(watch: TagWatch) -> None:
    assert state.gone_on(state.to_bytes(watch), watched([reading("A", 22.0), reading("B", 22.0)]), SETTINGS) is None


def test_a_state_of_another_version_is_none() -> None:
    other = bytes([VERSION + 1]) + state.to_bytes(HEARD)[1:]
    assert state.from_bytes(other) is None
    assert state.gone_on(other, watched([reading("A", 22.0)]), SETTINGS) is None


def test_what_becomes_of_anchors_moves_the_timer() -> None:
    stage = Stage()
    stage.take(*blinks(0, 20, "AB"))
    assert stage.fire(us(20.0)) == []
    stage.change(AnchorChange("A", heard=False, at_us=us(35.0)), AnchorChange("B", heard=False, at_us=us(35.0)))
    assert stage.fire(us(1000.0)) == []
    stage.change(AnchorChange("A", heard=True, at_us=us(1000.0)))
    assert stage.fire(us(1060.0)) == []
    assert stage.fire(us(1061.0)) == ["tag_away"]


def test_an_outage_whose_end_is_never_told_ends_with_the_next_reading() -> None:
    """As where the anchor watch failed and began anew. It is a reading of another tag of the group."""
    stage, other = Stage(), next(name for name in map(str, range(10_000)) if tag_group(name) == tag_group("T"))
    stage.take(*blinks(0, 20, "AB"))
    stage.change(AnchorChange(ALL, heard=False, at_us=us(30.0)))
    assert stage.fire(us(1000.0)) == []
    stage.take(reading("C", 1000.0, tag=other))
    assert stage.fire(us(1060.0)) == []
    assert stage.fire(us(1061.0)) == ["tag_away", "tag_away"]


def test_a_group_whose_first_tag_is_heard_late_knows_of_the_anchors() -> None:
    stage = Stage()
    stage.change(AnchorChange("A", heard=False, at_us=us(20.0)))
    stage.take(reading("A", 9.0))
    assert stage.fire(us(1000.0)) == []


def test_a_tag_silent_for_long_leaves_no_state() -> None:
    stage = Stage()
    stage.take(reading("A", 0.0))
    assert stage.fire(us(100.0)) == ["tag_away"]
    assert stage.kept() is not None
    assert stage.fire(us(0.0) + 2 * SETTINGS.tag_memory_us) == []
    assert stage.kept() is None
    assert stage.timer.at is None
    assert stage.fire_for_nothing(us(0.0)) == []


def test_an_unexpected_error_costs_the_reading_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    take = TagWatch.take

    def stumble(self: TagWatch, one: Heard, settings: Any) -> list[Event]:
        events = take(self, one, settings)
        if one.detached:
            raise ZeroDivisionError("stumbled")
        return events

    monkeypatch.setattr(TagWatch, "take", stumble)
    stage, calm = Stage(strict=False), Stage()
    bad = reading("A", 0.5)._replace(detached=True)
    assert stage.take(reading("A", 0.0), bad, reading("B", 1.0)) == []
    assert calm.take(reading("A", 0.0), reading("B", 1.0)) == []
    assert stage.kept() == calm.kept()
    with pytest.raises(ZeroDivisionError):
        calm.take(bad)


def test_an_unexpected_error_in_a_timer_costs_the_tags_state_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> NoReturn:
        raise ZeroDivisionError("stumbled")

    stage = Stage(strict=False)
    stage.take(reading("A", 0.0))
    monkeypatch.setattr(TagWatch, "advance", stumble)
    assert stage.fire(us(100.0)) == []
    assert stage.kept() is None
    assert stage.timer.at is None


def stream(readings: Iterable[Reading], sightings: Iterable[Sighting], until_s: float) -> beam_stream.TestStream:
    """Return tagged readings and sightings by time, the watermark following them second by second."""
    coder = beam.coders.registry.get_coder(tuple[int, bytes])
    waiting: list[tuple[int, str, bytes]] = [(one.kafka_time_us, "readings", packed([one])) for one in readings]
    waiting += [(one.kafka_time_us, "sightings", pack_sightings([one])) for one in sightings]
    waiting.sort()
    steps = beam_stream.TestStream(coder=coder)
    for second in range(int(until_s) + 1):
        due = [one for one in waiting if one[0] < us(second + 1.0)]
        waiting = waiting[len(due) :]
        if due:
            elements = [(tag_group("T") if what == "readings" else -1, packed) for _, what, packed in due]
            times = [Timestamp(micros=at_us) for at_us, _, _ in due]
            steps.add_elements([TimestampedValue(*pair) for pair in zip(elements, times, strict=True)])
        steps.advance_watermark_to(Timestamp(micros=us(second + 0.999)))
    return steps.advance_watermark_to_infinity()


def run(
    readings: Iterable[Reading], sightings: Iterable[Sighting], until_s: float, check: Callable[[list[Event]], None]
) -> None:
    """Run both watches on the BundleBasedDirectRunner, the one telling the other of anchors."""
    pipeline = engine(BUNDLE_BASED)
    heard = pipeline | stream(readings, sightings, until_s)
    anchor_events = (
        heard
        | "Sightings" >> beam.Filter(lambda one: one[0] < 0)
        | beam.MapTuple(lambda _, packed: (ABC.name, packed)).with_output_types(tuple[str, bytes])
        | WatchAnchors(lambda: ABC, ANCHOR_SETTINGS, strict=True)
    )
    readings_of_groups = heard | "Readings" >> beam.Filter(lambda one: one[0] >= 0)
    assert_that((readings_of_groups, anchor_events) | WatchTags(WITH_ANCHORS, strict=True), check)
    pipeline.run().wait_until_finish()


def kinds(expected: dict[str, int]) -> Callable[[list[Event]], None]:
    def check(events: list[Event]) -> None:
        assert Counter(event.kind for event in events) == expected

    return check


def all_well(until_s: float) -> list[Sighting]:
    return [one for name in "ABC" for one in beats(name, 0, until_s)]


def test_a_tag_that_leaves_is_away_and_one_that_is_torn_off_is_told() -> None:
    """On the BundleBasedDirectRunner."""
    readings = [*blinks(0, 20), *(one._replace(detached=True) for one in blinks(100, 110))]
    run(readings, all_well(120), 120.0, kinds({"tag_away": 1, "tag_back": 1, "tag_detached": 1}))


def test_a_tag_is_not_away_in_an_outage() -> None:
    """On the BundleBasedDirectRunner: readings and heartbeats stop together, and come again together."""
    sightings = [*all_well(22), *(one for name in "ABC" for one in beats(name, 120, 130))]
    run([*blinks(0, 20), *blinks(121, 130)], sightings, 132.0, kinds({}))


def test_a_tag_is_not_away_where_the_only_anchor_that_hears_it_is_dead() -> None:
    """On the BundleBasedDirectRunner."""
    sightings = [*beats("A", 0, 20), *beats("B", 0, 130), *beats("C", 0, 130)]
    run(blinks(0, 20, "A"), sightings, 130.0, kinds({}))


def test_a_tag_is_not_away_where_its_anchor_died_before_though_that_is_told_after() -> None:
    """On the BundleBasedDirectRunner: A is dead at 57 s, which is told at 62 s; the tag's time is over at 60 s."""
    sightings = [*beats("A", 0, 47), *beats("B", 0, 130), *beats("C", 0, 130)]
    run([reading("A", 0.0)], sightings, 130.0, kinds({}))


def test_every_tag_group_is_told_of_anchors() -> None:
    """On the BundleBasedDirectRunner: the group of a tag that is heard just before the death is told."""
    assert tag_group("T") in range(TAG_GROUPS)
    sightings = [*beats("A", 0, 10), *beats("B", 0, 130), *beats("C", 0, 130)]
    late = reading("A", 9.0, kafka_s=19.0)  # it was long on its way
    run([late], sightings, 130.0, kinds({}))
