"""The track of a tag as bytes and back. The bytes outlive the program.

Written and read with every bundle that a tag is in: so of fixed parts. In order, all numbers little-endian::

    head            see _HEAD
    names           the ids of the anchors whose biases the state ends with: see anchor_names.py
    exact, rounded  the numbers, see positioning/track.py: whoever changes what they mean raises the version
"""

from __future__ import annotations

import struct

from pipeline.positioning.anchor_names import names_from_bytes, names_to_bytes
from pipeline.positioning.track import Track
from pipeline.positioning.track_numbers import EXACT_BYTES, MAX_BIASES, ROUNDED_BYTES
from pipeline.transforms.tag_groups import Codec

VERSION = 2
_HEAD = struct.Struct("<BBqq")
"""Version, how many anchors, the time that the place is for, and Kafka time of the newest reading taken."""


def to_bytes(track: Track) -> bytes:
    """Return the track as bytes; equal tracks give equal bytes."""
    at_us, clock_us, anchors, exact, rounded = track
    return _HEAD.pack(VERSION, len(anchors), at_us, clock_us) + names_to_bytes(anchors) + exact + rounded


def from_bytes(data: bytes) -> Track | None:
    """Return the track that :func:`to_bytes` wrote; None for those of another version.

    Raises:
        ValueError: these are not the numbers of a track of so many anchors.
    """
    if data[0] != VERSION:
        return None
    _, known, at_us, clock_us = _HEAD.unpack_from(data)
    anchors, begin = names_from_bytes(data, _HEAD.size, known)
    end = begin + EXACT_BYTES
    if known > MAX_BIASES or len(data) != end + ROUNDED_BYTES[known]:
        raise ValueError(f"a track of {known} anchors has {len(data) - begin} bytes of numbers")
    return Track(at_us, clock_us, anchors, data[begin:end], data[end:])


CODEC = Codec(to_bytes, from_bytes)
