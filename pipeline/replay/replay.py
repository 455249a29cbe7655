"""A log through the graph, and what came of it."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.model import KafkaRecord
from pipeline.replay.groups import group_all
from pipeline.replay.log import EPOCH_US
from pipeline.settings import GraphSettings
from pipeline.site import Site

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class Estimate(NamedTuple):
    """A position as it came out. ``time_us``: the time that it is for, in microseconds of the log.

    The frame is the site's. ``cov_m2`` is the horizontal covariance (xx, xy, yy), None where none is given; ``nis`` and
    ``nis_dof`` are as in ``pipeline.model.Position``. ``rows`` are the rows of the log that it was made of.
    """

    tag: str
    time_us: int
    x_m: float
    y_m: float
    cov_m2: tuple[float, float, float] | None
    nis: float | None
    nis_dof: int
    rows: frozenset[int]


class Round(NamedTuple):
    """A group that was to give a position: newest time of its readings (µs of the log), and their rows."""

    tag: str
    time_us: int
    rows: frozenset[int]


class Replayed(NamedTuple):
    """What a log came to. Estimates, values and rounds are in order of time, then tag."""

    readings: int
    estimates: Sequence[Estimate]
    values: Sequence[Mapping[str, Any]]
    """The JSON of ``out_data`` of each estimate, with ``t`` (s of the log) in place of ``timestamp_generated``."""
    rejections: Mapping[str, int]
    """By reason, the readings that gave no position."""
    rounds: Sequence[Round]


def replay(records: Sequence[KafkaRecord], site: Site, settings: GraphSettings) -> Replayed:
    """Run the graph over the records of a log (see ``pipeline.replay.log.read_ranges``), in the order given.

    Raises:
        RuntimeError: the graph failed, as with strict settings at the first unexpected error.
    """
    from pipeline.replay.engine import run_bounded  # noqa: PLC0415  (Beam takes seconds to load)

    rounds = _rounds(records, site, settings)
    with tempfile.TemporaryDirectory(prefix="beam-rtls-") as directory:
        positions, rejected = run_bounded(
            records, site, settings, Path(directory, "positions.jsonl"), Path(directory, "rejected.jsonl")
        )
    times_us = {record.offset: record.kafka_time_us - EPOCH_US for record in records}
    placed = [_placed(json.loads(position), times_us) for position in positions]
    placed.sort(key=lambda pair: (pair[0].time_us, pair[0].tag))
    return Replayed(
        readings=len(records),
        estimates=[estimate for estimate, _ in placed],
        values=[value for _, value in placed],
        rejections=dict(sorted(Counter(json.loads(each)["reason"] for each in rejected).items())),
        rounds=rounds,
    )


def _rounds(records: Iterable[KafkaRecord], site: Site, settings: GraphSettings) -> list[Round]:
    rounds = [
        Round(
            group.tag,
            max(reading.measured_at_us for reading in group.readings) - EPOCH_US,
            frozenset(reading.offset for reading in group.readings),
        )
        for group in group_all(records, site, settings.grouping)
    ]
    return sorted(rounds, key=lambda one: (one.time_us, one.tag))


def _placed(value: dict[str, Any], times_us: Mapping[int, int]) -> tuple[Estimate, dict[str, Any]]:
    """Return an ``out_data`` value as an estimate and as the log has it.

    Its own time has milliseconds only, while a log may tell its readings apart by microseconds: the exact time is that
    of the newest row, unless the track was already further. A row's measured time is its Kafka time (see
    ``read_ranges``), also where it was replaced by that.
    """
    rows = frozenset(offset for _, offset in value["records"])
    stated = dt.datetime.fromisoformat(value["timestamp_generated"].replace("Z", "+00:00"))  # Python 3.10 knows no Z
    stated_us = (stated - _EPOCH) // dt.timedelta(microseconds=1) - EPOCH_US
    time_us = max(stated_us, *(times_us[row] for row in rows))
    covariance = tuple(value.get(name) for name in ("cov_xx", "cov_xy", "cov_yy"))
    estimate = Estimate(
        tag=value["tagid"],
        time_us=time_us,
        x_m=value["x"],
        y_m=value["y"],
        cov_m2=None if None in covariance else covariance,  # type: ignore[arg-type]
        nis=value.get("nis"),
        nis_dof=value.get("nis_dof") or 0,
        rows=rows,
    )
    in_log = {"t": time_us / 1e6, **value}
    in_log.pop("timestamp_generated", None)
    return estimate, in_log
