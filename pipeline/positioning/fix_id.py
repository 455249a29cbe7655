"""The name of a fix: the same readings give the same name, whatever restarts lie in between."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from pipeline.model import Reading

_MEASURED = struct.Struct(">IIqf")
"""How long the names of tag and anchor are that follow, when was measured, and the distance in the bits of the wire."""
_EMPTY = hashlib.blake2b(digest_size=12)


def fix_id(readings: Sequence[Reading]) -> str:
    """Return 24 hex digits (96 bits of BLAKE2b) over tag, anchors, times and distance bits, whatever their order.

    Where a reading stood in Kafka does not enter: a redelivered record is the same reading.
    """
    parts: list[bytes] = []
    for reading in sorted(readings):  # by tag, anchor, distance and time; what comes after them does not enter
        tag, anchor, distance_m, measured_at_us = reading[:4]
        parts += (_MEASURED.pack(len(tag), len(anchor), measured_at_us, distance_m), (tag + anchor).encode())
    digest = _EMPTY.copy()
    digest.update(b"".join(parts))
    return digest.hexdigest()
