"""Sightings of anchors as columns and back: for the shuffle."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.events import Sighting
from pipeline.wire.state_pb2 import Sightings

NO_STAMP_US = -(2**63)
"""In place of a stamp that was missing."""
_FURTHEST_US = 2**62


def pack_sightings(sightings: Iterable[Sighting]) -> bytes:
    """Return sightings as columns; stamps beyond 140,000 years are cut to that, for anchors may send anything."""
    columns = Sightings()
    for anchor, kafka_time_us, stamped_us in sightings:
        columns.anchor.append(anchor)
        columns.kafka_time_us.append(kafka_time_us)
        columns.stamped_us.append(
            NO_STAMP_US if stamped_us is None else max(-_FURTHEST_US, min(stamped_us, _FURTHEST_US))
        )
    return columns.SerializeToString()


def unpack_sightings(packed: bytes) -> list[Sighting]:
    """Return the sightings of columns. The inverse of :func:`pack_sightings`."""
    columns = Sightings.FromString(packed)
    return [
        Sighting(anchor, kafka_time_us, None if stamped_us == NO_STAMP_US else stamped_us)
        for anchor, kafka_time_us, stamped_us in zip(
            columns.anchor, columns.kafka_time_us, columns.stamped_us, strict=True
        )
    ]
