"""A log as calibration wants it: the readings on the site's map, numbered, and where their tags truly were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.positioning.calibration import Ranges
from pipeline.positioning.known_places import places_at
from pipeline.positioning.robust import Floats
from pipeline.replay.log import EPOCH_US, TRUTH_COLUMNS, LogError, read_ranges, rows
from pipeline.replay.scoring import Window
from pipeline.site import Site
from pipeline.wire.decode import decode


@dataclass(frozen=True, slots=True)
class Log:
    """The readings in order of time, the tags by number, and how many were refused for what reason."""

    ranges: Ranges
    tags: tuple[str, ...]
    refused: Mapping[str, int]


def read_log(path: Path, site: Site, window: Window) -> Log:
    """Return the readings of a log with times in a window, as the pipeline would take them.

    Raises:
        LogError: the log is not what it has to be, or holds no such readings.
        OSError: it cannot be read.
    """
    decoded = [decode(record, site) for record in read_ranges(path) if window.holds(record.kafka_time_us - EPOCH_US)]
    readings = [reading for each in decoded for reading in each.readings]
    refused = Counter(rejected.reason for each in decoded for rejected in each.rejected)
    if not readings:
        told = "".join(f", {count} refused as {reason}" for reason, count in refused.items())
        raise LogError(f"{path}: no readings by anchors of the map between --from and --to{told}")
    tags = {tag: number for number, tag in enumerate(sorted({reading.tag for reading in readings}))}
    anchors = {anchor: number for number, anchor in enumerate(site.anchors)}
    ranges = Ranges(
        np.array([(reading.measured_at_us - EPOCH_US) / 1e6 for reading in readings]),
        np.array([tags[reading.tag] for reading in readings], dtype=np.int64),
        np.array([anchors[reading.anchor] for reading in readings], dtype=np.int64),
        np.array([reading.distance_m for reading in readings]),
    )
    return Log(ranges, tuple(tags), refused)


def read_places(path: Path, site: Site, log: Log) -> Floats:
    """Return where the tags of a log's readings truly were (n, 3; m), nan where the truth does not tell.

    A truth without z has the site's tag height; where the map has no heights, z is 0.

    Raises:
        LogError: the truth is not what it has to be, or knows none of the tags at these times.
        OSError: it cannot be read.
    """
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows(path, TRUTH_COLUMNS):
        x_m, y_m = (row.number(column, "a finite number of metres") for column in ("x", "y"))
        z_m = row.number("z", "a finite number of metres") if "z" in row.cells else _height(path, site)
        found.setdefault(row.text("tag_id"), []).append((row.time_us() / 1e6, x_m, y_m, z_m))
    places_m = np.full((log.ranges.at_s.size, 3), math.nan)
    for number, tag in enumerate(log.tags):
        if tag in found:
            mine = log.ranges.tag == number
            places_m[mine] = places_at(np.array(sorted(found[tag])), log.ranges.at_s[mine])
    if not np.isfinite(places_m).any():
        what = f"no places of the readings' tags ({', '.join(log.tags[:3])}) at their times"
        raise LogError(f"{path}: {what}; it tells of {', '.join(sorted(found)[:3]) or 'none'}")
    return places_m


def _height(path: Path, site: Site) -> float:
    if site.tag_height_m is not None:
        return site.tag_height_m
    if site.tag_height_range_m is not None:
        raise LogError(f"{path}:1: column 'z' is missing, and the tag height is not known; add it or give --tag-height")
    return 0.0
