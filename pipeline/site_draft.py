"""The site map as it stands in a file, line by line: what readers make of YAML and CSV, and rules are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

SITE_KEYS = (
    *("site", "units", "tag_height", "tag_height_range", "speed_limit", "max_distance", "tag_identity", "anchors"),
    *("zones", "home_zones"),
)
ANCHOR_KEYS = ("id", "x", "y", "z", "bias", "bias_sigma")
ZONE_KEYS = (
    *("id", "name", "polygon", "geojson", "z", "floor"),
    *("exit_tolerance", "tolerance_timeout", "exit_delay"),
)
CSV_COLUMNS = {"anchor_id": "id", "x": "x", "y": "y", "z": "z", "bias": "bias", "bias_sigma": "bias_sigma"}


class Problem(NamedTuple):
    """One thing wrong with a site map. ``line`` counts from 1 and is 1 where the whole file is meant."""

    line: int
    severity: Literal["error", "warning"]
    message: str

    @classmethod
    def error(cls, line: int, message: str) -> Problem:
        """Return a problem for which the map cannot be used."""
        return cls(line, "error", message)

    @classmethod
    def warning(cls, line: int, message: str) -> Problem:
        """Return a problem with which the map can be used."""
        return cls(line, "warning", message)


class Cell(NamedTuple):
    """One value as written. ``is_string`` and ``is_plain`` tell whether it may serve as a name and as a number.

    ``items`` are the values of a list, of single values or of lists of them.
    """

    line: int
    text: str
    is_string: bool
    is_plain: bool
    is_list_or_mapping: bool = False
    items: Sequence[Cell] = ()

    def __str__(self) -> str:
        """Return the value as a message shows it: on one line, and in quotes where it was quoted."""
        return self.text if self.is_plain and self.text.isprintable() else repr(self.text)

    def number(self) -> float | None:
        """Return the value as a finite number, or None where it is none."""
        if not self.is_plain or "_" in self.text:  # float() would take 1_0 for ten
            return None
        try:
            number = float(self.text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None


class Entry(NamedTuple):
    """The values under one heading, the empty ones left out."""

    line: int
    cells: Mapping[str, Cell]


NO_ENTRY = Entry(1, {})


@dataclass(frozen=True, slots=True)
class Draft:
    """A site map as written. ``anchors`` is None where the list itself is missing or unreadable.

    ``home_zones`` has a cell for each tag id.
    """

    settings: Entry
    anchors_line: int
    anchors: Sequence[Entry] | None
    zones: Sequence[Entry] = ()
    home_zones: Entry = NO_ENTRY
