"""Whether positions go on: gaps that nothing explains, waits, errors; and whether a run holds at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.wire.encode import iso_utc
from runners.scenario.hall import NEW_ANCHOR, TAG_NAMES, name_of, tag_id
from runners.scenario.positions import Course, Span, Truth, course, position, truths
from runners.scenario.report import courses_table, events_table, ledger_text, summary, wrong_text
from runners.scenario.result import Result, map_faults, odd_rejections, unexplained_repeats
from runners.scenario.script import Expected
from runners.scenario.verdict import Crash, Due, Line, Told, Verdict
from runners.trial.ledger import Entry, Kind, Name, Outcome, fix, rejection
from runners.trial.tap import EVENTS, Record

START_MS = 1_700_000_000_000
TAG = tag_id(4)


def placed(second: float, *, late_s: float = 0.2, x_m: float = 1.0, **more: Any) -> Outcome:
    at_ms = START_MS + round(1000 * second)
    value = {
        "tagid": TAG,
        "x": x_m,
        "y": 2.0,
        "timestamp_generated": iso_utc(at_ms * 1000),
        "anchors": ["A"],
        "fix_id": f"{second}",
        "records": [[0, round(second)]],
        **more,
    }
    return fix(json.dumps(value).encode(), at_ms + round(1000 * late_s))


def span(from_s: float, to_s: float) -> Span:
    return Span(START_MS + round(from_s * 1000), START_MS + round(to_s * 1000))


def course_of(
    outcomes: Sequence[Outcome], *, end_s: float = 20.0, unheard: Sequence[Span] = (), restarts: Sequence[Span] = ()
) -> Course:
    truth: dict[Name, Truth] = {(0, second, TAG): Truth(second, 1.0, 2.0) for second in range(100)}
    during = span(0, end_s)
    return course(TAG, [*map(position, outcomes)], truth, during=during, unheard=unheard, restarts=restarts)


EVERY_SECOND = [placed(second) for second in range(20)]


def test_steady_positions_have_no_gap() -> None:
    found = course_of(EVERY_SECOND)
    assert (found.positions, found.gap_s, found.wait_s) == (20, 1.0, 1.0)
    assert (found.median_m, found.p95_m, found.wrong) == (0.0, 0.0, [])


def test_positions_that_stop_are_a_gap_and_a_wait_up_to_the_end() -> None:
    found = course_of(EVERY_SECOND[:10])
    assert (found.gap_s, found.wait_s) == (11.0, 10.8)
    assert len(found.wrong) == 2
    assert course_of([]).gap_s == 20.0


def test_a_gap_while_the_tag_was_not_heard_is_explained() -> None:
    found = course_of([*EVERY_SECOND[:5], *EVERY_SECOND[15:]], unheard=[span(4.5, 14.5), span(6, 8)])
    assert (found.gap_s, found.wait_s, found.wrong) == (1.0, 1.0, [])


def test_positions_that_come_late_for_a_restart_are_no_gap_and_an_explained_wait() -> None:
    late = [placed(second, late_s=15 - second) for second in range(5, 15)]
    found = course_of([*EVERY_SECOND[:5], *late, *EVERY_SECOND[15:]], restarts=[span(4.5, 15)])
    assert (found.gap_s, found.wait_s, found.wait_in_restart_s) == (1.0, 1.0, 10.5)
    assert found.wrong == []
    assert course_of([*EVERY_SECOND[:5], *late, *EVERY_SECOND[15:]]).wait_s == 10.8


def test_positions_that_a_restart_loses_are_a_gap() -> None:
    found = course_of([*EVERY_SECOND[:5], *EVERY_SECOND[15:]], restarts=[span(4.5, 14.9)])
    assert found.gap_s == 11.0


def test_errors_are_held_against_the_truth_of_the_newest_reading() -> None:
    off = [placed(second, x_m=1.5) for second in range(20)]
    found = course_of(off)
    assert (found.median_m, found.p95_m) == (0.5, 0.5)
    assert len(found.wrong) == 1


def test_a_repeat_counts_once() -> None:
    assert course_of([*EVERY_SECOND, *EVERY_SECOND]).positions == 20


def test_truth_is_found_by_the_lasting_id() -> None:
    value = {"tagid": "0003FF0000040001", "partition": 0, "offset": 7, "t": 1.0, "x": 2.0, "y": 3.0}
    assert truths([Record(json.dumps(value).encode(), 0)]) == {(0, 7, "0003FF0000040000"): Truth(1.0, 2.0, 3.0)}


def refused(reason: str, anchor: str, at_s: float, topic: str = "packet_data") -> Outcome:
    value: dict[str, Any] = {"reason": reason, "stage": "decode", "tagid": TAG, "anchorid": anchor, "topic": topic}
    value |= {"partition": 0, "offset": 1}
    return rejection(json.dumps(value).encode(), START_MS + round(at_s * 1000))


def test_rejections_are_odd_unless_by_chance_or_of_the_new_anchor_before_it_is_mapped() -> None:
    fine = [refused("too_few_anchors", "A", 1.0), refused("unknown_anchor", NEW_ANCHOR, 19.0, "packet_alive")]
    assert odd_rejections(fine, START_MS + 10_000) == []
    assert len(odd_rejections([refused("unknown_anchor", NEW_ANCHOR, 20.1)], START_MS + 10_000)) == 1
    assert odd_rejections([refused("unknown_anchor", NEW_ANCHOR, 20.1)], None) == []
    assert len(odd_rejections([refused("unknown_anchor", "A", 1.0)], None)) == 1
    assert len(odd_rejections([refused("late", "A", 1.0)], None)) == 1


def test_repeats_are_explained_by_a_crash_alone() -> None:
    first, again = placed(1.0), placed(1.0, late_s=9.0)
    assert unexplained_repeats([first, again], [Crash(START_MS + 2000, START_MS + 8000)]) == []
    assert len(unexplained_repeats([first, again], [])) == 1
    assert len(unexplained_repeats([first, first], [])) == 1
    assert len(unexplained_repeats([first, again], [Crash(START_MS + 11_000, START_MS + 15_000)])) == 1


def test_a_map_that_is_not_taken_up_in_time_or_whose_anchor_is_not_used_is_found() -> None:
    def faults(changed_s: float, anchors: list[str]) -> list[str]:
        versions = [(second, "old" if second < changed_s else "new") for second in range(40)]
        positions = [position(placed(second, map_version=one, anchors=anchors)) for second, one in versions]
        return map_faults(positions, ("old", "new"), START_MS + 10_000, START_MS + 20_000)

    assert faults(15, ["A", NEW_ANCHOR]) == []
    assert len(faults(25, ["A", NEW_ANCHOR])) == 5
    assert len(faults(8, ["A", NEW_ANCHOR])) == 2
    assert len(faults(15, ["A"])) == 1


EXPECTED = Due(Expected("tag_detached", TAG, 8.0), "the tag is torn off", START_MS + 5000)
CAME = Told(EVENTS, "tag_detached", TAG, None, None, "id", b"{}", START_MS + 5300)
READINGS = [Entry(Kind.READING, START_MS, "(0, 1, 'T')")]


def result(*lines: Line, entries: Sequence[Entry] = READINGS, **more: Any) -> Result:
    return Result(START_MS, list(lines), [course_of(EVERY_SECOND)], list(entries), sent=1, **more)


def test_a_run_holds_only_where_all_is_as_expected() -> None:
    well = Line(EXPECTED, (CAME,), Verdict.OK)
    assert result(well).holds
    assert result(Line(EXPECTED, (CAME, CAME), Verdict.REPEATED)).holds
    assert not result().holds
    for verdict in set(Verdict) - {Verdict.OK, Verdict.REPEATED}:
        assert not result(well, Line(EXPECTED, (), verdict)).holds
    assert not result(well, Line(None, (CAME,), Verdict.UNEXPECTED)).holds
    assert not result(well, entries=[]).holds
    assert not result(well, entries=[*READINGS, Entry(Kind.UNACCOUNTED, START_MS, "it")]).holds
    assert not result(well, more_wrong=["odd"]).holds
    assert not result(well, trouble="no positions").holds
    gone = result(well)
    gone.courses.append(course_of([]))
    assert not gone.holds


def test_the_report_tells_all_of_it() -> None:
    found = result(
        Line(EXPECTED, (CAME,), Verdict.OK),
        Line(EXPECTED, (), Verdict.MISSING),
        Line(None, (CAME,), Verdict.UNEXPECTED),
    )
    assert events_table(found).row_count == 3
    assert courses_table(found).row_count == 1
    assert "1 readings sent, 1 in Kafka" in ledger_text(found)
    assert [one["verdict"] for one in summary(found)["events"]] == ["ok", "MISSING", "UNEXPECTED"]
    assert summary(found)["wrong"] == ["MISSING: tag_detached case", "UNEXPECTED: tag_detached case"]
    assert wrong_text(found.lines[1]) == "MISSING: expected tag_detached of case, came nothing"
    assert json.dumps(summary(found))


def test_tags_and_anchors_have_names() -> None:
    assert [name_of(tag_id(number)) for number in range(len(TAG_NAMES))] == list(TAG_NAMES)
    assert name_of(NEW_ANCHOR) == "anchor 7"
    assert name_of("else") == "else"
