"""What all peers have in common: a reading out of a record, three circles met in closed form, a position as JSON.

Each of them reads ``AnchorData``, waits for three anchors of a tag, and writes what the web map reads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

GROUP = 3


class Heard(NamedTuple):
    """One reading."""

    tag: str
    anchor: str
    distance_m: float
    detached: bool
    battery_low: bool


Places = Mapping[str, tuple[float, float]]


def intersection(readings: list[Heard], places: Places) -> str | None:
    """Return the position where three circles meet, as JSON; None where the anchors stand in a line."""
    (x1, y1), (x2, y2), (x3, y3) = (places[reading.anchor] for reading in readings)
    r1, r2, r3 = (reading.distance_m for reading in readings)
    a, b = 2.0 * (x2 - x1), 2.0 * (y2 - y1)
    c, d = 2.0 * (x3 - x1), 2.0 * (y3 - y1)
    e = r1 * r1 - r2 * r2 + x2 * x2 - x1 * x1 + y2 * y2 - y1 * y1
    f = r1 * r1 - r3 * r3 + x3 * x3 - x1 * x1 + y3 * y3 - y1 * y1
    width = a * d - b * c
    if abs(width) < 1e-9:  # noqa: PLR2004  (twice twice the area between them)
        return None
    first = readings[0]
    return json.dumps(
        {
            "tagid": first.tag,
            "x": (e * d - b * f) / width,
            "y": (a * f - e * c) / width,
            "detached": first.detached,
            "battery_low": first.battery_low,
        }
    )


class Arguments(NamedTuple):
    """What every peer is told."""

    bootstrap_servers: str
    data_topic: str
    positions_topic: str
    places: Places


def parse(name: str) -> Arguments:
    """Return what the peer was told; the site map is the benchmark's own, which is JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.peers.{name}", description=__doc__)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--data-topic", required=True)
    parser.add_argument("--positions-topic", required=True)
    parser.add_argument("--anchors", required=True, type=Path, help="the site map, as the benchmark writes it")
    given = parser.parse_args()
    anchors = json.loads(given.anchors.read_text(encoding="utf-8"))["anchors"]
    places = {anchor["id"]: (float(anchor["x"]), float(anchor["y"])) for anchor in anchors}
    return Arguments(given.bootstrap_servers, given.data_topic, given.positions_topic, places)
