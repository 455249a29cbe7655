"""The science on real UWB readings with ground truth: grouped and solved, no engine."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.model import Group, Reading
from pipeline.positioning.rounds import GroupingSettings, Rounds
from pipeline.positioning.trilateration import UnsolvableError, trilaterate
from pipeline.site import Site, load_site

LOGS = Path(os.environ.get("BEAM_RTLS_LOGS") or Path(__file__).parents[2] / "shared" / "data" / "uwb")
EPOCH_US = 1_700_000_000_000_000
SETTINGS = GroupingSettings()


class Log(NamedTuple):
    """A log, the height of its tags (m) and when to score (s from its start)."""

    name: str
    tag_height_m: float
    scored_s: tuple[float, float]


class Outcome(NamedTuple):
    """How a log went."""

    rmse_m: float
    ended: Counter[str]


LIAS = Log("lias_dyn_fast", 0.97, (-math.inf, math.inf))
HYU = [
    Log("hyu_los_case1", 1.13, (52.13, 191.88)),
    Log("hyu_los_case2", 1.14, (51.00, 197.87)),
    Log("hyu_nlos_case1", 1.13, (55.00, 224.25)),
    Log("hyu_nlos_case2", 1.08, (61.37, 217.75)),
]


def rows(log: Log, name: str) -> Iterator[dict[str, str]]:
    with (LOGS / log.name / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def readings(log: Log) -> list[Reading]:
    found = []
    for offset, row in enumerate(rows(log, "ranges.csv")):
        time_us = EPOCH_US + round(float(row["t"]) * 1e6)
        found.append(
            Reading(
                tag=row["tag_id"],
                anchor=row["anchor_id"],
                distance_m=float(row["distance_m"]),
                measured_at_us=time_us,
                kafka_time_us=time_us,
                time_replaced=False,
                detached=False,
                battery_low=False,
                partition=0,
                offset=offset,
            ),
        )
    return sorted(found, key=lambda one: one.kafka_time_us)


def truths(log: Log) -> dict[str, NDArray[np.float64]]:
    found: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row in rows(log, "truth.csv"):
        found[row["tag_id"]].append((float(row["t"]), float(row["x"]), float(row["y"])))
    return {tag: np.array(track) for tag, track in found.items()}


def play(log: Log) -> Outcome:
    if not (LOGS / log.name).is_dir():
        pytest.skip(f"no real logs: {LOGS / log.name} is missing; set BEAM_RTLS_LOGS to where they are")
    site: Site = load_site(LOGS / log.name / "anchors.csv", tag_height_m=log.tag_height_m)
    tracks, rounds = truths(log), defaultdict[str, Rounds](Rounds)
    squares: list[float] = []
    ended: Counter[str] = Counter()
    for reading in readings(log):
        if not 0 < reading.distance_m <= site.max_distance_m:
            ended["distance_out_of_range"] += 1
            continue
        for outcome in rounds[reading.tag].add(reading, SETTINGS):
            if not isinstance(outcome, Group):
                ended[outcome.reason] += 1
                continue
            at_s = (outcome.readings[-1].measured_at_us - EPOCH_US) / 1e6
            if not log.scored_s[0] <= at_s <= log.scored_s[1]:
                continue
            try:
                solved = trilaterate(
                    [site.anchors[one.anchor] for one in outcome.readings],
                    [one.distance_m for one in outcome.readings],
                    site.tag_height_m,
                )
            except UnsolvableError as unsolvable:
                ended[unsolvable.reason.value] += 1
                continue
            ended["fix"] += 1
            track = tracks[outcome.tag]
            x_m, y_m = (float(np.interp(at_s, track[:, 0], track[:, axis])) for axis in (1, 2))
            squares.append((solved.x_m - x_m) ** 2 + (solved.y_m - y_m) ** 2)
    return Outcome(math.sqrt(float(np.mean(squares))), ended)


def test_eight_anchors_around_the_tags() -> None:
    outcome = play(LIAS)
    assert outcome.rmse_m < 0.17
    assert outcome.ended["fix"] > 0.99 * (outcome.ended["fix"] + outcome.ended["inconsistent_ranges"])
    assert set(outcome.ended) <= {"fix", "inconsistent_ranges"}


@pytest.mark.parametrize("log", HYU, ids=lambda log: log.name)
def test_four_anchors_on_one_vehicle_refuse_rather_than_guess(log: Log) -> None:
    """Poor geometry: what is given out is near the truth, and what is refused says so."""
    outcome = play(log)
    assert outcome.rmse_m < 0.9
    assert outcome.ended["fix"] > 0.55 * sum(outcome.ended[name] for name in (*UNSOLVED, "fix"))


UNSOLVED = ("degenerate_geometry", "inconsistent_ranges")
