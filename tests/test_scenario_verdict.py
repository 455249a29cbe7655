"""What was told held against what had to be told: anything missing, doubled, altered or unexpected is found."""

from __future__ import annotations

import json
from typing import Any

from pipeline.events import Event, EventKind, event_id
from pipeline.wire.events import encode_alive, encode_event
from runners.scenario.script import OUT_ALIVE, Expected
from runners.scenario.verdict import Crash, Due, Told, Verdict, has_come, judge, told
from runners.trial.tap import DEATHS, EVENTS, Record

START_MS = 1_700_000_000_000
ANCHOR, TAG = "A1B2C3D3E4F50002", "0003FF0000040000"


def event(kind: EventKind, at_s: float, **subject: Any) -> Event:
    at_us = round((START_MS / 1000 + at_s) * 1e6)
    return Event(kind.value, event_id(kind, str(subject), at_us), at_us, **subject)


DIED = event(EventKind.ANCHOR_DEAD, 11.0, anchor=ANCHOR)
TORN_OFF = event(EventKind.TAG_DETACHED, 20.0, tag=TAG)
DUES = [
    Due(Expected("anchor_dead", ANCHOR, 15.0), "the anchor dies", START_MS),
    Due(Expected(OUT_ALIVE, ANCHOR, 15.0, topic=DEATHS), "the anchor dies", START_MS),
    Due(Expected("tag_detached", TAG, 5.0), "the tag is torn off", START_MS + 20_000),
]


def on_events(one: Event, at_s: float, **altered: Any) -> Told:
    value = json.loads(encode_event(one)[1]) | altered
    return told(EVENTS, Record(json.dumps(value).encode(), START_MS + round(at_s * 1000)))


def on_alive(one: Event, at_s: float) -> Told:
    return told(DEATHS, Record(encode_alive(one)[1], START_MS + round(at_s * 1000)))


ALL = [on_events(DIED, 12.0), on_alive(DIED, 12.1), on_events(TORN_OFF, 20.3)]


def verdicts(records: list[Told], *crashes: Crash) -> list[Verdict]:
    return [line.verdict for line in judge(DUES, records, crashes)]


def crash(from_s: float, to_s: float) -> Crash:
    return Crash(START_MS + round(from_s * 1000), START_MS + round(to_s * 1000))


OK = Verdict.OK


def test_all_that_was_expected_once_is_well() -> None:
    lines = judge(DUES, ALL[::-1], [])
    assert [line.verdict for line in lines] == [OK, OK, OK]
    assert all(line.is_well for line in lines)
    assert [line.delay_s for line in lines] == [12.0, 12.1, 0.3]


def test_a_missing_event_is_found() -> None:
    lines = judge(DUES, ALL[1:], [])
    assert Verdict.MISSING in [line.verdict for line in lines]
    assert not all(line.is_well for line in lines)
    assert verdicts(ALL[:2]) == [OK, OK, Verdict.MISSING]


def test_a_missing_alarm_on_out_alive_is_found() -> None:
    assert verdicts([ALL[0], ALL[2]]) == [OK, Verdict.MISSING, OK]


def test_an_event_that_comes_again_without_a_crash_is_doubled() -> None:
    again = on_events(TORN_OFF, 21.0)
    assert verdicts([*ALL, again]) == [OK, OK, Verdict.DOUBLED]
    assert verdicts([*ALL, again], crash(22.0, 30.0)) == [OK, OK, Verdict.DOUBLED]
    assert verdicts([*ALL, again], crash(5.0, 15.0)) == [OK, OK, Verdict.DOUBLED]


def test_an_event_that_a_crash_repeats_is_one_event() -> None:
    lines = judge(DUES, [*ALL, on_events(TORN_OFF, 31.0)], [crash(21.0, 30.0)])
    assert [line.verdict for line in lines] == [OK, OK, Verdict.REPEATED]
    assert all(line.is_well for line in lines)
    assert len(lines[-1].copies) == 2


def test_a_repeat_with_another_content_is_altered_even_in_a_crash() -> None:
    again = on_events(TORN_OFF, 31.0, detail="other")
    assert verdicts([*ALL, again], crash(21.0, 30.0)) == [OK, OK, Verdict.ALTERED]


def test_a_second_event_of_the_kind_with_another_id_is_unexpected() -> None:
    other = on_events(event(EventKind.TAG_DETACHED, 21.0, tag=TAG), 21.5)
    assert verdicts([*ALL, other]) == [OK, OK, OK, Verdict.UNEXPECTED]


def test_an_event_that_is_not_in_the_script_is_unexpected() -> None:
    for other in (
        event(EventKind.BATTERY_LOW, 9.0, tag=TAG),
        event(EventKind.ANCHOR_DEAD, 9.0, anchor="A1B2C3D3E4F50003"),
        event(EventKind.SITE_OUTAGE, 9.0, site="hall"),
        event(EventKind.ZONE_ENTRY, 9.0, tag=TAG, zone="dock"),
    ):
        lines = judge(DUES, [*ALL, on_events(other, 30.0)], [])
        assert [line.verdict for line in lines] == [OK, OK, OK, Verdict.UNEXPECTED]
        assert not lines[-1].is_well


def test_the_same_kind_of_another_tag_does_not_stand_for_the_one_expected() -> None:
    other = on_events(event(EventKind.TAG_DETACHED, 20.0, tag="0003FF0000050000"), 20.3)
    assert verdicts([*ALL[:2], other]) == [OK, OK, Verdict.MISSING, Verdict.UNEXPECTED]


def test_a_detached_tag_under_the_id_of_its_state_is_not_the_tag() -> None:
    other = on_events(event(EventKind.TAG_DETACHED, 20.0, tag="0003FF0000040001"), 20.3)
    assert verdicts([*ALL[:2], other]) == [OK, OK, Verdict.MISSING, Verdict.UNEXPECTED]


def test_an_event_before_its_step_is_early_and_one_after_its_time_late() -> None:
    assert verdicts([*ALL[:2], on_events(TORN_OFF, 19.9)]) == [OK, OK, Verdict.EARLY]
    assert verdicts([*ALL[:2], on_events(TORN_OFF, 25.1)]) == [OK, OK, Verdict.LATE]


def test_an_alarm_of_another_death_is_unexpected() -> None:
    other = on_alive(event(EventKind.ANCHOR_DEAD, 10.0, anchor=ANCHOR), 12.1)
    assert verdicts([ALL[0], other, ALL[2]]) == [OK, Verdict.UNEXPECTED, OK]


def test_an_event_of_another_map_is_not_the_one_expected() -> None:
    due = [Due(Expected("map_changed", "hall", 5.0, map_version="0123456789ab"), "the map is mended", START_MS)]
    for version, expected in (("0123456789ab", [OK]), ("ba9876543210", [Verdict.MISSING, Verdict.UNEXPECTED])):
        changed = event(EventKind.MAP_CHANGED, 4.0, site="hall")._replace(map_version=version)
        assert [line.verdict for line in judge(due, [on_events(changed, 4.5)], [])] == expected


def test_what_cannot_be_read_is_unexpected() -> None:
    for value in (b"", b"{}", b"[]", b"[1", b'{"kind": "anchor_dead"}', b'"anchor_dead"'):
        garbage = told(EVENTS, Record(value, START_MS))
        assert Verdict.UNEXPECTED in verdicts([*ALL, garbage])


def test_two_of_the_same_kind_are_matched_in_order_of_time() -> None:
    dues = [DUES[2], DUES[2]._replace(since_ms=START_MS + 60_000)]
    again = on_events(event(EventKind.TAG_DETACHED, 60.0, tag=TAG), 60.2)
    assert [line.delay_s for line in judge(dues, [again, ALL[2]], [])] == [0.3, 0.2]


def test_an_event_has_come_once_it_is_there_after_its_step() -> None:
    assert has_come(DUES[2], ALL)
    assert not has_come(DUES[2], ALL[:2])
    assert not has_come(DUES[2], [on_events(TORN_OFF, 19.0)])
