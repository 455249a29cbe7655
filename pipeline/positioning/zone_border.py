"""How surely a position is inside a zone: its distance to the border, held against how well it is known.

Let *d* be the distance to the nearest place of the border, positive inside, and *n* the direction from there. With the
position's covariance *C* its error along *n* has the variance *s² = nᵀ C n*, and were the border a straight line there,
the tag would be inside with the probability *Φ(d / s)*. At a corner, or in a zone narrower than some *s*, it is less:
where this says 0.999, a strip has at least 0.998 and a square at least 0.996.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import shapely

from pipeline.zones import Whereabouts, Zone

_ON_THE_LINE_M = 1e-9
_NORMAL = NormalDist()
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Certainty:
    """What it takes to call a tag inside or outside, as probabilities; lengths in metres.

    A position without a covariance is taken as known to ``unknown_sigma_m``, and none as better known than
    ``least_sigma_m``: the errors of a tag that stands still repeat themselves.

    Raises:
        ValueError: the probabilities are not on either side of one half, or a length is not above 0.
    """

    enter_probability: float = 0.999
    leave_probability: float = 0.001
    unknown_sigma_m: float = 0.3
    least_sigma_m: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.leave_probability < _EVEN < self.enter_probability < 1.0:
            raise ValueError(
                f"zones are left below a probability of {self.leave_probability} and entered above "
                f"{self.enter_probability}; expected numbers between 0 and 1, below and above 0.5"
            )
        if not (0.0 < self.least_sigma_m < math.inf and 0.0 < self.unknown_sigma_m < math.inf):
            raise ValueError(f"sigmas are {self.unknown_sigma_m} m and {self.least_sigma_m} m; expected metres above 0")

    @property
    def enter_sigmas(self) -> float:
        """How far inside the border, in sigmas, a tag is surely inside."""
        return _NORMAL.inv_cdf(self.enter_probability)

    @property
    def leave_sigmas(self) -> float:
        """How far inside the border, in sigmas, a tag is surely outside: a negative number."""
        return _NORMAL.inv_cdf(self.leave_probability)


class Border:
    """The border of one zone, made ready for many positions."""

    def __init__(self, zone: Zone, certainty: Certainty) -> None:
        self.zone = zone
        self._certainty = certainty
        self._polygon = shapely.Polygon(zone.rings[0], zone.rings[1:])
        shapely.prepare(self._polygon)
        self._line = self._polygon.boundary
        self._bounds = self._polygon.bounds

    def may_hold(self, where: Whereabouts) -> bool:
        """Whether a position is within the zone's upright rectangle: elsewhere it cannot be surely inside."""
        low_x, low_y, high_x, high_y = self._bounds
        return bool(low_x <= where.x_m <= high_x and low_y <= where.y_m <= high_y)

    def sigmas(self, where: Whereabouts, tolerance_m: float = 0.0) -> float:
        """Return how far inside a position is, in sigmas; negative outside.

        Of plan and height that is told which leaves more doubt. ``tolerance_m`` moves the border outwards in plan.
        """
        depth_m, sigma_m = self._depth(where)
        in_plan = (depth_m + tolerance_m) / sigma_m
        if self.zone.z_m is None or where.z_m is None:
            return in_plan
        lowest_m, highest_m = self.zone.z_m
        sigma_z_m = max(math.sqrt(max(where.var_zz_m2 or 0.0, 0.0)), self._certainty.least_sigma_m)
        return min(in_plan, min(where.z_m - lowest_m, highest_m - where.z_m) / sigma_z_m)

    def _depth(self, where: Whereabouts) -> tuple[float, float]:
        """Return how far from the border a position is (m, negative outside), and its sigma across it."""
        place = shapely.Point(where.x_m, where.y_m)
        (at_x, at_y), (x, y) = shapely.get_coordinates(shapely.shortest_line(self._line, place)).tolist()
        distance_m = math.hypot(x - at_x, y - at_y)
        xx, xy, yy = where.cov_xx_m2, where.cov_xy_m2, where.cov_yy_m2
        if xx is None or xy is None or yy is None:
            sigma_m = self._certainty.unknown_sigma_m
        elif distance_m < _ON_THE_LINE_M:
            sigma_m = math.sqrt(max(xx, yy, 0.0))  # of no account: on the line, it is as likely inside as outside
        else:
            along_x, along_y = (x - at_x) / distance_m, (y - at_y) / distance_m
            sigma_m = math.sqrt(max(along_x**2 * xx + 2.0 * along_x * along_y * xy + along_y**2 * yy, 0.0))
        is_inside = bool(shapely.contains_xy(self._polygon, where.x_m, where.y_m))
        return (distance_m if is_inside else -distance_m), max(sigma_m, self._certainty.least_sigma_m)


Borders = Mapping[str, Border]
"""The borders of a site's zones, by the zone's id."""


def borders(zones: Mapping[str, Zone], certainty: Certainty) -> dict[str, Border]:
    """Return the borders of zones."""
    return {zone_id: Border(zone, certainty) for zone_id, zone in zones.items()}


def probability(sigmas: float) -> float:
    """Return the probability of being inside, so many sigmas from the border."""
    return _NORMAL.cdf(sigmas)
