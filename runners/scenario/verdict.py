"""What was told held against what had to be: every expected event once, by its ``event_id``, and nothing else.

Delivery is at least once, so an event may come again with the same id and content where the job was taken up again from
a checkpoint after a crash; nowhere else. Times are integer milliseconds since 1970, as Kafka has them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import orjson

from pipeline.events import EventKind
from runners.scenario.script import OUT_ALIVE, Expected
from runners.trial.tap import DEATHS, Record

NOT_READABLE = "not readable"


class Told(NamedTuple):
    """A record of ``site_events`` or ``out_alive``."""

    topic: str
    kind: str
    subject: str
    zone: str | None
    map_version: str | None
    event_id: str
    value: bytes
    appended_ms: int


class Due(NamedTuple):
    """An expected event, and when its step happened."""

    expected: Expected
    step: str
    since_ms: int


class Crash(NamedTuple):
    """A crash: when it was, and when the job had been taken up again."""

    struck_ms: int
    restored_ms: int


class Verdict(str, enum.Enum):
    """What came of an event."""

    OK = "ok"
    REPEATED = "ok, repeated"
    """It came again because of a crash, with the same id and content."""
    MISSING = "MISSING"
    EARLY = "EARLY"
    """It came before its step."""
    LATE = "LATE"
    DOUBLED = "DOUBLED"
    """It came again without a crash that explains it."""
    ALTERED = "ALTERED"
    """It came again with another content."""
    UNEXPECTED = "UNEXPECTED"


class Line(NamedTuple):
    """A line of the account."""

    due: Due | None
    """None where nothing of the kind was expected."""
    copies: tuple[Told, ...]
    """The records of one ``event_id``, in the order of their appearance."""
    verdict: Verdict

    @property
    def is_well(self) -> bool:
        """Whether it is as it should be."""
        return self.verdict in (Verdict.OK, Verdict.REPEATED)

    @property
    def delay_s(self) -> float | None:
        """How long after its step the event came (s)."""
        if self.due is None or not self.copies:
            return None
        return (self.copies[0].appended_ms - self.due.since_ms) / 1000


def told(topic: str, record: Record) -> Told:
    """Return what a record tells; one that cannot be read is of a kind that nobody expects."""
    try:
        value = orjson.loads(record.value)
        kind = OUT_ALIVE if topic == DEATHS else value["kind"]
        subject = value["anchorid"] if topic == DEATHS else value["tagid"] or value["anchorid"] or value["site"]
        about = (value.get("zone"), value.get("map_version"))
        return Told(topic, kind, subject, *about, value["event_id"], record.value, record.appended_ms)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Told(topic, NOT_READABLE, "", None, None, record.value.hex(), record.value, record.appended_ms)


def judge(dues: Sequence[Due], records: Iterable[Told], crashes: Sequence[Crash]) -> list[Line]:
    """Return a line for each expected event, and one for each that was not, in order of time."""
    ordered = sorted(records, key=lambda one: (one.topic, one.event_id, one.appended_ms))
    events = [tuple(copies) for _, copies in groupby(ordered, key=lambda one: (one.topic, one.event_id))]
    events.sort(key=lambda copies: copies[0].appended_ms)
    deaths = {one.event_id for one in ordered if one.kind == EventKind.ANCHOR_DEAD.value}
    lines: list[Line] = []
    for due in sorted(dues, key=lambda due: due.since_ms):
        copies = next((copies for copies in events if _is_of(copies[0], due.expected)), None)
        if copies is None:
            lines.append(Line(due, (), Verdict.MISSING))
        else:
            events.remove(copies)
            lines.append(Line(due, copies, _verdict(due, copies, deaths, crashes)))
    lines += [Line(None, copies, Verdict.UNEXPECTED) for copies in events]
    return sorted(lines, key=lambda line: line.due.since_ms if line.due else line.copies[0].appended_ms)


def has_come(due: Due, records: Iterable[Told]) -> bool:
    """Whether an event of the kind has come since its step."""
    return any(_is_of(one, due.expected) and one.appended_ms >= due.since_ms for one in records)


def is_explained(first_ms: int, again_ms: int, crashes: Iterable[Crash]) -> bool:
    """Whether a crash explains that what came first came again: it had come before the job was taken up again."""
    return any(first_ms <= crash.restored_ms and crash.struck_ms <= again_ms for crash in crashes)


def _verdict(due: Due, copies: Sequence[Told], deaths: set[str], crashes: Sequence[Crash]) -> Verdict:
    first, *again = copies
    if any(one.value != first.value for one in again):
        return Verdict.ALTERED
    if not all(is_explained(first.appended_ms, one.appended_ms, crashes) for one in again):
        return Verdict.DOUBLED
    if first.appended_ms < due.since_ms:
        return Verdict.EARLY
    if first.appended_ms > due.since_ms + 1000 * due.expected.within_s:
        return Verdict.LATE
    if first.topic == DEATHS and first.event_id not in deaths:
        return Verdict.UNEXPECTED
    return Verdict.REPEATED if again else Verdict.OK


def _is_of(one: Told, expected: Expected) -> bool:
    about = (expected.zone, expected.map_version)
    return one[:5] == (expected.topic, expected.kind, expected.subject, *about)
