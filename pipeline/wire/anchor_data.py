"""What anchors send, to bytes: for the simulator and for tests. Reading them is the business of ``decode``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pipeline.wire.message_pb2 import AnchorAlive, AnchorData


class Measured(Protocol):
    """One tag as an anchor measured it."""

    @property
    def distance_m(self) -> float:
        """Slant range, metres."""

    @property
    def detached(self) -> bool:
        """Whether the tag has been torn off."""

    @property
    def battery_low(self) -> bool:
        """Whether the tag's battery is low."""


def encode_anchor_data(anchor_id: str, stamped_us: int | None, tags: Mapping[str, Measured]) -> bytes:
    """Return the ``AnchorData`` of one record; equal arguments give equal bytes.

    Args:
        anchor_id: the anchor that measured.
        stamped_us: the anchor's time, microseconds since 1970-01-01 UTC; None leaves it out.
        tags: by tag id, what was measured.
    """
    message = AnchorData(anchor_id=anchor_id)
    _stamp(message, stamped_us)
    entries = message.tags
    for tag_id, measured in tags.items():
        entry = entries[tag_id]
        entry.distance = measured.distance_m
        if measured.detached:
            entry.detached = True
        if measured.battery_low:
            entry.battery_low = True
    return message.SerializeToString(deterministic=True)


def encode_anchor_alive(anchor_id: str, stamped_us: int | None) -> bytes:
    """Return the ``AnchorAlive`` of one heartbeat; ``stamped_us`` as in :func:`encode_anchor_data`."""
    message = AnchorAlive(anchor_id=anchor_id)
    _stamp(message, stamped_us)
    return message.SerializeToString(deterministic=True)


def _stamp(message: AnchorAlive | AnchorData, stamped_us: int | None) -> None:
    if stamped_us is None:
        return
    timestamp = message.timestamp
    timestamp.SetInParent()  # 1970 itself is a time, too
    timestamp.seconds, microseconds = divmod(stamped_us, 1_000_000)
    timestamp.nanos = microseconds * 1_000
