"""The watch over zones as a stage: its columns, its state, found again in savepoints and so pinned here, its timer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream as Steps
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Event
from pipeline.model import Position
from pipeline.positioning.zone_watch import DAY_US, Stay, ZonePlan, ZoneWatch, ZoneWatchSettings
from pipeline.site import Site
from pipeline.transforms.encode_omlox import EncodeFenceEvents, EncodeLocations, EncodeOmloxFn, locations_at
from pipeline.transforms.tag_groups import TagStates, tag_group, timer_at
from pipeline.transforms.watch_zones import WatchZones, WatchZonesFn
from pipeline.transforms.zone_state import CODEC, from_bytes, to_bytes
from pipeline.wire import state_pb2
from pipeline.wire.kafka_records import unpack_produced
from pipeline.wire.whereabouts import pack_whereabouts, unpack_whereabouts, whereabouts
from pipeline.zones import Whereabouts, Zone
from tests.beam_engines import BUNDLE_BASED, FN_API, engine
from tests.readings import DEMO, reading, us
from tests.test_tag_groups import ListBag, OneTimer

TAG = "0003FFDDEEFF0000"
SQUARE = (((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)),)
DOCK = Zone("dock", SQUARE, exit_delay_us=3_000_000)
SITE = Site("hall", DEMO.anchors, zones={"dock": DOCK}, home_zones={TAG: "dock"})
SETTINGS = ZoneWatchSettings(position_delay_us=500_000, expiry_us=DAY_US)
# Written by the first version that watched zones. Whoever has to change these lines loses what sites have saved.
GOLDEN = (
    "08e0dfe8f0cbc7850310f080f8f0cbc785031a04646f636b1a0468616c6c2209c094d0efcbc78503002a1080998df0cbc785"
    "03e0dfe8f0cbc785033209a0dbabf0cbc78503003a09c0a6c4f1cbc7850300"
)
# Written by the first version that kept the home zone.
GOLDEN_HOME = GOLDEN + "420468616c6c"
GOLDEN_NO_HOME = GOLDEN + "4200"
SAMPLE = ZoneWatch(us(3.5), us(3.75), {"dock": Stay(us(1.0), us(2.0), us(2.5), us(5.0)), "hall": Stay(0, us(3.5))})


def position(at_s: float, x_m: float, tag: str = TAG) -> Position:
    return Position(
        fix_id="f",
        tag=tag,
        at_us=us(at_s),
        x_m=x_m,
        y_m=5.0,
        z_m=None,
        cov_xx_m2=0.04,
        cov_xy_m2=0.0,
        cov_yy_m2=0.04,
        var_zz_m2=None,
        speed_m_s=None,
        course_deg=None,
        residual_m=None,
        gdop=None,
        nis=None,
        nis_dof=0,
        refused=[],
        map_version="v1",
        readings=[reading(anchor, at_s, tag=tag, kafka_s=at_s + 0.1) for anchor in ("A0", "A1")]
        + [reading("A2", at_s, tag=tag, kafka_s=at_s + 0.2)],
    )


# columns

micros = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False)
unknown = st.none() | numbers
places = st.builds(
    Whereabouts, st.text(), micros, micros, numbers, numbers, unknown, unknown, unknown, unknown, unknown
)


@given(st.lists(places, max_size=5))
def test_nothing_of_a_place_is_lost_on_the_way(given_in: list[Whereabouts]) -> None:
    assert unpack_whereabouts(pack_whereabouts(given_in)) == given_in


def test_every_part_of_a_place_has_its_column() -> None:
    assert list(Whereabouts._fields) == [field.name for field in state_pb2.WhereaboutsColumns.DESCRIPTOR.fields]


def test_a_place_is_in_kafka_with_its_last_reading() -> None:
    assert whereabouts(position(1.0, 5.0)).kafka_time_us == us(1.2)


# state


def test_golden_bytes() -> None:
    assert to_bytes(SAMPLE).hex() == GOLDEN
    assert from_bytes(bytes.fromhex(GOLDEN)) == SAMPLE
    assert SAMPLE.home is None


@pytest.mark.parametrize(("home", "golden"), [("hall", GOLDEN_HOME), ("", GOLDEN_NO_HOME)])
def test_golden_bytes_of_a_tag_and_its_home(home: str, golden: str) -> None:
    assert to_bytes(replace(SAMPLE, home=home)).hex() == golden
    assert from_bytes(bytes.fromhex(golden)) == replace(SAMPLE, home=home)


@given(
    st.builds(
        ZoneWatch,
        micros,
        micros,
        st.dictionaries(st.text(), st.builds(Stay, micros, micros, micros, micros)),
        st.none() | st.text(),
    )
)
def test_nothing_of_the_state_is_lost(watch: ZoneWatch) -> None:
    assert from_bytes(to_bytes(watch)) == watch


def test_no_bytes_are_a_tag_never_seen_and_state_is_small() -> None:
    assert from_bytes(b"") == ZoneWatch()
    assert len(to_bytes(replace(SAMPLE, home="hall"))) < 120


# state and timer as a runner keeps them, for one tag


class Stage:
    def __init__(self, site: Site = SITE, *, bounded: bool = False, strict: bool = True) -> None:
        self.bag, self.timer = ListBag(), OneTimer()
        self.fn = WatchZonesFn(lambda: site, SETTINGS, bounded=bounded, strict=strict)
        self.fn.setup()
        self.fn.start_bundle()

    def take(self, *positions: Position) -> list[str]:
        element = (tag_group(TAG), pack_whereabouts(map(whereabouts, positions)))
        return kinds(list(self.fn.process(element, self.bag, self.timer)))

    def fire(self, at_us: int) -> list[str]:
        return kinds(list(self.fn.due(timer_at(at_us), self.bag, self.timer)))

    def kept(self) -> ZoneWatch | None:
        return TagStates(self.bag, CODEC).get(TAG)


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def test_a_timer_tells_the_exit_of_a_tag_that_falls_silent() -> None:
    stage = Stage()
    assert stage.take(position(0.0, 5.0), position(1.0, -5.0)) == ["zone_entry"]
    assert stage.timer.at is not None
    due_us = stage.timer.at.micros
    assert us(1.2) + 2_000_000 + SETTINGS.position_delay_us <= due_us < us(3.8)
    assert stage.fire(due_us - 1000) == []
    assert stage.fire(due_us) == ["zone_exit", "home_zone_left"]
    assert stage.fire(due_us) == []


def test_a_position_tells_it_where_no_timer_has() -> None:
    stage = Stage()
    assert stage.take(position(0.0, 5.0), position(1.0, -5.0), position(9.0, -5.0)) == [
        "zone_entry",
        "zone_exit",
        "home_zone_left",
    ]


def test_a_timer_that_finds_nothing_does_nothing() -> None:
    stage = Stage()
    assert stage.fire(us(5.0)) == []
    assert stage.kept() is None


def test_a_tag_silent_for_long_is_forgotten() -> None:
    stage = Stage()
    stage.take(position(0.0, 5.0))
    assert stage.timer.at is not None
    forgotten_us = stage.timer.at.micros
    assert stage.fire(forgotten_us - 1000) == []
    assert stage.kept()
    assert stage.fire(forgotten_us) == []
    assert stage.kept() is None
    assert stage.timer.at is None


def test_bounded_input_sets_no_timer() -> None:
    stage = Stage(bounded=True)
    stage.take(position(0.0, 5.0), position(1.0, -5.0))
    assert stage.timer.at is None


def test_an_unexpected_error_costs_one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(watch: ZoneWatch, where: Whereabouts, plan: ZonePlan) -> list[Event]:
        if where.at_us == us(1.0):
            watch.stays.clear()
            raise ZeroDivisionError
        return take(watch, where, plan)

    take = ZoneWatch.take
    monkeypatch.setattr(ZoneWatch, "take", stumble)
    stage = Stage(strict=False)
    assert stage.take(position(0.0, 5.0), position(1.0, 5.0), position(2.0, -5.0), position(9.0, -5.0)) == [
        "zone_entry",
        "zone_exit",
        "home_zone_left",
    ]
    with pytest.raises(ZeroDivisionError):
        Stage().take(position(1.0, 5.0))


def test_an_unexpected_error_in_a_timer_costs_the_tag_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> NoReturn:
        raise ZeroDivisionError

    calm, strict = Stage(strict=False), Stage()
    for stage in (calm, strict):
        stage.take(position(0.0, 5.0), position(1.0, -5.0))
    monkeypatch.setattr(ZoneWatch, "advance_by_kafka", stumble)
    assert calm.fire(us(60.0)) == []
    assert calm.kept() is None
    assert calm.timer.at is None
    with pytest.raises(ZeroDivisionError):
        strict.fire(us(60.0))


# on Beam's engines

WALK = [position(0.0, 5.0), position(1.0, -5.0), position(9.0, -5.0), position(0.5, 5.0, "OTHER")]


def timed(positions: Sequence[Position]) -> list[Any]:
    return [TimestampedValue([one], Timestamp(micros=whereabouts(one).kafka_time_us)) for one in positions]


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_positions_give_events_on_an_engine(name: str) -> None:
    with engine(name) as pipeline:
        events = (
            pipeline
            | beam.Create(WALK)
            | "Timed"
            >> beam.Map(lambda one: TimestampedValue([one], one.at_us / 1e6)).with_output_types(list[Position])
            | WatchZones(lambda: SITE, SETTINGS, bounded=True, strict=True)
        )
        told = events | beam.Map(lambda event: (event.kind, event.tag, event.zone))
        assert_that(
            told,
            equal_to(
                [
                    ("zone_entry", TAG, "dock"),
                    ("zone_entry", "OTHER", "dock"),
                    ("zone_exit", TAG, "dock"),
                    ("home_zone_left", TAG, "dock"),
                ]
            ),
        )


def test_on_an_engine_a_timer_tells_the_exit_of_a_tag_that_falls_silent() -> None:
    steps = Steps(coder=beam.coders.registry.get_coder(convert_to_beam_type(list[Position])), output_tags=None)
    steps.advance_watermark_to(Timestamp(micros=us(0.0))).add_elements(timed([WALK[0]]))
    steps.advance_watermark_to(Timestamp(micros=us(1.0))).add_elements(timed([WALK[1]]))
    # Timers fire before the end of time, at which this engine drops what they give.
    steps.advance_watermark_to(Timestamp(micros=us(3600))).advance_watermark_to_infinity()
    with engine(BUNDLE_BASED) as pipeline:
        events = pipeline | steps | WatchZones(lambda: SITE, SETTINGS, strict=True)
        told = events | beam.Map(lambda event: (event.kind, event.at_us))
        due_us = us(3.0)
        expected = [("zone_entry", us(0.0)), ("zone_exit", due_us), ("home_zone_left", due_us)]
        assert_that(told, equal_to(expected))


def test_omlox_stages_name_the_site_and_tell_the_time_they_are_given() -> None:
    site = replace(SITE, name="hall")
    locations = EncodeOmloxFn("encode_locations", lambda: site, locations_at(lambda: us(2.0)), strict=True)
    locations.setup()
    locations.start_bundle()
    (packed,) = locations.process(WALK[0])
    ((key, value),) = unpack_produced(packed)
    assert key == TAG.encode()
    assert b'"timestamp_sent":"2024-04-16T20:40:02.000Z"' in value
    assert b'"source":"hall"' in value


def test_a_position_that_cannot_be_told_to_omlox_is_counted_or_stops() -> None:
    broken = WALK[0]._replace(x_m=object())  # type: ignore[arg-type]
    calm, strict = (
        EncodeOmloxFn("encode_locations", lambda: SITE, locations_at(lambda: 0), strict=strict)
        for strict in (False, True)
    )
    for fn in (calm, strict):
        fn.setup()
        fn.start_bundle()
    assert list(calm.process(broken)) == []
    with pytest.raises(TypeError):
        list(strict.process(broken))


def test_entries_and_exits_go_to_omlox_and_alarms_do_not() -> None:
    with engine(FN_API) as pipeline:
        positions = pipeline | beam.Create([WALK])
        events = positions | "Watch" >> WatchZones(lambda: SITE, SETTINGS, bounded=True, strict=True)
        fence_events = events | "Events" >> EncodeFenceEvents(lambda: SITE, strict=True)
        locations = positions | "Locations" >> EncodeLocations(lambda: SITE, strict=True)
        assert_that(
            fence_events | beam.FlatMap(unpack_produced) | "Keys" >> beam.Keys(),
            equal_to([TAG.encode()] * 2 + [b"OTHER"]),
            label="events",
        )
        assert_that(locations | "Counted" >> beam.combiners.Count.Globally(), equal_to([len(WALK)]), label="locations")
