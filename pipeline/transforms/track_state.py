"""The track of a tag as bytes and back. The bytes outlive the program: see proto/state.proto."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.track import Track
from pipeline.positioning.track_motion import VX, State
from pipeline.transforms.tag_groups import Codec
from pipeline.wire.state_pb2 import TrackState

VERSION = 1


def to_bytes(track: Track) -> bytes:
    """Return the track as bytes; equal tracks give equal bytes."""
    mean, cov, rest = track.state
    state = TrackState(
        version=VERSION,
        at_us=track.at_us,
        clock_us=track.clock_us,
        place_m=mean[:VX].tolist(),
        mean=mean[VX:].tolist(),
        cov=cov.ravel()[_triangles(mean.size)[0]].tolist(),
        rest=rest.tolist(),
        anchor=track.anchors,
        parted=track.parted,
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> Track | None:
    """Return the track that :func:`to_bytes` wrote; None for no bytes, and for those of another version."""
    if not data:
        return None
    state = TrackState.FromString(data)
    if state.version != VERSION:
        return None
    mean = np.array([*state.place_m, *state.mean])
    cov = np.zeros((mean.size, mean.size))
    lower, upper = _triangles(mean.size)
    cov.flat[lower] = cov.flat[upper] = list(state.cov)
    return Track(
        at_us=state.at_us,
        clock_us=state.clock_us,
        state=State(mean, cov, np.array(state.rest)),
        anchors=list(state.anchor),
        parted=state.parted,
    )


CODEC = Codec(to_bytes, from_bytes)


@cache
def _triangles(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the lower triangle of a square matrix stands in it, by rows, and its mirror image."""
    rows, columns = np.tril_indices(size)
    return rows * size + columns, columns * size + rows
