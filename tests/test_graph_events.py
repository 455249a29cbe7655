"""What the whole graph tells besides positions, on Beam's own engines, each named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream as Steps
from apache_beam.utils.timestamp import Timestamp
from google.protobuf.timestamp_pb2 import Timestamp as Stamp

from pipeline.model import KafkaRecord
from pipeline.replay.engine import at_kafka_time, batch
from pipeline.settings import GraphSettings
from pipeline.wire.kafka_records import unpack_records
from pipeline.wire.message_pb2 import AnchorAlive
from pipeline.zones import Zone
from tests.beam_engines import BUNDLE_BASED, FN_API, Told, anything, nothing, run_graph, stream
from tests.readings import DEMO, record, us
from tests.test_graph import PLACE, at_place, blink
from tests.test_wire_omlox import check as check_omlox

Values = list[dict[str, Any]]
SQUARE = (((0.0, 0.0), (5.0, 0.0), (5.0, 5.0), (0.0, 5.0)),)
WITH_ZONE = replace(DEMO, zones={"dock": Zone("dock", SQUARE)})
STRICT = GraphSettings(strict=True)
OFF = GraphSettings(strict=True, anchor_watch=None, tag_watch=None, zones=None)


def heartbeat(anchor: str, at_s: float) -> KafkaRecord:
    stamp = Stamp(seconds=us(at_s) // 1_000_000, nanos=us(at_s) % 1_000_000 * 1000)
    return KafkaRecord(0, 0, us(at_s), AnchorAlive(anchor_id=anchor, timestamp=stamp).SerializeToString())


def beats(anchor: str, begin_s: int, end_s: int) -> list[KafkaRecord]:
    return [heartbeat(anchor, float(second)) for second in range(begin_s, end_s, 2)]


class Topics:
    """Two topics, as one stream whose watermark follows the records second by second."""

    _HEARTBEATS = 1000

    def __init__(self, readings: Iterable[KafkaRecord], heartbeats: Iterable[KafkaRecord], until_s: int) -> None:
        waiting = [*readings, *(one._replace(partition=self._HEARTBEATS) for one in heartbeats)]
        waiting.sort(key=lambda one: one.kafka_time_us)
        self._steps = Steps(coder=beam.coders.registry.get_coder(bytes), output_tags=None)
        for second in range(until_s + 1):
            due = [one for one in waiting if us(second) <= one.kafka_time_us < us(second + 1)]
            if due:
                self._steps.add_elements([at_kafka_time(one) for one in due])
            self._steps.advance_watermark_to(Timestamp(micros=us(second + 0.999)))
        self._steps.advance_watermark_to_infinity()
        self._all: beam.PCollection[bytes] | None = None

    def both(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        if self._all is None:
            self._all = begin.pipeline | "Steps" >> self._steps
        return self._all

    @property
    def readings(self) -> beam.PTransform:
        return _Side(self, lambda one: not _is_heartbeat(one))

    @property
    def heartbeats(self) -> beam.PTransform:
        return _Side(self, _is_heartbeat)


def _is_heartbeat(packed: bytes) -> bool:
    (record,) = unpack_records(packed)
    return record.partition == Topics._HEARTBEATS


class _Side(beam.PTransform):
    def __init__(self, topics: Topics, is_of_it: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._topics = topics
        self._is_of_it = is_of_it

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        return self._topics.both(begin) | beam.Filter(self._is_of_it).with_output_types(bytes)


def told(expected: list[tuple[str, str | None]], subject: str) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert sorted((value["kind"], value[subject]) for value in values) == sorted(expected)

    return check


def deaths(*anchors: str) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert [value["anchorid"] for value in values] == list(anchors)

    return check


def test_a_death_is_told_once_as_an_alarm_and_the_return_as_an_event() -> None:
    """On the BundleBasedDirectRunner: one anchor is heard by its heartbeats, the others by their readings too."""
    topics = Topics(
        [record("A0", float(second), tags={}) for second in range(0, 20, 2)],
        [*beats("A0", 20, 60), *beats("A1", 0, 60), *beats("A2", 0, 11), *beats("A2", 40, 60)],
        60,
    )
    both = told([("anchor_dead", "A2"), ("anchor_back", "A2")], "anchorid")
    run_graph(
        BUNDLE_BASED,
        topics.readings,
        positions=nothing,
        rejected=anything,
        settings=STRICT,
        told=Told(deaths("A2"), both),
        heartbeats=topics.heartbeats,
    )


def test_a_tag_torn_off_is_told_by_a_single_anchor() -> None:
    """On the BundleBasedDirectRunner, with the anchor watch and without."""
    torn = [record("A0", at_s, detached=at_s > 2) for at_s in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    alive = [one for anchor in DEMO.anchors for one in beats(anchor, 0, 8)]
    for settings in (STRICT, replace(STRICT, anchor_watch=None)):
        topics = Topics(torn, alive, 8)
        run_graph(
            BUNDLE_BASED,
            topics.readings,
            positions=nothing,
            rejected=anything,
            settings=settings,
            told=Told(nothing, told([("tag_detached", "T")], "tagid")),
            heartbeats=topics.heartbeats,
        )


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_a_tag_enters_a_zone(name: str) -> None:
    records = [one for second in range(5) for one in blink(float(second), first_offset=3 * second)]
    assert SQUARE[0][0] < PLACE < SQUARE[0][2]
    run_graph(
        name,
        batch(records) if name == FN_API else stream(*([few] for few in records), 10.0),
        positions=anything,
        rejected=nothing,
        settings=replace(STRICT, anchor_watch=None, tag_watch=None),
        site=WITH_ZONE,
        told=Told(nothing, told([("zone_entry", "dock")], "zone")),
    )


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_an_omlox_hub_is_told_positions_and_entries(name: str) -> None:
    records = [one for second in range(5) for one in blink(float(second), first_offset=3 * second)]
    run_graph(
        name,
        batch(records) if name == FN_API else stream(*([few] for few in records), 10.0),
        positions=at_place(5),
        rejected=nothing,
        settings=replace(STRICT, anchor_watch=None, tag_watch=None),
        site=WITH_ZONE,
        told=Told(anything, anything, of_schema("Location", 5), of_schema("FenceEvent", 1)),
    )


def of_schema(name: str, count: int) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert len(values) == count
        for value in values:
            check_omlox(value, name)

    return check


def test_heartbeats_that_cannot_be_used_are_rejected_and_name_their_topic() -> None:
    """On the BundleBasedDirectRunner."""
    bad = [
        KafkaRecord(0, 1, us(1), b"\xff"),
        KafkaRecord(0, 2, us(1), b""),
        heartbeat("X" * 65, 1.0),
        heartbeat("X", 1.0),
    ]
    topics = Topics([KafkaRecord(0, 3, us(1), b"\xff")], bad, 3)

    def check(values: Values) -> None:
        assert sorted((value["topic"], value["reason"]) for value in values) == [
            ("packet_alive", "bad_anchor_id"),
            ("packet_alive", "bad_anchor_id"),
            ("packet_alive", "undecodable"),
            ("packet_alive", "unknown_anchor"),
            ("packet_data", "undecodable"),
        ]
        assert {value["stage"] for value in values} == {"decode"}

    run_graph(
        BUNDLE_BASED,
        topics.readings,
        positions=nothing,
        rejected=check,
        settings=STRICT,
        told=Told(),
        heartbeats=topics.heartbeats,
    )


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_nothing_is_told_where_all_is_switched_off(name: str) -> None:
    run_graph(
        name,
        batch(blink(0.0)) if name == FN_API else stream(blink(0.0)),
        positions=at_place(1),
        rejected=nothing,
        settings=OFF,
        site=WITH_ZONE,
    )
