"""What the numbers of a track say, for the tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.track import Track
from pipeline.positioning.track_motion import BIASES, VX

Floats = NDArray[np.float64]


def mean_of(track: Track) -> Floats:
    """The state of a track."""
    rounded = np.frombuffer(track.rounded, "<f4")
    return np.concatenate([np.frombuffer(track.exact, "<f8")[:VX], rounded[: BIASES - VX + len(track.anchors)]])


def cov_of(track: Track) -> Floats:
    """The covariance of a track's state."""
    size = BIASES + len(track.anchors)
    cov = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    cov[rows, columns] = cov[columns, rows] = np.frombuffer(track.rounded, "<f4")[size - VX :]
    return cov
