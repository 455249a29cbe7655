"""The anchors of a scene: where they are, when they are dead, what their clocks say and what they have published.

Times are integer microseconds since the scene's start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.randomness import uniform
from pipeline.simulation.settings import AnchorFault, SceneError, SceneSettings
from pipeline.simulation.walks import Box
from pipeline.site import Site

ROUND_US = 1_000_000
"""An anchor publishes a tag about so often, and all anchors the same blink where they can: a round."""
EARLY_US = 20_000
"""A blink this much too early still begins a round, for tags do not blink to the microsecond."""
MAKE_UP_US = 450_000
"""An anchor that missed a round's first blink publishes one of the two after it."""
HEARTBEAT_INTERVAL_US = 2_000_000
MIN_EXTENT_M = 1.0

_NEVER_US = np.iinfo(np.int64).min // 2
_CLOCK, _HEARTBEAT = 20, 21


class Anchors:
    """All anchors of a site."""

    def __init__(self, site: Site, settings: SceneSettings) -> None:
        """Set the anchors up.

        Raises:
            SceneError: a fault of an anchor that is not on the map, or a map without anchors.
        """
        if not site.anchors:
            raise SceneError(f"site {site.name}: expected at least one anchor")
        self.ids = list(site.anchors)
        self.places_m = np.array([(anchor.x_m, anchor.y_m) for anchor in site.anchors.values()])
        known_z_m = [anchor.z_m for anchor in site.anchors.values() if anchor.z_m is not None]
        mean_z_m = sum(known_z_m) / len(known_z_m) if known_z_m else 0.0
        self.tag_z_m = mean_z_m if site.tag_height_m is None else site.tag_height_m
        self.above_m = np.array(
            [0.0 if anchor.z_m is None else anchor.z_m - self.tag_z_m for anchor in site.anchors.values()],
        )
        limit_m = min(100.0, site.max_distance_m)
        self.max_range_m = limit_m if settings.max_range_m is None else settings.max_range_m
        self._outages = [self._span(fault) for fault in settings.outages]
        self._clock_losses = [self._span(fault) for fault in settings.clock_losses]
        number = np.arange(len(self.ids), dtype=np.int64)
        clocks = np.random.default_rng((settings.seed, _CLOCK))
        offset_us = clocks.normal(scale=settings.clock_offset_s * 1e6, size=len(self.ids))
        self._clock_offset_us = np.rint(offset_us).astype(np.int64)
        self._stamp_step_us = 1 if settings.fine_timestamps else 1_000_000
        first = HEARTBEAT_INTERVAL_US * uniform(settings.seed, _HEARTBEAT, number, number * 0)
        self.next_heartbeat_us = first.astype(np.int64)
        self._round = np.zeros(settings.tags, dtype=np.int32)
        self._round_began_us = np.full(settings.tags, _NEVER_US)
        self._published_in_round = np.zeros((settings.tags, len(self.ids)), dtype=np.int32)

    def box(self) -> Box:
        """Return the box around the anchors, at least a metre each way."""
        low, high = self.places_m.min(axis=0), self.places_m.max(axis=0)
        missing = np.maximum(MIN_EXTENT_M - (high - low), 0.0) / 2
        return Box(*(low - missing).tolist(), *(high + missing).tolist())

    def distances_m(self, places_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the slant ranges (m): one row a place (x, y), one column an anchor."""
        away = places_m[:, None, :] - self.places_m
        slant: NDArray[np.float64] = np.sqrt((away**2).sum(axis=-1) + self.above_m**2)
        return slant

    def are_alive(self, at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which anchors work: one row a time, one column an anchor."""
        alive = np.ones((at_us.size, len(self.ids)), dtype=np.bool_)
        for anchor, from_us, to_us in self._outages:
            alive[:, anchor] &= (at_us < from_us) | (at_us >= to_us)
        return alive

    def stamps_us(self, anchor: NDArray[np.int64], at_us: NDArray[np.int64], start_us: int) -> NDArray[np.int64]:
        """Return what the anchors' clocks say at the given times, microseconds since 1970, as put into records."""
        said_us: NDArray[np.int64] = start_us + at_us + self._clock_offset_us[anchor]
        for lost, from_us, to_us in self._clock_losses:
            said_us = np.where((anchor == lost) & (at_us >= from_us) & (at_us < to_us), at_us - from_us, said_us)
        stamps_us: NDArray[np.int64] = said_us // self._stamp_step_us * self._stamp_step_us
        return stamps_us

    def are_due(self, tags: NDArray[np.int64], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which anchors would publish a blink of distinct tags: one row a tag, one column an anchor."""
        begins = at_us >= self._round_began_us[tags] + ROUND_US - EARLY_US
        beginning = tags[begins]
        self._round[beginning] += 1
        self._round_began_us[beginning] = at_us[begins]
        due = self._published_in_round[tags] < self._round[tags][:, None]
        due &= (at_us <= self._round_began_us[tags] + MAKE_UP_US)[:, None]
        return due

    def forget(self, tags: NDArray[np.int64]) -> None:
        """Treat tags that go by a new id as never heard: their next blink begins a round."""
        self._round_began_us[tags] = _NEVER_US

    def published(self, tags: NDArray[np.int64], anchors: NDArray[np.int64]) -> None:
        """Note that anchors have published tags, pair by pair."""
        self._published_in_round[tags, anchors] = self._round[tags]

    def _span(self, fault: AnchorFault) -> tuple[int, int, int]:
        if fault.anchor_id not in self.ids:
            raise SceneError(f"fault of anchor {fault.anchor_id!r}: expected one of {_some(self.ids)}")
        from_us = round(fault.from_s * 1e6)
        return self.ids.index(fault.anchor_id), from_us, from_us + round(fault.lasts_s * 1e6)


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} others" if len(names) > most else "")
