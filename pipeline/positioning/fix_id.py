"""The name of a fix: the same readings give the same name, whatever restarts lie in between."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from pipeline.model import Reading


def fix_id(readings: Sequence[Reading]) -> str:
    """Return 24 hex digits (96 bits of BLAKE2b) over tag, anchors, times and distance bits, whatever their order.

    Where a reading stood in Kafka does not enter: a redelivered record is the same reading.
    """
    digest = hashlib.blake2b(digest_size=12)
    for reading in sorted(readings, key=lambda one: (one.anchor, one.measured_at_us, one.distance_m)):
        for text in (reading.tag.encode(), reading.anchor.encode()):
            digest.update(struct.pack(">I", len(text)))
            digest.update(text)
        digest.update(struct.pack(">qf", reading.measured_at_us, reading.distance_m))
    return digest.hexdigest()
