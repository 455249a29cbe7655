"""What was seen on a pipeline's topics, joined with the simulator's truth: counts, errors, latencies.

No Kafka and no clock: the only times are the append times (milliseconds since 1970) that the broker gave the records.
Memory is bounded, were the run to last for days:

- errors and latencies are histograms with bins of 1 mm and 1 ms; quantiles are therefore within half a bin (latencies,
  being whole milliseconds, are exact), interpolated between order statistics as numpy does;
- truth, positions that wait for their truth, and the fix ids of the repeat check are kept for minutes, and never more
  than a fixed number of them. Only the tags' ids and last positions grow with the number of tags.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runners.live.statistics import Histogram, Rate, Recent

LATENCY_WARM_UP_MS = 30_000  # counted from the first position; latencies within it are left out
JOIN_HORIZON_MS = 120_000
REPEAT_HORIZON_MS = 600_000
MAX_TRUTH = 500_000
MAX_WAITING = 100_000
MAX_FIX_IDS = 500_000

RecordKey = tuple[int, int, str]  # partition, offset, name of the tag
_NAME_DIGITS = 12


class _Truth(NamedTuple):
    true_s: float
    appended_ms: int
    x_m: float
    y_m: float


class _Position(NamedTuple):
    tag: str
    x_m: float
    y_m: float
    appended_ms: int
    records: tuple[RecordKey, ...]


@dataclass(slots=True)
class TagState:
    """What the table shows of one tag; error and latency are those of its newest position with known truth."""

    x_m: float = math.nan
    y_m: float = math.nan
    z_m: float | None = None
    accuracy_m: float | None = None
    detached: bool = False
    battery_low: bool = False
    appended_ms: int = 0
    error_m: float | None = None
    latency_ms: int | None = None
    fixes: Rate = field(default_factory=Rate)


class Summary:
    """Counts and joins what the topics bring, in whatever order they bring it.

    A position is joined with the truth of every record that it used. Its *error* is the horizontal distance to the
    truth of its newest reading (by the true instant; of equal ones, the later appended). Its *latency* runs from the
    append of the last appended reading that it used to its own append.

    A truth is forgotten two minutes (of append time) behind the newest truth that a position used, so a pipeline that
    lags keeps its truths; a position gives up waiting when the truth is two minutes past it.
    """

    def __init__(self) -> None:
        self.readings = 0
        self.positions = 0
        self.repeats = 0
        self.rejected: Counter[str] = Counter()
        self.errors_m = Histogram(bin_width=0.001, largest=100.0)
        self.latencies_ms = Histogram(bin_width=1.0, largest=600_000.0)
        self.reading_rate = Rate()
        self.tags: dict[str, TagState] = {}
        self.newest_ms = 0
        self._true_tags: set[str] = set()
        self._first_data_ms: int | None = None
        self._last_data_ms = 0
        self._first_position_ms: int | None = None
        self._newest_truth_ms = 0
        self._newest_joined_ms = 0
        self._truth: Recent[RecordKey, _Truth] = Recent(MAX_TRUTH)
        self._waiting: Recent[RecordKey, list[_Position]] = Recent(MAX_WAITING)
        self._fix_ids: Recent[str, None] = Recent(MAX_FIX_IDS)

    @property
    def true_tags(self) -> int:
        """How many tags the truth speaks of."""
        return len(self._true_tags)

    @property
    def without_truth(self) -> int:
        """How many positions still wait for their truth, or have given up."""
        return self.positions - self.errors_m.count

    def add_reading_record(self, readings: int, appended_ms: int) -> None:
        """Count a record of the data topic and the readings in it, which may be none."""
        self.readings += readings
        self.reading_rate.add(appended_ms, readings)
        first_ms = self._first_data_ms
        self._first_data_ms = appended_ms if first_ms is None else min(first_ms, appended_ms)
        self._last_data_ms = max(self._last_data_ms, appended_ms)
        self.newest_ms = max(self.newest_ms, appended_ms)

    def add_truth(self, value: Mapping[str, Any]) -> None:
        """Take where a tag truly was at the true instant of one reading, and join the positions that wait for it."""
        tag: str = value["tagid"]
        self._true_tags.add(_name(tag))
        key = (value["partition"], value["offset"], _name(tag))
        truth = _Truth(value["t"], value["kafka_time_ms"], value["x"], value["y"])
        self._newest_truth_ms = max(self._newest_truth_ms, truth.appended_ms)
        self._truth.put(key, truth.appended_ms, truth)
        for position in self._waiting.pop(key) or ():
            self._join(position)
        self._forget()

    def add_position(self, value: Mapping[str, Any], appended_ms: int) -> None:
        """Take a position, unless its fix was seen before; its error counts as soon as all its truth is known."""
        fix_id: str = value["fix_id"]
        if fix_id in self._fix_ids:
            self.repeats += 1
            return
        tag: str = value["tagid"]
        records = tuple((partition, offset, _name(tag)) for partition, offset in value["records"])
        if not records:
            raise ValueError(f"fix {fix_id} names no records")
        position = _Position(tag, value["x"], value["y"], appended_ms, records)
        self._show(value, appended_ms)
        self._fix_ids.put(fix_id, appended_ms, None)
        self.positions += 1
        first_ms = self._first_position_ms
        self._first_position_ms = appended_ms if first_ms is None else min(first_ms, appended_ms)
        self.newest_ms = max(self.newest_ms, appended_ms)
        self._join(position)
        self._forget()

    def add_rejected(self, value: Mapping[str, Any]) -> None:
        """Count a rejection under its reason."""
        self.rejected[value["reason"]] += 1

    def result(self) -> dict[str, Any]:
        """Return the summary, ready for JSON; ``seconds`` runs from the first to the last record of the data topic."""
        seconds = (self._last_data_ms - (self._first_data_ms or 0)) / 1000
        return {
            "readings": self.readings,
            "positions": self.positions,
            "rejected": dict(sorted(self.rejected.items())),
            "median_error_m": _rounded(self.errors_m.quantile(0.50), 4),
            "p95_error_m": _rounded(self.errors_m.quantile(0.95), 4),
            "latency_p50_ms": _rounded(self.latencies_ms.quantile(0.50), 1),
            "latency_p99_ms": _rounded(self.latencies_ms.quantile(0.99), 1),
            "tags": self.true_tags,
            "tags_positioned": len(set(map(_name, self.tags))),
            "repeats": self.repeats,
            "positions_without_truth": self.without_truth,
            "seconds": seconds,
            "readings_per_s": round(self.readings / seconds, 1) if seconds else None,
        }

    def _show(self, value: Mapping[str, Any], appended_ms: int) -> None:
        state = self.tags.setdefault(value["tagid"], TagState())
        state.x_m, state.y_m, state.z_m = value["x"], value["y"], value["z"]
        state.accuracy_m = value["accuracy"]
        state.detached, state.battery_low = value["detached"], value["battery_low"]
        state.appended_ms = appended_ms
        state.fixes.add(appended_ms)

    def _join(self, position: _Position) -> None:
        """Measure the position against its truth, or let it wait for the first part of it that is missing."""
        truths = []
        for key in position.records:
            truth = self._truth.get(key)
            if truth is None:
                waiting = self._waiting.get(key)
                if waiting is None:
                    self._waiting.put(key, position.appended_ms, [position])
                else:
                    waiting.append(position)
                return
            truths.append(truth)
        newest = max(truths, key=lambda truth: (truth.true_s, truth.appended_ms))
        last_appended_ms = max(truth.appended_ms for truth in truths)
        error_m = math.hypot(position.x_m - newest.x_m, position.y_m - newest.y_m)
        latency_ms = position.appended_ms - last_appended_ms
        self.errors_m.add(error_m)
        if position.appended_ms >= (self._first_position_ms or 0) + LATENCY_WARM_UP_MS:
            self.latencies_ms.add(latency_ms)
        state = self.tags[position.tag]
        state.error_m, state.latency_ms = error_m, latency_ms
        self._newest_joined_ms = max(self._newest_joined_ms, last_appended_ms)

    def _forget(self) -> None:
        self._truth.forget(self._newest_joined_ms - JOIN_HORIZON_MS)
        self._waiting.forget(self._newest_truth_ms - JOIN_HORIZON_MS)
        self._fix_ids.forget(self.newest_ms - REPEAT_HORIZON_MS)


def _name(tag: str) -> str:
    """Return the digits that name a tag: in the others is its state, which positions may leave out."""
    return tag[:_NAME_DIGITS]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
