"""The track of one tag: its filter, and which anchors' biases that knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.model import Fix, Reading
from pipeline.positioning import track_motion as motion
from pipeline.positioning.track_motion import BIASES, OFFSET, VX, VY, Model, State, X, Y, Z

MAX_BIASES = 12
"""Anchors of which a tag remembers a bias. The covariance grows with its square, and beyond it no more."""

_START_SIGMA_M = 10.0
"""How far a first place may be from the fix that it is found from; the ranges narrow it down."""


_PLAUSIBLE_SIGMAS = 4.0
"""A learnt offset beyond so many of what is believed of it came of ranges that contradict each other."""


class Start(NamedTuple):
    """When and how a track begins: the time of its place, Kafka's, and how far off the height may be (0: known)."""

    at_us: int
    clock_us: int
    height_sigma_m: float


@dataclass(slots=True)
class Track:
    """The filter of one tag; times are microseconds.

    All numbers of the filter but place and ``rest`` are of 32 bits, so that a track goes on alike whether or not it has
    been written down in between.
    """

    at_us: int
    """The time that the place is for."""
    clock_us: int
    """Kafka time of the newest reading taken."""
    state: State
    anchors: list[str] = field(default_factory=list)
    """Whose biases the state ends with, in order."""
    parted: float = 0.0
    """How much the last fixes, in a row, have spoken against the track."""

    @classmethod
    def at(cls, fix: Fix, start: Start, model: Model, old: Track | None) -> Track:
        """Return a track somewhere about a fix, with what an older track has learnt of biases, if that can be."""
        if old is not None and abs(old.state.mean[OFFSET]) > _PLAUSIBLE_SIGMAS * model.offset_sigma_m:
            old = None
        anchors = [] if old is None else list(old.anchors)
        size = BIASES + len(anchors)
        mean, cov = np.zeros(size), np.zeros((size, size))
        mean[[X, Y, Z]] = fix.x_m, fix.y_m, fix.z_m or 0.0
        cov[[X, Y], [X, Y]] = _START_SIGMA_M**2
        cov[[VX, VY], [VX, VY]] = model.start_speed_m_s**2
        cov[Z, Z] = start.height_sigma_m**2
        if old is None:
            cov[OFFSET, OFFSET] = model.offset_sigma_m**2
        else:
            mean[OFFSET:] = old.state.mean[OFFSET:]
            cov[OFFSET:, OFFSET:] = old.state.cov[OFFSET:, OFFSET:]
        return cls(start.at_us, start.clock_us, State(mean, cov, np.zeros(motion.REST)), anchors)

    def cov_m2(self) -> tuple[float, float, float]:
        """Return the covariance (xx, xy, yy) of the place.

        A tag at rest meets the same errors again and again: its place becomes steady, but no better known.
        """
        rest, cov = self.state.rest, self.state.cov
        if rest[motion.IS_STILL]:
            return float(rest[motion.STOP_XX]), float(rest[motion.STOP_XY]), float(rest[motion.STOP_YY])
        return float(cov[X, X]), float(cov[X, Y]), float(cov[Y, Y])

    def is_forgotten(self, readings: Sequence[Reading], tag_expiry_us: int) -> bool:
        """Whether the tag had been silent for so long before readings that nothing of it is to be kept."""
        return max(reading.kafka_time_us for reading in readings) >= self.clock_us + tag_expiry_us

    def slots(self, anchors: Sequence[str], sigmas_m: Mapping[str, float]) -> list[int]:
        """Return where the biases of a group's anchors stand in the state, after making room for new ones.

        A full state gives up the bias that it knows least; -1 for an anchor where all are of this very group.
        ``sigmas_m`` tells of each anchor of the site what is believed of its bias (standard deviation, m).
        """
        return [self._slot(anchor, anchors, sigmas_m[anchor]) for anchor in anchors]

    def _slot(self, anchor: str, group: Sequence[str], sigma_m: float) -> int:
        if anchor in self.anchors:
            return self.anchors.index(anchor)
        mean, cov, rest = self.state
        if len(self.anchors) < MAX_BIASES:
            slot = len(self.anchors)
            self.anchors.append(anchor)
            self.state = State(np.append(mean, 0.0), np.pad(cov, (0, 1)), rest)
        else:
            others = [slot for slot, name in enumerate(self.anchors) if name not in group]
            if not others:
                return -1
            slot = max(others, key=lambda other: float(cov[BIASES + other, BIASES + other]))
            self.anchors[slot] = anchor
        motion.decay(self.state, BIASES + slot, 0.0, sigma_m)
        return slot
