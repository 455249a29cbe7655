"""The numbers of tracks as they are kept between groups, and as the filter works on them. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.compiled import compiled_in_place
from pipeline.positioning.track_motion import BIASES, REST, VX, Floats, Indexes

MAX_BIASES = 12
"""Anchors of which a tag remembers a bias. The covariance grows with its square, and beyond it no more."""
EXACT = VX + REST + 1
"""Numbers of a track that are kept in 64 bits: place, ``rest``, and how much fixes have spoken against it."""
ROUNDED = tuple((BIASES + biases) * (BIASES + biases + 3) // 2 - VX for biases in range(MAX_BIASES + 1))
"""Numbers of a track with so many biases that are kept in 32 bits.

They are the state after the place, and the lower triangle of its covariance, by rows.
"""
EXACT_BYTES, ROUNDED_BYTES = 8 * EXACT, tuple(4 * numbers for numbers in ROUNDED)
NO_TRACK = -1

AT, CLOCK, KNOWN, ROWS_FROM, ROUNDED_FROM = range(5)
PARTED = REST


class Tracks(NamedTuple):
    """The tracks of many tags (t), as they are kept; see :class:`pipeline.positioning.track.Track`.

    Attributes:
        whole: the time that the place is for, Kafka's of the newest reading taken, and how many anchors' biases the
            track knows, ``NO_TRACK`` where there is none; then where its rows and its rounded numbers begin (t, 5).
        rows: which anchors those are; -1: one that is not on the map.
        exact: the numbers of 64 bits (t, ``EXACT``).
        rounded: the numbers of 32 bits.
    """

    whole: Indexes
    rows: Indexes
    exact: Floats
    rounded: NDArray[np.float32]


class Tag(NamedTuple):
    """The track at hand, changed in place.

    Attributes:
        mean: its state, of fewer biases than there is room for in the first numbers; likewise
        cov: its covariance, and
        rows: its anchors, as in :class:`Tracks`.
        rest: of its standing still, and then how much the last fixes have spoken against it.
        whole: as in :class:`Tracks`.
    """

    mean: Floats
    cov: Floats
    rows: Indexes
    rest: Floats
    whole: Indexes


def room_for_a_tag() -> Tag:
    """Return room for a track."""
    size = BIASES + MAX_BIASES
    rows, rest, whole = np.zeros(MAX_BIASES, np.int64), np.zeros(REST + 1), np.zeros(3, np.int64)
    return Tag(np.zeros(size), np.zeros((size, size)), rows, rest, whole)


def room_for_tracks(count: int) -> Tracks:
    """Return room for so many tracks, of as many biases as a track may have."""
    rows, rounded = np.zeros(count * MAX_BIASES, np.int64), np.zeros(count * ROUNDED[MAX_BIASES], np.float32)
    return Tracks(np.zeros((count, 3), np.int64), rows, np.zeros((count, EXACT)), rounded)


@compiled_in_place
def load(tag: Tag, tracks: Tracks, index: int) -> None:
    """Take a track up."""
    for number in range(3):
        tag.whole[number] = tracks.whole[index, number]
    for number in range(VX):
        tag.mean[number] = tracks.exact[index, number]
    for number in range(REST + 1):
        tag.rest[number] = tracks.exact[index, VX + number]
    if tag.whole[KNOWN] == NO_TRACK:
        return
    for bias in range(tag.whole[KNOWN]):
        tag.rows[bias] = tracks.rows[tracks.whole[index, ROWS_FROM] + bias]
    at, size = tracks.whole[index, ROUNDED_FROM], BIASES + tag.whole[KNOWN]
    for number in range(VX, size):
        tag.mean[number] = tracks.rounded[at]
        at += 1
    for row in range(size):
        for column in range(row + 1):
            tag.cov[row, column] = tag.cov[column, row] = tracks.rounded[at]
            at += 1


@compiled_in_place
def store(tag: Tag, tracks: Tracks, index: int) -> None:
    """Put a track down where there is room for any."""
    for number in range(3):
        tracks.whole[index, number] = tag.whole[number]
    for number in range(VX):
        tracks.exact[index, number] = tag.mean[number]
    for number in range(REST + 1):
        tracks.exact[index, VX + number] = tag.rest[number]
    for bias in range(tag.whole[KNOWN]):
        tracks.rows[index * MAX_BIASES + bias] = tag.rows[bias]
    if tag.whole[KNOWN] == NO_TRACK:
        return
    at, size = index * ROUNDED[MAX_BIASES], BIASES + tag.whole[KNOWN]
    for number in range(VX, size):
        tracks.rounded[at] = tag.mean[number]
        at += 1
    for row in range(size):
        for column in range(row + 1):
            tracks.rounded[at] = tag.cov[row, column]
            at += 1
