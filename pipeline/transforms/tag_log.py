"""The log that a tag group's states are kept in: chunks of rows, each row the state of one tag."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from apache_beam.coders import Coder
from apache_beam.runners.worker.statecache import CacheAware

_HEAD = struct.Struct("<qHI")
"""What a row begins with: when the tag is next due (Kafka time, µs), and the lengths of its name and of its state."""
_OVERHEAD = 64
"""Bytes of a chunk in memory beside its rows."""


class Chunk(CacheAware):
    """Rows that were written together. It may carry what all chunks up to it say, where that has been made out.

    Beam's cache hands the very objects back that were written. What hangs on one of them lives as long as it does
    there, and is found by nobody who did not get that object: no other key, no other job, no worker that read the
    state anew.
    """

    __slots__ = ("index", "rows")

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        self.index: Any = None

    def __sizeof__(self) -> int:
        """Return what the cache is to count for it: this, and nothing that it refers to."""
        return _OVERHEAD + len(self.rows) + (self.index.weight() if self.index is not None else 0)

    def get_referents_for_cache(self) -> list[Any]:
        """Return what of it Beam is to weigh besides: walking through an index would take longer than making it."""
        return []


class ChunkCoder(Coder):
    """A chunk as its rows."""

    def encode(self, value: Chunk) -> bytes:
        """Return the rows."""
        return value.rows

    def decode(self, encoded: bytes) -> Chunk:
        """Return the rows as a chunk that carries nothing."""
        return Chunk(encoded)


def packed_row(tag: str, due_us: int, state: bytes) -> bytes:
    """Return a row; without a state it says that the tag is forgotten."""
    name = tag.encode()
    return _HEAD.pack(due_us, len(name), len(state)) + name + state


def rows(chunk: bytes) -> Iterator[tuple[str, int, int, int, bool]]:
    """Iterate over rows: tag, when it is due, where the row begins and ends, and whether there is a state in it."""
    head, unpack, end = _HEAD.size, _HEAD.unpack_from, 0
    while end < len(chunk):
        at = end
        due_us, name, state = unpack(chunk, at)
        end = at + head + name + state
        yield chunk[at + head : at + head + name].decode(), due_us, at, end, state > 0


def state_in(chunk: bytes, at: int) -> bytes:
    """Return the state in the row at a place."""
    _, name, state = _HEAD.unpack_from(chunk, at)
    begin = at + _HEAD.size + name
    return chunk[begin : begin + state]
