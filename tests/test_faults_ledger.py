"""The account of a run under faults: that it holds where all is well, and tells of all that is not."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from pipeline.model import KafkaRecord
from pipeline.tag_identity import TagIdentity
from runners.faults.report import summary, table
from runners.faults.scenario import Result, Strike
from runners.trial.faults import BrokerStopped, Fault, Resumed, TaskManagerKilled
from runners.trial.ledger import Kind, LedgerError, Outcome, audit, fix, names_of, rejection, settle
from tests.readings import START_S, record

START_MS = START_S * 1000
RECORDS = [
    record("A0", 0.0, tags={"T": 1.5}, offset=0),
    record("A1", 0.1, tags={"T": 1.5, "U": 2.5}, offset=1),
    record("A2", 0.2, tags={"T": 1.5}, offset=2),
    KafkaRecord(0, 3, (START_MS + 300) * 1000, b"\xff"),
]


def position(fix_id: str = "f1", *, x: float = 1.0, offsets: tuple[int, ...] = (0, 1, 2), at_ms: int = 0) -> Outcome:
    value = {"tagid": "T", "x": x, "fix_id": fix_id, "records": [[0, offset] for offset in offsets]}
    return fix(json.dumps(value).encode(), at_ms)


def refused(offset: int, tag: str | None, reason: str = "too_few_anchors", *, at_ms: int = 0, **more: Any) -> Outcome:
    value: dict[str, Any] = {"reason": reason, "stage": "group", "tagid": tag, "topic": "packet_data", **more}
    value |= {"partition": 0, "offset": offset}
    return rejection(json.dumps(value).encode(), at_ms)


EXPECTED = [position(), refused(1, "U"), refused(3, None, "undecodable")]


def wrong(found: list[Outcome]) -> Counter[Kind]:
    """What the account has beside readings, fixes and rejections."""
    counts = Counter(entry.kind for entry in settle(RECORDS, EXPECTED, found))
    assert (counts.pop(Kind.READING), counts.pop(Kind.FIX), counts.pop(Kind.REJECTION)) == (5, 1, 2)
    return counts


def test_a_reading_is_named_by_record_and_tag_and_a_record_without_any_by_itself() -> None:
    names = [*((0, 0, "T"), (0, 1, "T"), (0, 1, "U"), (0, 2, "T")), (0, 3, None)]
    assert [name for one in RECORDS for name in sorted(names_of(one))] == names
    assert names_of(record("A0", tags={}, offset=7)) == [(0, 7, None)]


def test_a_run_as_the_reference_has_nothing_wrong() -> None:
    assert wrong(EXPECTED[::-1]) == {}


def test_a_missing_fix_is_told_and_its_readings_are_unaccounted_for() -> None:
    assert wrong(EXPECTED[1:]) == {Kind.MISSING: 1, Kind.UNACCOUNTED: 3}


def test_a_missing_rejection_is_told() -> None:
    assert wrong(EXPECTED[:2]) == {Kind.MISSING: 1, Kind.UNACCOUNTED: 1}


def test_a_reading_in_two_fixes_is_doubled() -> None:
    assert wrong([*EXPECTED, position("f2", offsets=(2,))]) == {Kind.UNEXPECTED: 1, Kind.DOUBLED: 1}


def test_a_reading_in_a_fix_and_a_rejection_is_doubled() -> None:
    assert wrong([*EXPECTED, refused(0, "T", "duplicate")]) == {Kind.UNEXPECTED: 1, Kind.DOUBLED: 1}


def test_a_rejection_of_a_whole_record_names_each_of_its_readings() -> None:
    assert wrong([*EXPECTED, refused(1, None, "internal_error")]) == {Kind.UNEXPECTED: 1, Kind.DOUBLED: 2}


def test_a_fix_of_another_id_is_both_missing_and_unexpected() -> None:
    assert wrong([position("f2"), *EXPECTED[1:]]) == {Kind.MISSING: 1, Kind.UNEXPECTED: 1}


def test_a_rejection_for_another_reason_is_both_missing_and_unexpected() -> None:
    assert wrong([EXPECTED[0], refused(1, "U", "stale"), EXPECTED[2]]) == {Kind.MISSING: 1, Kind.UNEXPECTED: 1}


def test_repeats_with_the_same_content_are_counted_and_nothing_is_wrong() -> None:
    assert wrong([*EXPECTED, *EXPECTED[:2]]) == {Kind.REPEATED: 2}


def test_a_repeat_with_other_content_is_altered() -> None:
    assert wrong([*EXPECTED, position(x=1.5)]) == {Kind.REPEATED: 1, Kind.ALTERED: 1}
    assert wrong([*EXPECTED, refused(1, "U", detail="other")]) == {Kind.REPEATED: 1, Kind.ALTERED: 1}


def test_a_repeat_of_other_readings_is_doubled_too() -> None:
    assert wrong([*EXPECTED, position(offsets=(0, 1))]) == {Kind.REPEATED: 1, Kind.ALTERED: 1, Kind.DOUBLED: 2}


def test_a_rejected_heartbeat_is_no_reading_of_the_same_partition_and_offset() -> None:
    assert wrong([*EXPECTED, refused(0, None, "unknown_anchor", topic="packet_alive")]) == {}


def test_a_tag_under_the_id_of_its_state_is_named_by_its_lasting_id() -> None:
    detached = record("A0", tags={"0003FF0000020001": 1.5}, offset=4)
    assert names_of(detached) == [(0, 4, "0003FF0000020001")]
    assert names_of(detached, TagIdentity.FIRST12) == [(0, 4, "0003FF0000020000")]


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"[1", b'{"reason": "late"}'])
def test_what_is_neither_fix_nor_rejection_is_unexpected(value: bytes) -> None:
    assert wrong([*EXPECTED, fix(value), rejection(value)]) == {Kind.UNEXPECTED: 2}


def test_a_position_among_the_rejections_is_unexpected() -> None:
    assert wrong([*EXPECTED, rejection(EXPECTED[0].value)]) == {Kind.UNEXPECTED: 1}


def test_a_fix_of_records_that_nobody_knows_is_unexpected() -> None:
    assert wrong([*EXPECTED, position("f2", offsets=(17,))]) == {Kind.UNEXPECTED: 1}


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (EXPECTED[1:], "unaccounted"),
        ([*EXPECTED, refused(0, "T")], "doubled"),
        ([*EXPECTED, EXPECTED[0]], "doubled"),
    ],
)
def test_an_unsound_reference_is_refused(reference: list[Outcome], problem: str) -> None:
    with pytest.raises(LedgerError, match=problem):
        settle(RECORDS, reference, EXPECTED)


def audited(found: list[Outcome]) -> Counter[Kind]:
    """What the account without a reference has beside readings, fixes and rejections."""
    counts = Counter(entry.kind for entry in audit(RECORDS, found))
    assert counts.pop(Kind.READING) == 5
    return Counter({kind: count for kind, count in counts.items() if kind not in (Kind.FIX, Kind.REJECTION)})


def test_without_a_reference_each_reading_has_to_be_named_once_and_repeats_to_be_the_same() -> None:
    assert audited(EXPECTED) == {}
    assert audited([*EXPECTED, refused(0, None, "unknown_anchor", topic="packet_alive")]) == {}
    assert audited([*EXPECTED, EXPECTED[0]]) == {Kind.REPEATED: 1}
    assert audited(EXPECTED[1:]) == {Kind.UNACCOUNTED: 3}
    assert audited([*EXPECTED, position("f2", offsets=(2,))]) == {Kind.DOUBLED: 1}
    assert audited([*EXPECTED, position(x=1.5)]) == {Kind.REPEATED: 1, Kind.ALTERED: 1}
    assert audited([*EXPECTED, position("f2", offsets=(17,))]) == {Kind.UNEXPECTED: 1}
    assert audited([*EXPECTED, fix(b"{}"), rejection(b"[]")]) == {Kind.UNEXPECTED: 2}


def struck(fault: Fault, since_ms: int, seconds: float = 1.0) -> Strike:
    """A strike, 10 ms after that from which on what comes is put down to it."""
    return Strike(fault, START_MS + since_ms, START_MS + since_ms + 10, seconds)


def result(found: list[Outcome], *strikes: Strike, sent: int = 5) -> Result:
    return Result(list(strikes), settle(RECORDS, EXPECTED, found), sent)


def test_what_is_wrong_stands_in_the_row_of_its_fault() -> None:
    strikes = [
        struck(TaskManagerKilled(), 100, 2.5),
        struck(BrokerStopped(), 250, 4.0),
        struck(TaskManagerKilled(), 900, 3.5),
    ]
    found = [EXPECTED[0], EXPECTED[1], position(at_ms=START_MS + 950), position("f2", at_ms=START_MS + 300)]
    task_manager, broker = summary(result(found, *strikes))["faults"]
    assert (task_manager["fault"], task_manager["times"], task_manager["recovered"]) == ("taskmanager", 2, 2)
    assert (task_manager["readings"], task_manager["fixes"], task_manager["repeated"]) == (4, 1, 1)
    assert (task_manager["missing"], task_manager["unexpected"]) == (0, 0)
    assert (task_manager["recovery_median_s"], task_manager["recovery_max_s"]) == (3.0, 3.5)
    assert (broker["missing"], broker["unaccounted"], broker["unexpected"]) == (1, 1, 1)
    assert table(result(found, *strikes)).row_count == 3


def test_a_run_holds_only_where_nothing_is_wrong() -> None:
    killed = struck(TaskManagerKilled(), 900)
    repeat = position(at_ms=START_MS + 950)
    assert result(EXPECTED, killed).holds
    assert result([*EXPECTED, repeat], killed).holds
    assert not result(EXPECTED[:2], killed).holds
    assert not result([*EXPECTED, position(x=2.0)], killed).holds
    assert not result(EXPECTED, killed, sent=6).holds
    assert not Result([killed], result(EXPECTED).entries, 5, trouble="no positions").holds
    assert not Result().holds


def test_nothing_comes_again_for_a_stop_with_savepoint() -> None:
    killed, resumed = struck(TaskManagerKilled(), 400), struck(Resumed("widen", 2), 900)
    repeat = position(at_ms=START_MS + 950)
    assert not result([*EXPECTED, repeat], killed, resumed).holds
    assert not result([*EXPECTED, repeat]).holds
