"""The track of a tag as bytes and back. The bytes outlive the program: see proto/state.proto."""

from __future__ import annotations

from pipeline.positioning.track import Track
from pipeline.positioning.track_numbers import EXACT_BYTES, MAX_BIASES, ROUNDED_BYTES
from pipeline.transforms.tag_groups import Codec
from pipeline.wire.state_pb2 import TrackState

VERSION = 1


def to_bytes(track: Track) -> bytes:
    """Return the track as bytes; equal tracks give equal bytes."""
    at_us, clock_us, anchors, exact, rounded = track
    state = TrackState(version=VERSION, at_us=at_us, clock_us=clock_us, anchor=anchors, exact=exact, rounded=rounded)
    return state.SerializeToString()


def from_bytes(data: bytes) -> Track | None:
    """Return the track that :func:`to_bytes` wrote; None for those of another version.

    Raises:
        ValueError: these are not the numbers of a track of so many anchors.
    """
    state = TrackState.FromString(data)
    if state.version != VERSION:
        return None
    track = Track(state.at_us, state.clock_us, tuple(state.anchor), state.exact, state.rounded)
    known, numbers = len(track.anchors), (len(track.exact), len(track.rounded))
    if known > MAX_BIASES or numbers != (EXACT_BYTES, ROUNDED_BYTES[known]):
        raise ValueError(f"a track of {known} anchors has {numbers[0]} and {numbers[1]} bytes of numbers")
    return track


CODEC = Codec(to_bytes, from_bytes)
