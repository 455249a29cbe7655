"""The stage that watches anchors: its bytes, found again in savepoints and so pinned here, and on Beam's own engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import apache_beam as beam
import pytest
from apache_beam.testing import test_stream as beam_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given

from pipeline.events import Sighting
from pipeline.positioning.anchor_watch import AnchorWatch
from pipeline.positioning.runs import Run
from pipeline.site import Anchor, Site
from pipeline.transforms.anchor_watch_state import from_bytes, to_bytes
from pipeline.transforms.events import EncodeDeaths, EncodeSiteEvents
from pipeline.transforms.sightings import MAX_SIGHTINGS, SITE, SightingBatches
from pipeline.transforms.tag_groups import timer_at
from pipeline.transforms.watch_anchors import WatchAnchors, WatchAnchorsFn
from pipeline.wire.kafka_records import unpack_produced
from pipeline.wire.sightings import pack_sightings, unpack_sightings
from tests.beam_engines import BUNDLE_BASED, engine
from tests.readings import us
from tests.test_anchor_watch import (
    ABC,
    SETTINGS,
    Stream,
    as_sightings,
    beats,
    fire,
    play,
    seen,
    site_of,
    streams,
    told,
)
from tests.test_tag_groups import OneTimer

# Written by the first version that kept this state. Whoever has to change this line loses what sites have saved.
GOLDEN = (
    "08809093efcbc7850310809ee18bccc7850322410a014110011880c49c82ccc785032080c49c82ccc7850328c187b089ccc7"
    "85033210c0ab988dccc78503c0ab988dccc7850338014208809ee18bccc785034a010022340a014218a0e9f98cccc7850320"
    "a0e9f98cccc78503321080a5889accc78503c0a9c59accc785034208809ee18bccc785034a010022200a014310011880bdf5"
    "f3cbc785032080bdf5f3cbc7850328c18089fbcbc78503"
)
# Written by the first version that kept anchors that are off the map.
GOLDEN_OFF_MAP = (
    "08809093efcbc785031080acafa8ccc7850318c1e89ba1ccc7850322200a0142100218c0a9c59accc7850320c0a9c59accc7"
    "850328c1e89ba1ccc7850322170a014410022080a5889accc7850328c1e89ba1ccc7850322170a014510022080a5889accc7"
    "850328c1e89ba1ccc785032a220a014110011880c49c82ccc785032080c49c82ccc7850328c187b089ccc7850338012a200a"
    "014310011880bdf5f3cbc785032080bdf5f3cbc7850328c18089fbcbc78503"
)
GOLDEN_SIGHTINGS = (
    "0a01410a01420a01411218809093efcbc78503a0d2b1efcbc78503c094d0efcbc785031a1a809093efcbc785038080808080"
    "8080808001808799eecbc78503"
)


def sample() -> AnchorWatch:
    watch = AnchorWatch()
    play([*beats("A", 0, 40, 7.0), *beats("B", 0, 62), seen("B", 62.5, None), *beats("C", 0, 10)], 62.5, watch=watch)
    for one in (seen("A", 63.0), seen("B", 90.0), seen("B", 91.0)):
        watch.add(one, ABC, SETTINGS)
    return watch


def test_golden_bytes() -> None:
    watch = sample()
    assert watch.anchors["A"].clock.skewed
    assert watch.anchors["B"].runs == [Run(us(90.0), us(91.0))]
    assert to_bytes(watch).hex() == GOLDEN
    assert from_bytes(bytes.fromhex(GOLDEN)) == watch


def off_map() -> AnchorWatch:
    """The sample, after A and C, which are dead, were taken off the map."""
    watch = sample()
    assert [event.kind for event in watch.advance(us(120.0), site_of("BDE"), SETTINGS)]
    return watch


def test_golden_bytes_of_anchors_that_are_off_the_map() -> None:
    watch = off_map()
    assert watch.dead_off_map.keys() == {"A", "C"}
    assert to_bytes(watch).hex() == GOLDEN_OFF_MAP
    assert from_bytes(bytes.fromhex(GOLDEN_OFF_MAP)) == watch


def test_golden_bytes_of_sightings() -> None:
    sightings = [seen("A", 0.0), seen("B", 0.5, None), seen("A", 1.0, -3.0)]
    assert pack_sightings(sightings).hex() == GOLDEN_SIGHTINGS
    assert unpack_sightings(bytes.fromhex(GOLDEN_SIGHTINGS)) == sightings


def test_no_bytes_are_a_site_never_heard_of() -> None:
    assert from_bytes(b"") == AnchorWatch()


def test_a_stamp_beyond_all_reason_is_cut() -> None:
    for stamped_us in (10**30, -(10**30)):
        (found,) = unpack_sightings(pack_sightings([Sighting("A", us(0.0), stamped_us)]))
        assert abs(found.stamped_us or 0) == 2**62


@given(streams)
def test_nothing_is_lost_on_the_way(stream: Stream) -> None:
    watch = AnchorWatch()
    for number, one in enumerate(as_sightings(stream)):
        if number % 3:
            fire(watch, one.kafka_time_us)
        watch.add(one, ABC, SETTINGS)
        assert from_bytes(to_bytes(watch)) == watch


class BytesBag:
    """A bag as runners keep it."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def read(self) -> list[bytes]:
        return list(self.entries)

    def add(self, entry: bytes) -> None:
        self.entries.append(entry)

    def clear(self) -> None:
        self.entries.clear()


class Stage:
    """The stage with state and timer as a runner keeps them, which a savepoint outlives."""

    def __init__(
        self, site: Site = ABC, bag: BytesBag | None = None, timer: OneTimer | None = None, *, strict: bool = True
    ) -> None:
        self.bag, self.timer = bag or BytesBag(), timer or OneTimer()
        self._fn = WatchAnchorsFn(lambda: site, SETTINGS, strict=strict)
        self._fn.setup()
        self._fn.start_bundle()

    def take(self, *sightings: Sighting) -> None:
        self._fn.process((SITE, pack_sightings(sightings)), self.bag, self.timer)

    def fire(self, until_us: int) -> list[tuple[str, str, float]]:
        events: list[Any] = []
        while self.timer.at is not None and self.timer.at.micros <= until_us:
            at, self.timer.at = self.timer.at, None
            events += self._fn.due(at, self.bag, self.timer)
        return told(events)


def test_over_a_stop_and_resume_a_death_is_told_once() -> None:
    stage = Stage()
    stage.take(*beats("A", 0, 30), *beats("B", 0, 30), *beats("C", 0, 10))
    assert stage.fire(us(30.0)) == [("anchor_dead", "C", 20.0)]
    resumed = Stage(bag=stage.bag, timer=stage.timer)
    resumed.take(*beats("A", 32, 60), *beats("B", 32, 60))
    assert resumed.fire(us(60.0)) == []


def test_after_a_restart_the_backlog_is_read_before_anyone_is_dead() -> None:
    stage = Stage()
    stage.take(*(one for name in "ABC" for one in beats(name, 0, 10)))
    stage.fire(us(10.0))
    resumed = Stage(bag=stage.bag, timer=stage.timer)
    resumed.take(*beats("A", 12, 600))
    resumed.take(*beats("C", 12, 600))
    assert resumed.fire(us(12.0)) == []  # the watermark stands where the slowest partition is
    resumed.take(*beats("B", 12, 600))
    assert resumed.fire(us(600.0)) == []


def test_after_a_crash_a_death_is_told_again_under_the_same_name() -> None:
    names = []
    for _ in range(2):
        watch = AnchorWatch()
        events = play([*beats("A", 0, 30), *beats("B", 0, 30), *beats("C", 0, 10)], 30.0, watch=watch)
        names.append([event.event_id for event in events])
    assert names[0] == names[1]
    assert len(names[0]) == 1


def test_a_timer_that_fires_for_nothing_changes_nothing() -> None:
    fn, bag, timer = WatchAnchorsFn(lambda: ABC, SETTINGS, strict=True), BytesBag(), OneTimer()
    fn.setup()
    fn.start_bundle()
    assert list(fn.due(timer_at(us(0.0)), bag, timer)) == []
    assert bag.entries == []


def test_a_site_that_is_renamed_goes_on_being_watched() -> None:
    stage = Stage()
    stage.take(*(one for name in "ABC" for one in beats(name, 0, 10)))
    renamed = Stage(Site("hall 2", ABC.anchors), stage.bag, stage.timer)
    renamed.take(*(one for name in "AB" for one in beats(name, 12, 60)))
    assert renamed.fire(us(60.0)) == [("anchor_dead", "C", 20.0)]


def test_an_anchor_that_joins_the_map_is_watched_from_then_on_and_one_that_leaves_it_no_longer() -> None:
    stage = Stage()
    stage.take(*(one for name in "ABC" for one in beats(name, 0, 20)))
    assert stage.fire(us(20.0)) == []
    anchors = {**ABC.anchors, "D": Anchor("D", 9.0, 9.0)}
    del anchors["C"]
    changed = Stage(Site("hall", anchors), stage.bag, stage.timer)
    changed.take(*(one for name in "AB" for one in beats(name, 22, 60)))
    assert changed.fire(us(60.0)) == [("anchor_dead", "D", 30.0)]


def test_a_dead_anchor_that_was_off_the_map_over_a_restart_is_told_back() -> None:
    stage = Stage()
    stage.take(*beats("A", 0, 40), *beats("B", 0, 40), *beats("C", 0, 10))
    assert stage.fire(us(40.0)) == [("anchor_dead", "C", 20.0)]
    without = Stage(site_of("AB"), stage.bag, stage.timer)
    without.take(*(one for name in "AB" for one in beats(name, 42, 60)))
    assert without.fire(us(60.0)) == []
    put_back = Stage(bag=without.bag, timer=without.timer)
    put_back.take(*(one for name in "ABC" for one in beats(name, 62, 80)))
    assert put_back.fire(us(80.0)) == [("anchor_back", "C", 62.0)]


def test_hundreds_of_anchors_that_died_and_were_replaced_take_little_room() -> None:
    stage = Stage()
    for number in range(300):
        at_s = 100.0 * number
        changing = Stage(Site("hall", {**ABC.anchors, f"A1B2C3D3{number:08X}": Anchor("", 9.0, 9.0)}), stage.bag)
        changing.timer.at = stage.timer.at
        changing.take(*(one for name in "ABC" for one in beats(name, at_s, at_s + 98)))
        assert len(changing.fire(us(at_s + 98.0))) == 1
        stage = changing
    assert len(b"".join(stage.bag.read())) < 300 * 64


def test_an_unexpected_error_is_counted_and_no_bundle_fails_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> NoReturn:
        raise ZeroDivisionError("stumbled")

    stage = Stage(strict=False)
    stage.take(*beats("A", 0, 10))
    before = stage.bag.read()
    with monkeypatch.context() as patched:
        patched.setattr(AnchorWatch, "add", stumble)
        stage.take(seen("A", 12.0))
        assert stage.bag.read() == before
        with pytest.raises(ZeroDivisionError):
            Stage().take(seen("A", 12.0))
    monkeypatch.setattr(AnchorWatch, "advance", stumble)
    assert stage.fire(us(100.0)) == []
    assert stage.bag.read() == []
    assert stage.timer.at is None


def test_a_bundle_leaves_as_one_element_at_its_earliest_time() -> None:
    batches = SightingBatches(SETTINGS)
    assert not [left for one in (seen("A", 1.0), seen("B", 0.5), seen("A", 1.5)) for left in batches.add(one)]
    (left,) = batches.rest()
    assert left.timestamp == Timestamp(micros=us(0.5))
    assert left.value[0] == SITE
    assert {one.anchor for one in unpack_sightings(left.value[1])} == {"A", "B"}
    assert list(batches.rest()) == []


def test_a_huge_bundle_leaves_in_parts() -> None:
    batches = SightingBatches(SETTINGS)
    left = [one for number in range(MAX_SIGHTINGS) for one in batches.add(seen("A", number / 1000))]
    assert len(left) == 1


def at_kafka_time(sighting: Sighting) -> TimestampedValue:
    return TimestampedValue((SITE, pack_sightings([sighting])), Timestamp(micros=sighting.kafka_time_us))


def stream(sightings: Iterable[Sighting], until_s: float) -> beam_stream.TestStream:
    """Return sightings by time, the watermark following them second by second, and then to a time."""
    steps = beam_stream.TestStream(coder=beam.coders.registry.get_coder(tuple[str, bytes]))
    waiting = sorted(sightings, key=lambda one: one.kafka_time_us)
    for second in range(int(until_s) + 1):
        due = [one for one in waiting if one.kafka_time_us < us(second + 1.0)]
        waiting = waiting[len(due) :]
        if due:
            steps.add_elements([at_kafka_time(one) for one in due])
        steps.advance_watermark_to(Timestamp(micros=us(second + 0.999)))
    return steps.advance_watermark_to_infinity()


Check = Callable[[list[tuple[bytes, bytes]]], None]


def run(sightings: Iterable[Sighting], until_s: float, site_events: Check, out_alive: Check) -> None:
    pipeline = engine(BUNDLE_BASED)
    events = pipeline | stream(sightings, until_s) | "Watch" >> WatchAnchors(lambda: ABC, SETTINGS, strict=True)
    unpacked = beam.FlatMap(unpack_produced)
    assert_that(events | "SiteEvents" >> EncodeSiteEvents() | "Events" >> unpacked, site_events, label="site_events")
    assert_that(events | "Deaths" >> EncodeDeaths() | "OutAlive" >> unpacked, out_alive, label="out_alive")
    pipeline.run().wait_until_finish()


def kinds(expected: dict[str, int]) -> Check:
    def check(pairs: list[tuple[bytes, bytes]]) -> None:
        assert Counter(json.loads(value)["kind"] for _, value in pairs) == expected

    return check


def deaths(*expected: str) -> Check:
    def check(pairs: list[tuple[bytes, bytes]]) -> None:
        assert sorted(json.loads(value)["anchorid"] for _, value in pairs) == list(expected)
        assert sorted(key.decode() for key, _ in pairs) == list(expected)

    return check


def test_deaths_go_to_out_alive_and_returns_do_not() -> None:
    """On the BundleBasedDirectRunner."""
    sightings = [*beats("A", 0, 80), *beats("B", 0, 80), *beats("C", 0, 10), *beats("C", 50, 80)]
    run(sightings, 82.0, kinds({"anchor_dead": 1, "anchor_back": 1}), deaths("C"))


def test_an_outage_is_one_event_and_no_death() -> None:
    """On the BundleBasedDirectRunner."""
    sightings = [one for name in "ABC" for one in (*beats(name, 0, 20), *beats(name, 60, 70))]
    run(sightings, 72.0, kinds({"site_outage": 1, "site_back": 1}), deaths())
