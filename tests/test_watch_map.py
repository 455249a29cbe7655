"""What many workers say of one map's file: each change is told once, whoever saw it first, and again under one name."""

from __future__ import annotations

import random

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from pipeline.events import Event
from pipeline.map_changes import MapChanges, MapReport
from pipeline.transforms.map_reports import MapReporter
from pipeline.transforms.sightings import SITE
from pipeline.transforms.watch_map import WatchMap, from_bytes, to_bytes
from pipeline.wire.map_reports import pack_report, unpack_report
from tests.beam_engines import BUNDLE_BASED, FN_API, engine
from tests.readings import DEMO

SAMPLE = MapChanges("0123456789ab", is_refused=True, seen_at_us=7, count=2, begun_us=5)
GOLDEN = "0a0c3031323334353637383961621001180720022805"


def report(version: str, at_us: int, fault: str | None = None) -> MapReport:
    return MapReport("hall", version, at_us, fault)


def told(*reports: MapReport, changes: MapChanges | None = None) -> list[tuple[str, str | None]]:
    changes = MapChanges() if changes is None else changes
    return [(event.kind, event.map_version) for one in reports for event in changes.take(one)]


def test_the_first_map_is_no_change() -> None:
    assert told(report("v1", 1), report("v1", 2)) == []


def test_a_job_started_on_a_broken_map_says_so() -> None:
    assert told(report("v1", 1, "broken")) == [("map_refused", "v1")]


def test_each_change_is_told_once_though_every_worker_reports_it() -> None:
    workers = [report("v1", 1), report("v1", 2), report("v2", 10), report("v2", 12), report("v2", 11)]
    assert told(*workers) == [("map_changed", "v2")]


def test_a_worker_that_has_not_seen_the_change_yet_changes_nothing_back() -> None:
    assert told(report("v1", 1), report("v2", 10), report("v1", 2), report("v2", 11)) == [("map_changed", "v2")]


def test_broken_mended_and_as_before_are_three_changes() -> None:
    reports = [report("v1", 1), report("v2", 10, "broken"), report("v3", 20), report("v1", 30)]
    assert told(*reports) == [("map_refused", "v2"), ("map_changed", "v3"), ("map_changed", "v1")]


def test_the_event_says_what_is_wrong_and_of_which_site() -> None:
    changes = MapChanges()
    changes.take(report("v1", 1))
    (event,) = changes.take(report("v2", 10, "map.yaml:6: x is far"))
    assert event == Event(
        "map_refused", event.event_id, 10, site="hall", map_version="v2", detail="map.yaml:6: x is far"
    )


def test_told_again_after_a_crash_it_has_the_same_name_and_another_time_round_another() -> None:
    changes = MapChanges()
    names = []
    for at_us, version in enumerate(["v1", "v2", "v1", "v2"], start=1):
        state = to_bytes(changes)
        events, again = changes.take(report(version, at_us)), from_bytes(state).take(report(version, at_us + 1))
        assert [event.event_id for event in events] == [event.event_id for event in again]
        names += [event.event_id for event in events]
    assert len(set(names)) == len(names) == 3
    begun_anew = MapChanges()
    begun_anew.take(report("v1", 7))
    assert {event.event_id for event in begun_anew.take(report("v2", 8))}.isdisjoint(names)


@pytest.mark.parametrize("fault", [None, "", "map.yaml:6: x is far"])
def test_a_report_comes_back_as_it_was(fault: str | None) -> None:
    assert unpack_report(pack_report(report("v1", 7, fault))) == report("v1", 7, fault)


def test_golden_bytes() -> None:
    assert to_bytes(SAMPLE).hex() == GOLDEN
    assert from_bytes(bytes.fromhex(GOLDEN)) == SAMPLE
    assert from_bytes(b"") == MapChanges()


def test_a_worker_says_a_thing_once_and_says_the_next() -> None:
    said = [report("v1", 1)]
    reporter = MapReporter(lambda: said[-1])
    for expected in ([(SITE, pack_report(said[0]))], []):
        reporter.start_bundle(DEMO)
        assert [one.value for _ in range(2) for one in reporter.due()] == expected
    said.append(report("v2", 2))
    reporter.start_bundle(DEMO)
    assert [one.value for one in reporter.due()] == [(SITE, pack_report(said[1]))]


def test_a_map_that_is_not_followed_is_not_spoken_of() -> None:
    reporter = MapReporter(None)
    reporter.start_bundle(DEMO)
    assert list(reporter.due()) == []


def test_on_fn_api_runner_all_workers_reports_give_one_event_a_change() -> None:
    reports = [report("v1", 1), *(report("v2", at_us) for at_us in (5, 6, 7))]
    random.Random(3).shuffle(reports[1:])
    for name in (FN_API, BUNDLE_BASED):
        with engine(name) as pipeline:
            events = (
                pipeline
                | beam.Create([(SITE, pack_report(one)) for one in reports]).with_output_types(tuple[str, bytes])
                | WatchMap()
            )
            assert_that(events, one_change)


def one_change(events: list[Event]) -> None:
    assert [event.map_version for event in events] in ([], ["v2"], ["v2", "v1"])
