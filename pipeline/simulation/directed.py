"""A scene whose tags and anchors do as they are told: for plays that have to know beforehand what comes of them.

Every tag blinks once a second, and every anchor that works publishes it, with the errors of :mod:`.ranging`; heartbeats
come as from any anchor. A direction holds from the scene's ``now_s`` on. No clock is read: whoever plays decides how
fast. Times are seconds since the scene's start, places metres.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.simulation.anchors import HEARTBEAT_INTERVAL_US, Anchors
from pipeline.simulation.events import AnchorRecord, Heartbeat, TagReading
from pipeline.simulation.ranging import Ranging
from pipeline.simulation.settings import SceneSettings
from pipeline.simulation.tags import BATTERY_LOW, DETACHED, wire_id
from pipeline.site import Site

BLINK_S = 1.0
Place = tuple[float, float]


@dataclass(slots=True)
class _Walk:
    """A way in straight legs at one speed (m/s), and rest at its end."""

    from_s: float
    points: list[Place]
    speed_m_s: float = 1.0

    def at(self, at_s: float) -> Place:
        left_m = max(0.0, at_s - self.from_s) * self.speed_m_s
        for (x, y), (to_x, to_y) in zip(self.points, self.points[1:], strict=False):
            length_m = math.hypot(to_x - x, to_y - y)
            if left_m < length_m:
                share = left_m / length_m
                return x + share * (to_x - x), y + share * (to_y - y)
            left_m -= length_m
        return self.points[-1]


@dataclass(slots=True)
class _Tag:
    walk: _Walk
    next_blink_s: float
    detached: bool = False
    battery_low: bool = False
    hidden: bool = False


@dataclass(slots=True)
class _Anchor:
    next_heartbeat_s: float
    silent: bool = False
    ahead_s: float = 0.0
    """By how much its clock is wrong."""


@dataclass(slots=True)
class DirectedScene:
    """Tags at given places, all well, on a site all of whose anchors work. Tag *k* is the *k*-th place's.

    Args:
        site: the anchors, whether or not the pipeline's map has them all.
        settings: the ranging's errors; of the rest, the seed and the number of tags alone count.
        places: where the tags are at the start.
        start_us: true time at the start, integer microseconds since 1970-01-01 UTC; may be set until it is played.
    """

    site: Site
    settings: SceneSettings
    places: Sequence[Place]
    start_us: int = 0
    now_s: float = 0.0
    _ranging: Ranging = field(init=False)
    _geometry: Anchors = field(init=False)
    _tags: list[_Tag] = field(init=False)
    _anchors: dict[str, _Anchor] = field(init=False)

    def __post_init__(self) -> None:
        """Set the scene.

        Raises:
            SceneError: a map without anchors.
        """
        self._ranging = Ranging(self.settings, np.random.default_rng(self.settings.seed))
        self._geometry = Anchors(self.site, self.settings)
        share_s = BLINK_S / len(self.places)
        self._tags = [_Tag(_Walk(0.0, [place]), number * share_s) for number, place in enumerate(self.places)]
        first_s = (self._geometry.next_heartbeat_us / 1e6).tolist()
        self._anchors = {name: _Anchor(at_s) for name, at_s in zip(self._geometry.ids, first_s, strict=True)}

    def silence(self, *anchors: str) -> None:
        """Let anchors die: neither readings nor heartbeats come of them."""
        for anchor in anchors:
            self._anchors[anchor].silent = True

    def wake(self, *anchors: str) -> None:
        """Let anchors work again."""
        for anchor in anchors:
            self._anchors[anchor].silent = False

    def set_clock(self, anchor: str, ahead_s: float) -> None:
        """Set an anchor's clock wrong by some seconds; 0 sets it right."""
        self._anchors[anchor].ahead_s = ahead_s

    def tear_off(self, tag: int, *, detached: bool = True) -> None:
        """Tear a tag off, or put it on again; it blinks under its new id at once."""
        self._tags[tag].detached = detached
        self._tags[tag].next_blink_s = self.now_s

    def run_low(self, tag: int) -> None:
        """Let a tag's battery run low."""
        self._tags[tag].battery_low = True

    def hide(self, tag: int, *, hidden: bool = True) -> None:
        """Let a tag fall silent, or be heard again."""
        self._tags[tag].hidden = hidden

    def walk(self, tag: int, way: Iterable[Place], speed_m_s: float = 1.0) -> None:
        """Send a tag along a way, from where it is; it rests at the end."""
        self._tags[tag].walk = _Walk(self.now_s, [self.place(tag, self.now_s), *way], speed_m_s)

    def place(self, tag: int, at_s: float) -> Place:
        """Return where a tag is, given that no direction comes between."""
        return self._tags[tag].walk.at(at_s)

    def play(self, until_s: float) -> Iterator[AnchorRecord | Heartbeat]:
        """Go on to a time, and return what the anchors publish meanwhile, in order."""
        while True:
            blink_s, tag = min((tag.next_blink_s, number) for number, tag in enumerate(self._tags))
            heartbeat_s, anchor = min((anchor.next_heartbeat_s, name) for name, anchor in self._anchors.items())
            self.now_s = min(blink_s, heartbeat_s, until_s)
            if self.now_s >= until_s:
                return
            if heartbeat_s <= blink_s:
                yield from self._heartbeat(anchor)
            else:
                yield from self._blink(tag)

    def _heartbeat(self, name: str) -> Iterator[Heartbeat]:
        anchor = self._anchors[name]
        anchor.next_heartbeat_s += HEARTBEAT_INTERVAL_US / 1e6
        if not anchor.silent:
            yield Heartbeat(self._now_us(), name, self._stamp_us(anchor))

    def _blink(self, number: int) -> Iterator[AnchorRecord]:
        tag = self._tags[number]
        tag.next_blink_s += BLINK_S
        if tag.hidden:
            return
        x_m, y_m = self.place(number, self.now_s)
        true_m = self._geometry.distances_m(np.array([(x_m, y_m)]))[0]
        anchors = np.arange(true_m.size, dtype=np.int64)
        ranged = self._ranging.measure(true_m, np.full_like(anchors, number), anchors, self._geometry.max_range_m)
        tag_id = wire_id(number, DETACHED * tag.detached + BATTERY_LOW * tag.battery_low)
        for index, name in enumerate(self._geometry.ids):
            if self._anchors[name].silent or not ranged.is_heard[index]:
                continue
            reading = TagReading(
                *(tag_id, float(ranged.distance_m[index]), tag.detached, tag.battery_low, self._now_us()),
                *(x_m, y_m, self._geometry.tag_z_m, bool(ranged.is_outlier[index])),
            )
            yield AnchorRecord(self._now_us(), name, self._stamp_us(self._anchors[name]), (reading,))

    def _now_us(self) -> int:
        return self.start_us + round(self.now_s * 1e6)

    def _stamp_us(self, anchor: _Anchor) -> int:
        return (self._now_us() + round(anchor.ahead_s * 1e6)) // 1_000_000 * 1_000_000
