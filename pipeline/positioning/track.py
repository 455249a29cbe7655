"""The track of one tag, as it is kept between groups."""

from __future__ import annotations

from typing import NamedTuple


class Track(NamedTuple):
    """The filter of one tag; times are microseconds. It never changes: a group more makes another.

    The numbers are raw, little-endian, as the modules ``track_motion`` and ``track_numbers`` have them. All but place
    and ``rest`` are of 32 bits, which the filter rounds to after every group: a track goes on alike whether or not it
    has been written down in between.

    Attributes:
        at_us: the time that the place is for.
        clock_us: Kafka time of the newest reading taken.
        anchors: whose biases the state ends with, in order.
        exact: of 64 bits: the place, ``rest``, and how much the last fixes, in a row, have spoken against the track.
        rounded: of 32 bits: the rest of the state, and the lower triangle of its covariance, by rows.
    """

    at_us: int
    clock_us: int
    anchors: tuple[str, ...]
    exact: bytes
    rounded: bytes
