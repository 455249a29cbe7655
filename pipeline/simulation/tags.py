"""The tags of a scene: their ids, their state, when they blink and where they truly are.

Times are integer microseconds since the scene's start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.randomness import uniform
from pipeline.simulation.settings import SceneSettings
from pipeline.simulation.walks import Box, Walks

MOVING_INTERVAL_US = 200_000
STILL_INTERVAL_US = 10_000_000
BLINK_JITTER_US = 1_000
"""Tags vary their interval by up to this, so that two of them do not collide for ever."""
FIRST_BLINK_US = 100_000
MOVING_SPREAD_US = 1_000_000
"""First blinks of moving tags are spread over this, those of still ones over their interval."""

DETACHED, BATTERY_LOW = 1, 2
STATE_DIGITS = ("0000", "0001", "0100", "0101")
"""Last digits of the id by state: ``DETACHED`` and ``BATTERY_LOW`` are its bits."""

_NEVER_US = np.iinfo(np.int64).max
_FIRST, _INTERVAL = 10, 11  # purposes of random numbers; those of the walks are below 10


def wire_id(tag: int, state: int) -> str:
    """Return the id as on the wire: 12 hex digits that name the tag, 4 that tell its state."""
    return f"0003FF{tag:06X}{STATE_DIGITS[state]}"


class Tags:
    """All tags. A moving tag keeps its short interval when it pauses: its motion sensor waits longer than that."""

    def __init__(self, settings: SceneSettings, box: Box, z_m: float) -> None:
        """Place the tags in a box at one height (m)."""
        number = np.arange(settings.tags, dtype=np.int64)
        self._seed = settings.seed
        self.is_still = _evenly(number, settings.still_share, 0.0)
        self.walks = Walks(box, self.is_still, settings.walking_speed_m_s, settings.seed)
        self.z_m = z_m
        self._detached_at_us = np.full(settings.tags, _NEVER_US)
        for tear_off in settings.tear_offs:
            at_us = round(tear_off.at_s * 1e6)
            self._detached_at_us[tear_off.tag_index] = min(self._detached_at_us[tear_off.tag_index], at_us)
        runs_low = _evenly(number, settings.battery_low_share, 0.5)
        low_at_us = min(settings.battery_low_at_s * 1e6, float(_NEVER_US // 2))
        self._low_at_us = np.where(runs_low, round(low_at_us), _NEVER_US)
        spread_us = np.where(self.is_still, STILL_INTERVAL_US, MOVING_SPREAD_US)
        first_us = FIRST_BLINK_US + spread_us * uniform(settings.seed, _FIRST, number, number * 0)
        self.next_blink_us = np.minimum(first_us.astype(np.int64), self._detached_at_us)

    def positions(self, tags: NDArray[np.int64], at_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true x and y (m) of distinct tags, each at its own time."""
        return self.walks.positions(tags, at_us / 1e6)

    def states(self, tags: NDArray[np.int64], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the tags' states, each at its own time: a sum of ``DETACHED`` and ``BATTERY_LOW``."""
        is_detached, is_low = at_us >= self._detached_at_us[tags], at_us >= self._low_at_us[tags]
        return DETACHED * is_detached.astype(np.int64) + BATTERY_LOW * is_low.astype(np.int64)

    def blinked(self, tags: NDArray[np.int64], at_us: NDArray[np.int64]) -> None:
        """Set when ``tags``, which blinked at ``at_us``, do so again: at the latest when they are torn off."""
        torn_off_us = self._detached_at_us[tags]
        is_slow = self.is_still[tags] & (at_us < torn_off_us)
        jitter_us = BLINK_JITTER_US * (2 * uniform(self._seed, _INTERVAL, tags, at_us) - 1)
        next_us = at_us + np.where(is_slow, STILL_INTERVAL_US, MOVING_INTERVAL_US) + jitter_us.astype(np.int64)
        self.next_blink_us[tags] = np.where(at_us < torn_off_us, np.minimum(next_us, torn_off_us), next_us)


def _evenly(number: NDArray[np.int64], share: float, phase: float) -> NDArray[np.bool_]:
    """Choose a share of the tags, spread evenly over their numbers."""
    chosen: NDArray[np.bool_] = np.floor((number + 1) * share + phase + 1e-9) > np.floor(number * share + phase + 1e-9)
    return chosen
