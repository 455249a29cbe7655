"""The grouping state of a tag as bytes and back. The bytes outlive the program.

Written and read with every bundle that a tag is in, and most of what a checkpoint holds: so of fixed parts, with each
anchor's id once. In order, all numbers little-endian::

    head            see _HEAD
    silent          a byte an anchor: for how many rounds it has been silent; UNHEARD if it is not waited for
    earlier, last   the readings seen: blocks as in Seen
    names           the anchors' ids: see anchor_names.py
    open            if there are any open readings: _OPENED, the tag, _OPEN of each
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from pipeline.model import Reading
from pipeline.positioning.anchor_names import names_from_bytes, names_to_bytes
from pipeline.positioning.rounds import Rounds
from pipeline.positioning.seen import from_blocks

VERSION = 1
_HEAD = struct.Struct("<BBHHIIqqqq")
"""Version; groups given so far; how many anchors and open readings, how many bytes of earlier blocks and of the last;
the latest Kafka time, the newest time of measurement, those of the earlier blocks and of the last.
"""
HEAD = _HEAD.size
_, ROUNDS_AT, ANCHORS_AT, OPENED_AT, EARLIER_AT, LAST_AT, CLOCK_AT, NEWEST_AT, EARLIER_NEWEST_AT, LAST_TIME_AT = (
    struct.calcsize(_HEAD.format[:fields]) for fields in range(1, 11)
)
"""Where these stand; ``round_bytes`` knows how wide each is."""
_OPEN = struct.Struct("<HBfqqiq")
"""An open reading: its anchor by number, flags, then as in Reading."""
_OPENED = struct.Struct("<qH")
"""Before them: when the round opened, and how long the tag's name is."""
UNHEARD = 255
_REPLACED, _DETACHED, _BATTERY_LOW, _CARRIED = 1, 2, 4, 8


def to_bytes(rounds: Rounds) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    seen, heard = rounds.seen, rounds.heard
    last = seen.last_block()
    head = _HEAD.pack(
        VERSION,
        rounds.rounds,
        len(rounds.numbers),
        len(rounds.open),
        len(seen.earlier),
        len(last),
        rounds.clock_us,
        rounds.newest_us,
        seen.newest_us,
        seen.last_us,
    )
    silent = bytes([heard.get(anchor, UNHEARD) for anchor in rounds.numbers])
    parts = [head, silent, seen.earlier, last, names_to_bytes(tuple(rounds.numbers))]
    if rounds.open:
        parts.extend(_open_to_bytes(rounds))
    return b"".join(parts)


def from_bytes(data: bytes) -> Rounds | None:
    """Return the state that :func:`to_bytes` wrote; None for one of another version."""
    if data[0] != VERSION:
        return None
    _, given, anchors, opened, earlier, last, clock_us, newest_us, earlier_us, last_us = _HEAD.unpack_from(data)
    seen_at = HEAD + anchors
    last_at = seen_at + earlier
    names_at = last_at + last
    names, at = names_from_bytes(data, names_at, anchors)
    rounds = Rounds(
        clock_us=clock_us,
        newest_us=newest_us,
        heard={name: rounds for name, rounds in zip(names, data[HEAD:seen_at], strict=True) if rounds != UNHEARD},
        rounds=given,
        seen=from_blocks(data[seen_at:last_at], earlier_us, data[last_at:names_at], last_us),
        numbers=dict(zip(names, range(anchors), strict=True)),
    )
    if opened:
        _open_from_bytes(rounds, names, data, at)
    return rounds


def _open_to_bytes(rounds: Rounds) -> Iterator[bytes]:
    tag = next(iter(rounds.open.values())).tag.encode()
    yield _OPENED.pack(rounds.opened_at_us, len(tag))
    yield tag
    for anchor, reading in rounds.open.items():
        flags = (
            reading.time_replaced * _REPLACED
            | reading.detached * _DETACHED
            | reading.battery_low * _BATTERY_LOW
            | (anchor in rounds.carried) * _CARRIED
        )
        yield _OPEN.pack(
            rounds.numbers[anchor],
            flags,
            reading.distance_m,
            reading.measured_at_us,
            reading.kafka_time_us,
            reading.partition,
            reading.offset,
        )


def _open_from_bytes(rounds: Rounds, names: Sequence[str], data: bytes, at: int) -> None:
    rounds.opened_at_us, length = _OPENED.unpack_from(data, at)
    begin = at + _OPENED.size
    end = begin + length
    tag = data[begin:end].decode()
    for number, flags, distance_m, measured_at_us, kafka_time_us, partition, offset in _OPEN.iter_unpack(data[end:]):
        anchor = names[number]
        rounds.open[anchor] = Reading(
            tag,
            anchor,
            distance_m,
            measured_at_us,
            kafka_time_us,
            bool(flags & _REPLACED),
            bool(flags & _DETACHED),
            bool(flags & _BATTERY_LOW),
            partition,
            offset,
        )
        if flags & _CARRIED:
            rounds.carried.add(anchor)
