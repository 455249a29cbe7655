"""What one tag gives a benchmark: readings of a walk within a ring of anchors, the same each time."""

from __future__ import annotations

import math
import random

from pipeline.model import Reading
from pipeline.site import Anchor, Site

RING_M = (10.0, 7.5)
"""Half axes of the ring on which the anchors are."""
WALK_M, WALK_S = 5.0, 30.0
"""Radius of the walk about the ring's middle, and how long a round of it takes."""
ANCHOR_HEIGHT_M, TAG_HEIGHT_M = 2.5, 1.2
BLINK_US = 200_000
"""From one blink of the tag to the next; all anchors hear it, one a millisecond."""
NOISE_M, BIAS_M = 0.08, 0.1
"""Standard deviations of a range's noise, and of what one anchor's ranges are wrong by all the time."""
BLOCKED, BLOCKED_M = 0.03, 1.0
"""Share of the ranges that come without line of sight, and by how much they are then too long in the mean."""
_BEGIN_US = 1_769_860_800_000_000
_ON_THE_WAY_US = 20_000


def ring_site(anchors: int) -> Site:
    """Return a site with so many anchors on an ellipse, and a known tag height."""
    turn = 2.0 * math.pi / anchors
    places = [(RING_M[0] * math.cos(turn * k), RING_M[1] * math.sin(turn * k)) for k in range(anchors)]
    names = [f"A1B2C3D3E4F5{k:04X}" for k in range(anchors)]
    return Site(
        "ring",
        {name: Anchor(name, x_m, y_m, ANCHOR_HEIGHT_M) for name, (x_m, y_m) in zip(names, places, strict=True)},
        TAG_HEIGHT_M,
    )


def walk_readings(site: Site, blinks: int) -> list[Reading]:
    """Return the readings of a tag's walk, in order of time."""
    chance = random.Random(0)  # noqa: S311  (the same each time)
    bias_m = {name: chance.gauss(0.0, BIAS_M) for name in site.anchors}
    readings: list[Reading] = []
    for blink in range(blinks):
        blink_us = _BEGIN_US + blink * BLINK_US
        turn = 2.0 * math.pi * blink * BLINK_US / 1e6 / WALK_S
        place = (WALK_M * math.cos(turn), WALK_M * math.sin(turn), TAG_HEIGHT_M)
        for order, anchor in enumerate(site.anchors.values()):
            distance_m = math.dist(place, (anchor.x_m, anchor.y_m, ANCHOR_HEIGHT_M))
            distance_m += bias_m[anchor.id] + chance.gauss(0.0, NOISE_M)
            if chance.random() < BLOCKED:
                distance_m += chance.expovariate(1.0 / BLOCKED_M)
            at_us = blink_us + order * 1000 + 137
            readings.append(
                Reading(
                    tag="0003FF0000050000",
                    anchor=anchor.id,
                    distance_m=distance_m,
                    measured_at_us=at_us,
                    kafka_time_us=at_us + _ON_THE_WAY_US,
                    time_replaced=False,
                    detached=False,
                    battery_low=False,
                    partition=0,
                    offset=len(readings),
                )
            )
    return readings
