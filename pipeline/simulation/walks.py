"""Where every tag truly is, as an exact function of time.

A walker goes in straight legs between random points of a box: from standing it speeds up at 1 m/s² to its leg's speed,
slows down likewise, and after half of the legs pauses for up to 3 s. Leg *n* of tag *k* is a function of (seed, k, n),
so nothing has to be kept but the leg that each tag is on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.randomness import uniform

ACCELERATION_M_S2 = 1.0
MAX_PAUSE_S = 3.0
SPEED_SPREAD = 0.3

_X, _Y, _SPEED, _PAUSE = range(4)


class Box(NamedTuple):
    """The part of the floor where tags are, metres."""

    x_min_m: float
    y_min_m: float
    x_max_m: float
    y_max_m: float


class Walks:
    """The paths of all tags. Asking again, or for an earlier time, gives the same answer."""

    def __init__(self, box: Box, is_still: NDArray[np.bool_], speed_m_s: float, seed: int) -> None:
        """Place tag *k* on its first point; ``is_still[k]`` says that it stays there."""
        self._box = box
        self._is_still = is_still
        self._speed_m_s = speed_m_s
        self._seed = seed
        tags = np.arange(is_still.size, dtype=np.int64)
        self._leg = np.zeros(is_still.size, dtype=np.int64)
        self._starts_s = np.zeros(is_still.size)
        self._ends_s = np.zeros(is_still.size)
        self._from_m = np.zeros((is_still.size, 2))
        self._to_m = np.zeros((is_still.size, 2))
        self._cruise_m_s = np.zeros(is_still.size)
        self._begin(tags)

    def positions(self, tags: NDArray[np.int64], at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return x and y (metres, one row a tag) of distinct ``tags``, each at its own time since the start (s)."""
        back = tags[at_s < self._starts_s[tags]]
        if back.size:
            self._begin(back)
        behind = np.flatnonzero(at_s >= self._ends_s[tags])
        while behind.size:
            self._next_leg(tags[behind])
            behind = behind[at_s[behind] >= self._ends_s[tags[behind]]]
        return self._along(tags, at_s - self._starts_s[tags])

    def _along(self, tags: NDArray[np.int64], since_s: NDArray[np.float64]) -> NDArray[np.float64]:
        start, way = self._from_m[tags], self._to_m[tags] - self._from_m[tags]
        length = np.hypot(way[:, 0], way[:, 1])
        speed = self._cruise_m_s[tags]
        ramp_s = speed / ACCELERATION_M_S2
        cruise_s = np.maximum(_duration_s(length, speed) - 2 * ramp_s, 0.0)
        up = np.clip(since_s, 0.0, ramp_s)
        level = np.clip(since_s - ramp_s, 0.0, cruise_s)
        down = np.clip(since_s - ramp_s - cruise_s, 0.0, ramp_s)
        gone = ACCELERATION_M_S2 / 2 * up**2 + speed * level + speed * down - ACCELERATION_M_S2 / 2 * down**2
        share = np.divide(gone, length, out=np.zeros_like(gone), where=length > 0)
        place: NDArray[np.float64] = start + way * np.minimum(share, 1.0)[:, None]
        return place

    def _begin(self, tags: NDArray[np.int64]) -> None:
        self._leg[tags] = 0
        self._starts_s[tags] = 0.0
        self._from_m[tags] = self._waypoints(tags, self._leg[tags])
        self._plan(tags)

    def _next_leg(self, tags: NDArray[np.int64]) -> None:
        self._leg[tags] += 1
        self._starts_s[tags] = self._ends_s[tags]
        self._from_m[tags] = self._to_m[tags]
        self._plan(tags)

    def _plan(self, tags: NDArray[np.int64]) -> None:
        leg, start = self._leg[tags], self._from_m[tags]
        goal = self._waypoints(tags, leg + 1)
        goal[self._is_still[tags]] = start[self._is_still[tags]]
        length = np.hypot(*(goal - start).T)
        spread = 1 + SPEED_SPREAD * (2 * uniform(self._seed, _SPEED, tags, leg) - 1)
        speed = np.minimum(self._speed_m_s * spread, np.sqrt(length * ACCELERATION_M_S2))
        pause_s = np.maximum(MAX_PAUSE_S * (2 * uniform(self._seed, _PAUSE, tags, leg) - 1), 0.0)
        self._to_m[tags] = goal
        self._cruise_m_s[tags] = speed
        ends_s = self._starts_s[tags] + _duration_s(length, speed) + pause_s
        self._ends_s[tags] = np.where(self._is_still[tags], np.inf, ends_s)

    def _waypoints(self, tags: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.float64]:
        box = self._box
        x_m = box.x_min_m + (box.x_max_m - box.x_min_m) * uniform(self._seed, _X, tags, number)
        y_m = box.y_min_m + (box.y_max_m - box.y_min_m) * uniform(self._seed, _Y, tags, number)
        return np.column_stack((x_m, y_m))


def _duration_s(length_m: NDArray[np.float64], speed_m_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how long a leg takes, speeding up and slowing down included; 0 where there is no way to go."""
    level = np.divide(length_m, speed_m_s, out=np.zeros_like(length_m), where=speed_m_s > 0)
    return level + speed_m_s / ACCELERATION_M_S2
