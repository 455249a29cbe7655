"""Zones of a site, and what of a position is held against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Corner = tuple[float, float]
"""x and y, metres."""
Ring = tuple[Corner, ...]
"""The corners of a closed line, each once."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the site, told when tags enter and leave it. The frame is the site map's; lengths are metres.

    ``rings`` are the outline and, after it, what is cut out of it: a valid polygon. ``z_m`` is the lowest and highest
    height that belongs to it, None where every height does; ``floor`` (0: ground) only names the storey.
    The tolerances are omlox's: a position up to ``exit_tolerance_m`` outside still counts as inside, for as long as
    ``tolerance_timeout_us``; an exit is told ``exit_delay_us`` after the last position that counts as inside, and not
    at all if another comes before.
    """

    id: str
    rings: tuple[Ring, ...]
    name: str = ""
    z_m: tuple[float, float] | None = None
    floor: float | None = None
    exit_tolerance_m: float = 0.0
    tolerance_timeout_us: int = 0
    exit_delay_us: int = 0


class Whereabouts(NamedTuple):
    """What of a position the watch over zones needs.

    Times in microseconds since 1970: ``at_us`` is the position's, ``kafka_time_us`` that of its last reading in Kafka.
    Covariances (m²) and height (m) are None where the position has none.
    """

    tag: str
    at_us: int
    kafka_time_us: int
    x_m: float
    y_m: float
    z_m: float | None
    cov_xx_m2: float | None
    cov_xy_m2: float | None
    cov_yy_m2: float | None
    var_zz_m2: float | None
