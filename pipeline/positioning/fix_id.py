"""The name of a fix: the same readings give the same name, whatever restarts lie in between."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from pipeline.model import Reading

_LENGTH, _MEASURED = struct.Struct(">I"), struct.Struct(">qf")


def fix_id(readings: Sequence[Reading]) -> str:
    """Return 24 hex digits (96 bits of BLAKE2b) over tag, anchors, times and distance bits, whatever their order.

    Where a reading stood in Kafka does not enter: a redelivered record is the same reading.
    """
    parts: list[bytes] = []
    for reading in sorted(readings, key=lambda one: (one.anchor, one.measured_at_us, one.distance_m)):
        tag, anchor = reading.tag.encode(), reading.anchor.encode()
        parts += (_LENGTH.pack(len(tag)), tag, _LENGTH.pack(len(anchor)), anchor)
        parts.append(_MEASURED.pack(reading.measured_at_us, reading.distance_m))
    return hashlib.blake2b(b"".join(parts), digest_size=12).hexdigest()
