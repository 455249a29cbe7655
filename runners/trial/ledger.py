"""The account of a run: what became of each reading, held against what a bounded run over the same records gives.

A fix is known by its ``fix_id``, a rejection by its reason, its stage and the reading that it names. Delivery is at
least once, so either may come again; then, and compared with the reference, its bytes have to be the same.

Heartbeats are no readings: what was rejected of another topic than ``packet_data`` has no part in the account.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from google.protobuf.message import DecodeError

from pipeline.model import KafkaRecord
from pipeline.tag_identity import TagIdentity, tag_name
from pipeline.wire.message_pb2 import AnchorData

DATA = "packet_data"
Place = tuple[int, int]
"""Partition and offset of a record."""
Name = tuple[int, int, str | None]
"""A reading: partition and offset of its record, and its tag; None names a record of which no reading can be made."""

_ELSEWHERE = "rejection of another topic"


class Kind(str, enum.Enum):
    """What an entry of the account counts."""

    READING = "readings"
    FIX = "fixes"
    """The reference has it."""
    REJECTION = "rejections"
    """The reference has it."""
    MISSING = "missing"
    """A fix or rejection that the reference has and the run has not."""
    UNEXPECTED = "unexpected"
    """A fix or rejection that the run has and the reference has not."""
    ALTERED = "altered"
    """A fix or rejection of which the run has another content than the reference."""
    REPEATED = "repeated"
    """One that came again, with the same content."""
    UNACCOUNTED = "unaccounted"
    """A reading that no fix and no rejection names."""
    DOUBLED = "doubled"
    """A reading that more than one fix or rejection names."""


WRONG = (Kind.MISSING, Kind.UNEXPECTED, Kind.ALTERED, Kind.UNACCOUNTED, Kind.DOUBLED)
"""What must not be."""


class LedgerError(ValueError):
    """The reference does not account for its own records, so nothing can be held against it."""


class Outcome(NamedTuple):
    """A fix or a rejection as it stands on its topic. That of another topic's record names nothing."""

    identity: tuple[Any, ...]
    names: tuple[Name, ...]
    value: bytes
    appended_ms: int
    """When it came to Kafka; 0 for those of the reference, which never did."""


class Entry(NamedTuple):
    """A line of the account: at the append time of the newest reading concerned, or of what should not be there."""

    kind: Kind
    at_ms: int
    what: str


def fix(value: bytes, appended_ms: int = 0) -> Outcome:
    """Return a record of ``out_data``; one that is no fix names nothing, and no reference has it."""
    try:
        parsed = orjson.loads(value)
        names = tuple((partition, offset, parsed["tagid"]) for partition, offset in parsed["records"])
        return Outcome(("fix", parsed["fix_id"]), names, value, appended_ms)
    except (ValueError, KeyError, TypeError):
        return Outcome(("no fix", value), (), value, appended_ms)


def rejection(value: bytes, appended_ms: int = 0) -> Outcome:
    """Return a record of ``out_rejected``; one that is no rejection names nothing, and no reference has it."""
    try:
        parsed = orjson.loads(value)
        if parsed["topic"] != DATA:
            place = (parsed["topic"], parsed["partition"], parsed["offset"])
            return Outcome((_ELSEWHERE, parsed["reason"], *place), (), value, appended_ms)
        name: Name = (parsed["partition"], parsed["offset"], parsed["tagid"])
        return Outcome(("rejection", parsed["reason"], parsed["stage"], *name), (name,), value, appended_ms)
    except (ValueError, KeyError, TypeError):
        return Outcome(("no rejection", value), (), value, appended_ms)


def is_of_readings(outcome: Outcome) -> bool:
    """Whether an outcome has a part in the account: a rejected heartbeat has none."""
    return bool(outcome.identity[0] != _ELSEWHERE)


def names_of(record: KafkaRecord, identity: TagIdentity = TagIdentity.WHOLE) -> list[Name]:
    """Return the readings of a record of ``packet_data``, by the tags' lasting ids; of one without any, itself.

    ``identity`` tells how the site's tag ids are read.
    """
    try:
        tags: list[str] = list(AnchorData.FromString(record.value).tags)
    except DecodeError:
        tags = []
    names = [tag_name(tag, identity) for tag in tags]
    lasting = [tag if name is None else name.tag for tag, name in zip(tags, names, strict=True)]
    return [(record.partition, record.offset, tag) for tag in lasting] or [(record.partition, record.offset, None)]


def settle(records: Iterable[KafkaRecord], expected: Sequence[Outcome], found: Sequence[Outcome]) -> list[Entry]:
    """Return the account of a run.

    Args:
        records: all of ``packet_data``.
        expected: what the reference makes of them.
        found: what the run has made of them, in the order of its appearance, repeats and all.

    Raises:
        LedgerError: the reference names a reading not at all or twice.
    """
    readings = {name: record.kafka_time_us // 1000 for record in records for name in names_of(record)}
    unsound = [entry for entry in _naming(readings, expected) if entry.kind in WRONG]
    if unsound:
        raise LedgerError(f"the reference run is unsound: {unsound[0].kind.value} {unsound[0].what}")
    return _account(readings, {outcome.identity: outcome for outcome in expected}, found)


def audit(
    records: Iterable[KafkaRecord], found: Sequence[Outcome], identity: TagIdentity = TagIdentity.WHOLE
) -> list[Entry]:
    """Return the account of a run for which there is no reference: its own first copies take the reference's place.

    It tells readings that are unaccounted for or doubled, repeats that are altered, and what names no known record.
    """
    readings = {name: record.kafka_time_us // 1000 for record in records for name in names_of(record, identity)}
    places = {name[:2] for name in readings}
    known = [outcome for outcome in found if outcome.names and places.issuperset(name[:2] for name in outcome.names)]
    return _account(readings, {outcome.identity: outcome for outcome in reversed(known)}, found)


def _account(
    readings: Mapping[Name, int], expected: Mapping[tuple[Any, ...], Outcome], found: Sequence[Outcome]
) -> list[Entry]:
    found = [outcome for outcome in found if is_of_readings(outcome)]
    return [
        *(Entry(Kind.READING, at_ms, str(name)) for name, at_ms in readings.items()),
        *_comparison(readings, expected, found),
        *_naming(readings, _first_of_each(found)),
    ]


def _comparison(
    readings: Mapping[Name, int], expected: Mapping[tuple[Any, ...], Outcome], found: Sequence[Outcome]
) -> Iterator[Entry]:
    """Hold what was found against what was expected, one by one."""
    times: Mapping[Place, int] = {name[:2]: at_ms for name, at_ms in readings.items()}
    seen: set[tuple[Any, ...]] = set()
    for outcome in found:
        wanted = expected.get(outcome.identity)
        if wanted is None:
            yield Entry(Kind.UNEXPECTED, outcome.appended_ms, _text(outcome.value))
        elif wanted.value != outcome.value:
            what = f"{_text(outcome.value)}; expected {_text(wanted.value)}"
            yield Entry(Kind.ALTERED, outcome.appended_ms, what)
        if outcome.identity in seen:
            yield Entry(Kind.REPEATED, outcome.appended_ms, _text(outcome.value))
        seen.add(outcome.identity)
    for outcome in expected.values():
        at_ms = max((times.get(name[:2], 0) for name in outcome.names), default=0)
        kind = Kind.FIX if outcome.identity[0] == "fix" else Kind.REJECTION
        yield Entry(kind, at_ms, _text(outcome.value))
        if outcome.identity not in seen:
            yield Entry(Kind.MISSING, at_ms, _text(outcome.value))


def _naming(readings: Mapping[Name, int], outcomes: Iterable[Outcome]) -> Iterator[Entry]:
    """See that each reading is named once. A rejection of a whole record names each of its readings."""
    named = Counter(name for outcome in outcomes for name in outcome.names)
    for name, at_ms in readings.items():
        whole: Name = (name[0], name[1], None)
        times = named[name] + (named[whole] if name != whole else 0)
        if times == 0:
            yield Entry(Kind.UNACCOUNTED, at_ms, str(name))
        elif times > 1:
            yield Entry(Kind.DOUBLED, at_ms, f"{name}, named {times} times")


def _first_of_each(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Leave repeats out. One whose readings are others is none."""
    return iter({(outcome.identity, outcome.names): outcome for outcome in outcomes}.values())


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
