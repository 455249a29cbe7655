"""Logs of ranges and of the truth: CSV in, records as Kafka would hold them out.

``t`` is seconds, from wherever the log counts. Records carry times since 1970, so replay adds an epoch and takes it off
again in what it gives out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.model import KafkaRecord
from pipeline.wire.anchor_data import encode_anchor_data

EPOCH_US = 1_700_000_000_000_000
"""Where ``t`` = 0 is put (µs since 1970): in November 2023, which is a time that an anchor's clock can show."""
MAX_TIME_S = 4e9
"""The largest ``t`` either way, more than a century: so far a double keeps microseconds."""
RANGES_COLUMNS = ("t", "tag_id", "anchor_id", "distance_m")
TRUTH_COLUMNS = ("t", "tag_id", "x", "y")

Truth = Mapping[str, NDArray[np.float64]]
"""By tag id, where the tag truly was: one row a time, in order of time; columns t (s), x, y (m, the site's frame)."""


class LogError(ValueError):
    """A log that cannot be read. The message names file, line, column, what was expected and what is there."""


class _Measured(NamedTuple):
    distance_m: float
    detached: bool = False
    battery_low: bool = False


class _Row(NamedTuple):
    """A line of a CSV file by the names of its columns."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return what stands in a column; raises ``LogError`` where nothing does."""
        cell = self.cells.get(column, "")
        if not cell:
            raise self.error(column, "an id")
        return cell

    def number(self, column: str, what: str, limit: float = math.inf) -> float:
        """Return the number in a column; raises ``LogError`` where it is none, not finite, or beyond a limit."""
        try:
            value = float(self.cells.get(column, ""))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and abs(value) <= limit):
            raise self.error(column, what)
        return value

    def time_us(self) -> int:
        """Return ``t`` in whole microseconds."""
        return round(self.number("t", f"a number of seconds from {-MAX_TIME_S:g} to {MAX_TIME_S:g}", MAX_TIME_S) * 1e6)

    def error(self, column: str, expected: str) -> LogError:
        cell = self.cells.get(column, "")
        return LogError(f"{self.path}:{self.line}: column {column!r} is {cell!r}; expected {expected}")


def read_ranges(path: Path) -> list[KafkaRecord]:
    """Return the readings of a log, one a record, in order of time; of equal times in the order of the file.

    Columns ``t`` (s), ``tag_id``, ``anchor_id``, ``distance_m`` (slant range, m), in any order, others are let be. A
    record's Kafka time and its anchor's time are both ``EPOCH_US`` + t, its partition is 0 and its offset the number of
    the row, counted from 0. Ranges are kept as the wire has them, in single precision. What the pipeline rejects by
    itself, such as a range of 0 m or an anchor that is not on the map, is no error here.

    Raises:
        LogError: a column is missing, or a value is not what it has to be, or there are no readings.
        OSError: the file cannot be read.
    """
    records: list[KafkaRecord] = []
    for row in rows(path, RANGES_COLUMNS):
        stamped_us = EPOCH_US + row.time_us()
        measured = _Measured(row.number("distance_m", "a finite number of metres"))
        value = encode_anchor_data(row.text("anchor_id"), stamped_us, {row.text("tag_id"): measured})
        records.append(KafkaRecord(partition=0, offset=len(records), kafka_time_us=stamped_us, value=value))
    if not records:
        raise LogError(f"{path}: no readings; expected at least one row below the header")
    return sorted(records, key=lambda record: record.kafka_time_us)


def read_truth(path: Path) -> Truth:
    """Return where tags truly were.

    Columns ``t`` (s), ``tag_id``, ``x``, ``y`` (m, the site's frame), in any order; ``z`` and others are let be.

    Raises:
        LogError: as for :func:`read_ranges`.
        OSError: the file cannot be read.
    """
    found: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows(path, TRUTH_COLUMNS):
        x_m, y_m = (row.number(column, "a finite number of metres") for column in ("x", "y"))
        found.setdefault(row.text("tag_id"), []).append((row.time_us() / 1e6, x_m, y_m))
    if not found:
        raise LogError(f"{path}: no places; expected at least one row below the header")
    return {tag: np.array(sorted(places, key=lambda place: place[0])) for tag, places in found.items()}


def rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    """Yield the rows that are not blank below a header that has these columns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] | None = None
        line = 1
        try:
            for values in reader:
                cells = [value.strip() for value in values]
                if any(cells) and header is None:
                    header = _checked_header(path, line, cells, columns)
                elif any(cells) and header is not None:
                    if len(cells) > len(header):
                        what = f"the row has {len(cells)} values; expected {len(header)}, as in the header"
                        raise LogError(f"{path}:{line}: {what}")
                    # A row that is too short lacks its last values.
                    yield _Row(path, line, dict(zip(header, cells, strict=False)))
                line = reader.line_num + 1
        except csv.Error as error:
            raise LogError(f"{path}:{line}: not valid CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise LogError(f"{path}:{line}: not UTF-8 text: {error}") from error
    if header is None:
        raise LogError(f"{path}:1: the file is empty; expected the header {','.join(columns)!r}")


def _checked_header(path: Path, line: int, header: list[str], columns: tuple[str, ...]) -> list[str]:
    for column in columns:
        if header.count(column) != 1:
            found = "missing" if column not in header else f"given {header.count(column)} times"
            what = f"the header is {','.join(header)!r}, expected {','.join(columns)!r} in any order"
            raise LogError(f"{path}:{line}: column {column!r} is {found}; {what}")
    return header
