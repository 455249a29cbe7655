"""Of the values of many records those that are written alike, as nearly all are, read as columns of bytes.

A record of one tag is, in the order of the schema's fields: the anchor's id, a stamp of seconds and perhaps
nanoseconds, and the tag's entry. Where these begin and end is the same in records whose bytes between them are the
same: tags of fields, lengths, and of numbers which byte is the last. Such a layout is made out by one record, and all
others that have it are read at once. What is read so is what protobuf reads; what no layout is made out of is left to
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.columns import Integers

Table: TypeAlias = npt.NDArray[np.uint8]

_FEWEST = 32
"""Values of one length that are looked at together at the least: fewer are read as fast one by one."""
_MOST_LAYOUTS = 8
"""Layouts made out at the most in values of one length."""
_DISTANCE = 4
_ANCHOR, _STAMP, _TAGS = 0x0A, 0x12, 0x1A
_SECONDS, _NANOS = 0x08, 0x10
_MORE = 0x80
_MOST_BYTES = 5
"""Of a number: 35 bits, as many as times have until the year 3058."""


class Layout(NamedTuple):
    """Where what is, from byte to byte; ``nanos`` is empty where there are none."""

    anchor: slice
    seconds: slice
    nanos: slice
    start: slice
    """Of the tag's entry what is before the distance, which it ends with."""
    distance: slice


class Alike(NamedTuple):
    """What records of one layout say."""

    record: Integers
    """Which records they are."""
    anchors: list[bytes]
    seconds: Integers
    nanos: Integers
    starts: list[bytes]
    """Of entries, what is before their last four bytes …"""
    distance_m: npt.NDArray[np.float32]
    """… and these."""


def read_alike(values: Sequence[bytes]) -> list[Alike]:
    """Return what those of the values say that are written alike."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    sizes, counts = np.unique(lengths, return_counts=True)
    found: list[Alike] = []
    for length in sizes[counts >= _FEWEST].tolist():
        record = (lengths == length).nonzero()[0]
        table: Table | None = None
        for _ in range(_MOST_LAYOUTS):
            layout = layout_of(values[record[0]]) if len(record) >= _FEWEST else None
            if layout is None:
                break
            if table is None:
                table = np.frombuffer(b"".join([values[one] for one in record.tolist()]), np.uint8).reshape(-1, length)
            has_it = _has(table, layout)
            if has_it.all():
                found.append(_read(table, record, layout))
                break
            found.append(_read(table[has_it], record[has_it], layout))
            table, record = table[~has_it], record[~has_it]
    return found


def layout_of(value: bytes) -> Layout | None:
    """Return the layout of a value; None: it has none that is made out here."""
    data = value + bytes(2)  # so that there is a byte after any
    end = len(value)
    anchor = _field(data, 0, _ANCHOR)
    stamp = _field(data, anchor.stop, _STAMP)
    entry = _field(data, stamp.stop, _TAGS)
    if entry.stop != end or not all(one.start < one.stop <= end for one in (anchor, stamp, entry)):
        return None
    seconds = _number(data, stamp.start, _SECONDS)
    nanos = slice(seconds.stop, seconds.stop)
    if seconds.stop < stamp.stop:
        nanos = _number(data, seconds.stop, _NANOS)
    is_whole = seconds.start < seconds.stop and nanos.stop == stamp.stop
    distance = slice(end - _DISTANCE, end)
    if not is_whole or distance.start <= entry.start:
        return None
    return Layout(anchor, seconds, nanos, slice(entry.start, distance.start), distance)


_NOWHERE = slice(2**31, 2**31)


def _field(data: bytes, at: int, tag: int) -> slice:
    """Return where a field's content is, of less than 128 bytes; somewhere beyond the end if there is no such."""
    if at > len(data) - 2 or data[at] != tag or data[at + 1] >= _MORE:
        return _NOWHERE
    return slice(at + 2, at + 2 + data[at + 1])


def _number(data: bytes, at: int, tag: int) -> slice:
    if data[at] != tag:
        return _NOWHERE
    for end in range(at + 1, min(at + 1 + _MOST_BYTES, len(data))):
        if data[end] < _MORE:
            return slice(at + 1, end + 1)
    return _NOWHERE


def _has(table: Table, layout: Layout) -> npt.NDArray[np.bool_]:
    """Return which values have the layout of the first."""
    fixed = np.ones(table.shape[1], bool)
    for part in layout:
        fixed[part] = False
    places = fixed.nonzero()[0]
    has_it: npt.NDArray[np.bool_] = (table[:, places] == table[0, places]).all(axis=1)
    for part in (layout.seconds, layout.nanos):
        has_it &= ((table[:, part] >= _MORE) == (table[0, part] >= _MORE)).all(axis=1)
    return has_it


def _read(table: Table, record: Integers, layout: Layout) -> Alike:
    return Alike(
        record,
        _strings(table[:, layout.anchor]),
        _numbers(table[:, layout.seconds]),
        _numbers(table[:, layout.nanos]).astype(np.int32).astype(np.int64),  # as protobuf has them
        _strings(table[:, layout.start]),
        np.ascontiguousarray(table[:, layout.distance]).view("<f4").ravel(),
    )


def _strings(columns: Table) -> list[bytes]:
    found: list[bytes] = np.ascontiguousarray(columns).view(f"V{columns.shape[1]}").ravel().tolist()
    return found


def _numbers(columns: Table) -> Integers:
    shifts = 7 * np.arange(columns.shape[1])
    found: Integers = ((columns & (_MORE - 1)).astype(np.int64) << shifts).sum(axis=1, dtype=np.int64)
    return found
