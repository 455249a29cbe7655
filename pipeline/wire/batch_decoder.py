"""Many records at once to readings: ``decode`` for those in which nothing is out of the ordinary.

Such are nearly all, and alike: what a batch of them says is taken as columns. The others are left to ``decode``, record
by record; what it gives for the former is what this gives, in the same order for each tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from pipeline.columns import Booleans, Integers, changes
from pipeline.model import KafkaRecord, Reading
from pipeline.site import Site
from pipeline.wire.decode import EARLIEST_PLAUSIBLE_US, MAX_AHEAD_US, MAX_ID_LENGTH
from pipeline.wire.kafka_records import unpack_records
from pipeline.wire.plain_records import read_alike
from pipeline.wire.readings import ROW, Rows, Runs, pack_rows
from pipeline.wire.state_pb2 import KafkaRecords, SeenRecord, SeenRecords
from pipeline.wire.tag_codes import BATTERY_LOW, DETACHED, FLAG_BITS, ODD, TagCodes

_NO_ANCHOR = -1
_DISTANCE = 4
_SECOND_US = 1_000_000
_MOST_SECONDS = 2**40
"""Stamps beyond are no times, and in microseconds may be more than 64 bits hold."""


class TaggedRows(NamedTuple):
    """Rows of readings (see ``wire/readings.py``), and of each the key of its tag."""

    keys: Integers
    rows: Rows


class Heard(NamedTuple):
    """When anchors were heard: columns of equal length. ``anchor`` is the number in :attr:`BatchDecoder.anchors`."""

    anchor: Integers
    kafka_time_us: Integers
    stamped_us: Integers


class Batch(NamedTuple):
    """What a batch of records held."""

    size: int
    """How many records there were."""
    odd: list[tuple[int, KafkaRecord]]
    """Records that are left to ``decode``, and which they were of the batch, from 0."""
    readings: TaggedRows
    """Those of all other records …"""
    record: Integers
    """… and which of the batch they were in."""
    heard: Heard
    """The anchors of all other records."""


class _Columns(NamedTuple):
    """What records say: ``anchor``, ``seconds`` and ``nanos`` by record, the others by entry, in the records' order."""

    anchor: Integers
    seconds: Integers
    nanos: Integers
    record: Integers
    code: Integers
    distance_m: npt.NDArray[np.float32]


class BatchDecoder:
    """Decodes batches by one site map, and remembers what is the same in all.

    Args:
        site: the site map.
        tag_group: returns the group of a tag.
    """

    def __init__(self, site: Site, tag_group: Callable[[str], int]) -> None:
        self.anchors: Sequence[str] = list(site.anchors)
        self._numbers = {anchor: number for number, anchor in enumerate(self.anchors)}
        self._sent = {key.encode(): number for key, number in self._numbers.items() if 0 < len(key) <= MAX_ID_LENGTH}
        self._max_distance_m = site.max_distance_m
        self._codes = TagCodes(site.tag_identity, tag_group)

    def make_room(self) -> None:
        """Forget tags if there are many. The keys of what has been decoded before say nothing any more."""
        self._codes.make_room()

    def decode(self, packed: bytes) -> Batch:
        """Return what a packed ``KafkaRecords`` held.

        Raises:
            DecodeError, ValueError: it is no such message, or its columns are not of equal length.
        """
        columns = KafkaRecords.FromString(packed)
        values = columns.value[:]
        size = len(values)
        if not size == len(columns.partition) == len(columns.offset) == len(columns.kafka_time_ms):
            raise ValueError("the columns of a batch of records are not of equal length")
        kafka_us = np.fromiter(columns.kafka_time_ms, np.int64, size) * 1000
        anchor, seconds, nanos, record, code, distance_m = self._said(packed, values)
        stamped_us, is_time = _stamps(seconds, nanos, kafka_us)
        is_plain = is_time & (anchor != _NO_ANCHOR)
        has_tags = np.zeros(size, bool)
        has_tags[record] = True
        is_plain &= has_tags
        is_plain[record[~self._is_good(code, distance_m)]] = False
        if len(record) > np.count_nonzero(has_tags):
            is_plain[_with_a_tag_twice(record, code >> FLAG_BITS)] = False

        kept = is_plain[record]
        record, code = record[kept], code[kept]
        rows = np.zeros(len(record), ROW)
        rows["anchor"] = anchor[record]
        rows["distance_m"] = distance_m[kept]
        rows["measured_at_us"] = stamped_us[record]
        rows["kafka_time_us"] = kafka_us[record]
        rows["detached"] = code & DETACHED
        rows["battery_low"] = code & BATTERY_LOW
        rows["partition"] = np.fromiter(columns.partition, np.int32, size)[record]
        rows["offset"] = np.fromiter(columns.offset, np.int64, size)[record]
        heard = Heard(anchor[is_plain], kafka_us[is_plain], stamped_us[is_plain])
        odd = _records(packed, np.flatnonzero(~is_plain))
        return Batch(size, odd, TaggedRows(code >> FLAG_BITS, rows), record, heard)

    def _said(self, packed: bytes, values: Sequence[bytes]) -> _Columns:
        sent, codes, size = self._sent, self._codes, len(values)
        anchor, seconds, nanos = np.full(size, _NO_ANCHOR), np.zeros(size, np.int64), np.zeros(size, np.int64)
        is_left = np.ones(size, bool)
        parts: list[tuple[Integers, Integers, npt.NDArray[np.float32]]] = []
        for alike in read_alike(values):
            record = alike.record
            is_left[record] = False
            anchor[record] = [sent.get(one, _NO_ANCHOR) for one in alike.anchors]
            seconds[record], nanos[record] = alike.seconds, alike.nanos
            parts.append((record, np.array([codes[one] for one in alike.starts], np.int64), alike.distance_m))
        left = is_left.nonzero()[0]
        if left.size or not parts:
            seen = _seen(packed)
            said = _said(seen if len(left) == size else [seen[one] for one in left.tolist()])
            anchor[left] = [sent.get(one, _NO_ANCHOR) for one in said.anchors]
            seconds[left], nanos[left] = said.seconds, said.nanos
            code = np.array([codes[one[:-_DISTANCE]] for one in said.entries], np.int64)
            parts.append((np.repeat(left, np.array(said.counts, np.int64)), code, _distances(said.entries)))
        if len(parts) == 1:
            return _Columns(anchor, seconds, nanos, *parts[0])
        record, code, distance_m = map(np.concatenate, zip(*parts, strict=True))
        order = record.argsort(kind="stable")
        return _Columns(anchor, seconds, nanos, record[order], code[order], distance_m[order])

    def _is_good(self, code: Integers, distance_m: npt.NDArray[np.float32]) -> Booleans:
        in_range_m = distance_m.astype(np.float64)  # as decode compares; of 32 bits the bound would be another
        good: Booleans = (code != ODD) & (in_range_m > 0) & (in_range_m <= self._max_distance_m)
        return good

    def by_tag(self, batch: Batch, others: Sequence[tuple[int, Reading]]) -> TaggedRows:
        """Return a batch's readings tag by tag, the tags of a group together; those of a tag as the records came.

        ``others`` are the readings of the odd records, each with which of the batch it was in.
        """
        (keys, rows), record = batch.readings, batch.record
        if not others:
            order = keys.argsort(kind="stable")
            return TaggedRows(keys[order], rows[order])
        keys = np.concatenate((keys, [self._codes.key(reading.tag) for _, reading in others]))
        rows = np.concatenate((rows, self._rows(reading for _, reading in others)))
        order = np.lexsort((np.concatenate((record, [number for number, _ in others])), keys))
        return TaggedRows(keys[order], rows[order])

    def runs(self, keys: Integers) -> Runs:
        """Return of runs of equal keys the tag, and how many they are."""
        firsts = begins(keys)
        lengths = np.append(firsts[1:], len(keys)) - firsts
        return list(zip(self._codes.tags(keys[firsts]), lengths.tolist(), strict=True))

    def pack(self, readings: TaggedRows) -> bytes:
        """Return readings, tag by tag, as a packed ``Readings``."""
        return pack_rows(self.runs(readings.keys), self.anchors, readings.rows.copy())

    def _rows(self, readings: Iterable[Reading]) -> Rows:
        return np.array([(self._numbers[one.anchor], *one[2:]) for one in readings], ROW)


def all_odd(packed: bytes) -> Batch:
    """Return a batch that is left to ``decode`` altogether; raise as :meth:`BatchDecoder.decode`."""
    odd = list(enumerate(unpack_records(packed)))
    none = np.zeros(0, np.int64)
    return Batch(len(odd), odd, TaggedRows(none, np.zeros(0, ROW)), none, Heard(none, none, none))


class _Said(NamedTuple):
    """What records say, by record; the entries of tags one after the other, ``counts`` of each record."""

    anchors: list[bytes]
    seconds: list[int]
    nanos: list[int]
    counts: list[int]
    entries: list[bytes]


def _said(records: Iterable[SeenRecord]) -> _Said:
    said = anchors, seconds, nanos, counts, entries = _Said([], [], [], [], [])
    for record in records:
        stamp, tags = record.timestamp, record.tags
        count = len(tags)
        anchors.append(record.anchor_id)
        seconds.append(stamp.seconds)
        nanos.append(stamp.nanos)
        counts.append(count)
        if count == 1:  # nearly all: to make a list for it would cost as much again
            entries.append(tags[0])
        else:
            entries += tags[:]
    return said


def _seen(packed: bytes) -> Sequence[SeenRecord]:
    """Return what is seen in the values: at once, or where one cannot be read, one by one."""
    try:
        return SeenRecords.FromString(packed).value
    except DecodeError:
        return [_seen_one(value) for value in KafkaRecords.FromString(packed).value]


def _seen_one(value: bytes) -> SeenRecord:
    try:
        return SeenRecord.FromString(value)
    except DecodeError:
        return SeenRecord()  # without a tag it is odd


def _stamps(seconds: Integers, nanos: Integers, kafka_us: Integers) -> tuple[Integers, Booleans]:
    """Return the anchors' times, microseconds, and which are plausible; one that is not may be any number."""
    stamped_us = seconds * _SECOND_US + nanos // 1000
    is_time = (stamped_us >= EARLIEST_PLAUSIBLE_US) & (stamped_us <= kafka_us + MAX_AHEAD_US)
    return stamped_us, is_time & (abs(seconds) < _MOST_SECONDS)


def _distances(entries: list[bytes]) -> npt.NDArray[np.float32]:
    """Return what the entries end with."""
    ends = b"".join([one[-_DISTANCE:] for one in entries])
    if len(ends) < _DISTANCE * len(entries):
        ends = b"".join([one[-_DISTANCE:].ljust(_DISTANCE, b"\0") for one in entries])
    return np.frombuffer(ends, "<f4")


def _with_a_tag_twice(record: Integers, key: Integers) -> Integers:
    order = np.lexsort((key, record))
    record, key = record[order], key[order]
    again: Integers = record[1:][(record[1:] == record[:-1]) & (key[1:] == key[:-1])]
    return again


def _records(packed: bytes, numbers: Integers) -> list[tuple[int, KafkaRecord]]:
    if not numbers.size:
        return []
    columns = KafkaRecords.FromString(packed)
    return [
        (
            one,
            KafkaRecord(
                columns.partition[one], columns.offset[one], columns.kafka_time_ms[one] * 1000, columns.value[one]
            ),
        )
        for one in numbers.tolist()
    ]


def begins(column: Integers) -> Integers:
    """Return where runs of equal numbers begin."""
    return changes(column).nonzero()[0]
