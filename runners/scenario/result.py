"""What came of a run, and whether it is as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.model import Reason
from runners.scenario.hall import NEW_ANCHOR, name_of
from runners.scenario.positions import MAP_VERSION, Course, Position
from runners.scenario.verdict import Crash, Line, is_explained
from runners.trial.ledger import WRONG, Entry, Kind, Outcome

BY_CHANCE = frozenset(
    reason.value for reason in (Reason.TOO_FEW_ANCHORS, Reason.INCONSISTENT_RANGES, Reason.DEGENERATE_GEOMETRY)
)
"""What lost readings and readings without line of sight lead to."""
MOST_MAP_S = 10.0
"""Within so long a changed map is taken up, says the interface."""


@dataclass(slots=True)
class Result:
    """What came of a run. Times are milliseconds since 1970."""

    began_ms: int = 0
    """When the script's clock began."""
    lines: list[Line] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rejections: Counter[str] = field(default_factory=Counter)
    """Rejected readings by reason, each once."""
    sent: int = 0
    more_wrong: list[str] = field(default_factory=list)
    """What is wrong beside events, courses and entries."""
    trouble: str = ""
    """Why the run was cut short; empty where it was not."""

    def wrong(self) -> list[str]:
        """Return all that is not as it should be, in words."""
        of_events = [
            f"{line.verdict.value}: {_what(line)}" for line in self.lines if not line.is_well
        ]  # the table tells the rest
        of_tags = [f"{name_of(one.tag)}: {what}" for one in self.courses for what in one.wrong]
        of_readings = [f"{entry.kind.value}: {entry.what}" for entry in self.entries if entry.kind in WRONG]
        counted = sum(entry.kind is Kind.READING for entry in self.entries)
        if not 0 < self.sent == counted:
            of_readings.append(f"{self.sent} readings were sent, {counted} are in Kafka")
        return [*of_events, *of_tags, *of_readings, *self.more_wrong]

    @property
    def holds(self) -> bool:
        """Whether all is as expected."""
        return not self.trouble and bool(self.lines) and not self.wrong()


def unexplained_repeats(found: Iterable[Outcome], crashes: Sequence[Crash]) -> list[str]:
    """Return the positions and rejections that came again though no crash explains it."""
    first_ms: dict[tuple[Any, ...], int] = {}
    wrong = []
    for outcome in found:
        before_ms = first_ms.get(outcome.identity)
        if before_ms is None:
            first_ms[outcome.identity] = outcome.appended_ms
        elif not is_explained(before_ms, outcome.appended_ms, crashes):
            wrong.append(f"came again without a crash: {outcome.value.decode(errors='replace')}")
    return wrong


def odd_rejections(rejections: Iterable[Outcome], mapped_ms: int | None) -> list[str]:
    """Return the rejections that nothing explains.

    Args:
        rejections: of readings and of heartbeats.
        mapped_ms: when the new anchor came to the map; None where it never did.
    """
    wrong = []
    for outcome in rejections:
        value = orjson.loads(outcome.value)
        is_new = value["reason"] == Reason.UNKNOWN_ANCHOR.value and value["anchorid"] == NEW_ANCHOR
        is_late = mapped_ms is not None and outcome.appended_ms > mapped_ms + 1000 * MOST_MAP_S
        if value["reason"] not in BY_CHANCE and (not is_new or is_late):
            wrong.append(f"odd rejection: {outcome.value.decode(errors='replace')}")
    return wrong


def map_faults(positions: Sequence[Position], versions: tuple[str, str], mapped_ms: int, end_ms: int) -> list[str]:
    """Return what is wrong with how a mended map was taken up.

    Args:
        positions: of all tags.
        versions: of the map before and after, 12 hex digits.
        mapped_ms: when the mended map was put in place.
        end_ms: when all had been taken up.
    """
    before, after = versions
    wrong = []
    for one in positions:
        fits = {before} if one.at_ms < mapped_ms else {before, after} if one.at_ms < end_ms else {after}
        if one.map_version not in fits:
            wrong.append(f"{name_of(one.tag)}: {MAP_VERSION} {one.map_version} at {one.at_ms}, expected of {fits}")
    if not any(NEW_ANCHOR in one.anchors for one in positions):
        wrong.append(f"{name_of(NEW_ANCHOR)} is in no position")
    return wrong


def _what(line: Line) -> str:
    what: Any = line.due.expected if line.due else line.copies[0]
    return " ".join(filter(None, (what.kind, name_of(what.subject), what.zone)))
