"""What becomes of a site map while the pipeline runs, as events: each told once, though every worker sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.events import Event, EventKind, event_id


class MapReport(NamedTuple):
    """What one worker says of the map's file.

    Attributes:
        site: the site's name, by the map in force.
        version: of what stands in the file.
        seen_at_us: when this worker decided on it, by its own clock.
        fault: why it is not in force; None where it is.
    """

    site: str
    version: str
    seen_at_us: int
    fault: str | None


@dataclass(slots=True)
class MapChanges:
    """What has been told of a map."""

    version: str = ""
    """What stood in the file last; empty before the first report."""
    is_refused: bool = False
    seen_at_us: int = 0
    count: int = 0
    """How many changes have been told of."""
    begun_us: int = 0
    """``seen_at_us`` of the first report: a count of another job, begun without this state, is another."""

    def take(self, report: MapReport) -> list[Event]:
        """Take a worker's report in; return the event of a change that no other worker has reported.

        A report from before what is known already comes from a worker that has not seen the change yet.
        """
        is_refused = report.fault is not None
        if report.seen_at_us <= self.seen_at_us or (report.version, is_refused) == (self.version, self.is_refused):
            return []
        is_first = not self.version
        self.begun_us = self.begun_us or report.seen_at_us
        self.version, self.is_refused, self.seen_at_us = report.version, is_refused, report.seen_at_us
        if is_first and not is_refused:
            return []
        self.count += 1
        kind = EventKind.MAP_REFUSED if is_refused else EventKind.MAP_CHANGED
        return [
            Event(
                kind.value,
                event_id(kind, f"{report.site} {report.version} {self.count}", self.begun_us),
                report.seen_at_us,
                site=report.site,
                map_version=report.version,
                detail=report.fault or "",
            )
        ]
