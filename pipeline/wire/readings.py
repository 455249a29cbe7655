"""Readings as bytes and back: for the shuffle and for state."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.model import Reading
from pipeline.wire.state_pb2 import Readings

ROW = np.dtype(
    [
        ("anchor", "<u4"),
        ("distance_m", "<f4"),
        ("measured_at_us", "<i8"),
        ("kafka_time_us", "<i8"),
        ("time_replaced", "?"),
        ("detached", "?"),
        ("battery_low", "?"),
        ("partition", "<i4"),
        ("offset", "<i8"),
    ]
)
"""What is of one reading, in the order of :class:`Reading`; of the anchor its number in a list of names."""

Rows: TypeAlias = npt.NDArray[np.void]
"""Rows of the type ``ROW``."""

Runs: TypeAlias = Sequence[tuple[str, int]]
"""Of each run of readings of one tag the tag, and how many they are."""

_ROW = struct.Struct("<Ifqq???iq")  # the same, for a few rows, which numpy takes longer for
_REST = itemgetter(slice(2, None))


def pack(readings: Iterable[Reading]) -> Readings:
    """Return readings as rows."""
    packed = Readings()
    numbers: dict[str, int] = {}
    rows: list[bytes] = []
    for tag, of_tag in groupby(readings, key=itemgetter(0)):
        before = len(rows)
        rows.extend(_ROW.pack(numbers.setdefault(one.anchor, len(numbers)), *_REST(one)) for one in of_tag)
        packed.tag.append(tag)
        packed.length.append(len(rows) - before)
    packed.anchor.extend(numbers)
    packed.rows = b"".join(rows)
    return packed


def pack_rows(runs: Runs, anchors: Sequence[str], rows: Rows) -> bytes:
    """Return rows as a packed ``Readings``.

    Args:
        runs: of each run of rows of one tag the tag, and how many they are.
        anchors: the names that the rows have the numbers of; those that no row has are left out.
        rows: of the type ``ROW``; its anchors are numbered anew, in place.
    """
    names, rows["anchor"] = numbered_anew(rows["anchor"], anchors)
    tags, lengths = [tag for tag, _ in runs], [length for _, length in runs]
    return Readings(tag=tags, length=lengths, anchor=names, rows=rows.tobytes()).SerializeToString()


def numbered_anew(numbers: npt.NDArray[Any], names: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return those of the names that have one of the numbers, and the numbers that these have among them."""
    is_used = np.zeros(len(names), bool)
    is_used[numbers] = True
    return [names[number] for number in is_used.nonzero()[0].tolist()], (is_used.cumsum() - 1)[numbers]


def unpack(packed: Readings) -> list[Reading]:
    """Return the readings of rows. The inverse of :func:`pack`."""
    return list(chain.from_iterable(_runs(packed)))


class OfTags(NamedTuple):
    """Readings tag by tag, each tag once, those of a tag in the order in which they came.

    Attributes:
        tags: the tags.
        anchors: the anchors' names, by number.
        rows: the readings as rows.
        readings: the same, a list a tag.
    """

    tags: Sequence[str]
    anchors: Sequence[str]
    rows: Rows
    readings: Sequence[list[Reading]]


def unpack_by_tag(packed: bytes) -> OfTags:
    """Return the readings of a packed ``Readings`` by tag."""
    said = Readings.FromString(packed)
    tags = list(said.tag)
    if len(set(tags)) == len(tags):  # as they come from one batch
        rows = np.frombuffer(said.rows, ROW)
        return OfTags(tags, list(said.anchor), rows, list(_runs(said)))
    found: dict[str, list[Reading]] = {}
    for tag, readings in zip(tags, _runs(said), strict=True):
        found.setdefault(tag, []).extend(readings)
    return unpack_by_tag(pack(chain.from_iterable(found.values())).SerializeToString())


def _runs(packed: Readings) -> Iterator[list[Reading]]:
    anchors = list(packed.anchor)
    rows: Iterator[Any] = _ROW.iter_unpack(packed.rows)
    new = tuple.__new__  # what Reading() comes to, at half the price
    for tag, length in zip(packed.tag, packed.length, strict=True):
        yield [
            new(Reading, (tag, anchors[anchor], distance_m, at_us, kafka_us, replaced, detached, low, part, offset))
            for anchor, distance_m, at_us, kafka_us, replaced, detached, low, part, offset in islice(rows, length)
        ]
