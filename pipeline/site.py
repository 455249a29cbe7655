"""The site map: where the anchors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_MAX_DISTANCE_M = 100.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor's place in the site's frame. ``z_m`` is None where the height is not known.

    The tag is then taken to be at the anchor's height.
    """

    id: str
    x_m: float
    y_m: float
    z_m: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site map. ``tag_height_m`` is the height at which tags are carried, in the frame of the anchors' z."""

    name: str
    anchors: Mapping[str, Anchor]
    tag_height_m: float | None = None
    max_distance_m: float = DEFAULT_MAX_DISTANCE_M
