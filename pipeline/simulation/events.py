"""What a scene causes, in order of time, each with the truth behind it.

All times are integer microseconds since 1970-01-01 UTC on the scene's true clock, but for ``stamped_us``, which is what
the anchor's own clock said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class TagReading(NamedTuple):
    """One distance as an anchor measured it, and where the tag truly was at that instant.

    ``tag_id`` is the id as on the wire: 12 hex digits that name the tag, 4 that tell its state.
    """

    tag_id: str
    distance_m: float
    detached: bool
    battery_low: bool
    measured_at_us: int
    x_m: float
    y_m: float
    z_m: float
    is_outlier: bool


class AnchorRecord(NamedTuple):
    """One record of ``packet_data``: what ``anchor_id`` measured, published at ``sent_at_us``."""

    sent_at_us: int
    anchor_id: str
    stamped_us: int
    readings: Sequence[TagReading]


class Heartbeat(NamedTuple):
    """One record of ``packet_alive``, published at ``sent_at_us``."""

    sent_at_us: int
    anchor_id: str
    stamped_us: int


class TrueState(NamedTuple):
    """Where a tag truly is at some instant, and the id by which it then goes."""

    tag_id: str
    x_m: float
    y_m: float
    z_m: float
