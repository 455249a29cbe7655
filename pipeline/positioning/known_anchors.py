"""What the tag watch has to know of the anchors: when who could not hear a tag. Times are Kafka's (µs).

A death is told some time after it was one, and while a backlog is read a return may be known before a tag is judged
whose time came in between. So silences are kept with both their ends, and a tag is judged by those of its own time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.events import Event, EventKind
from pipeline.positioning.runs import Run

ALL = ""
"""In place of an anchor: all of the site."""
EVER_US = 2**62
"""The end of a silence that lasts."""
MAX_SILENCES = 2
"""Silences kept of one anchor; older ones become one with the next, as if it had not been heard in between."""
_CHANGES = {
    EventKind.ANCHOR_DEAD.value: False,
    EventKind.ANCHOR_BACK.value: True,
    EventKind.SITE_OUTAGE.value: False,
    EventKind.SITE_BACK.value: True,
}


class AnchorChange(NamedTuple):
    """An anchor (or ``ALL``) is no longer heard, or is heard again since a time."""

    anchor: str
    heard: bool
    at_us: int


def anchor_change(event: Event) -> AnchorChange | None:
    """Return what an event of the anchor watch says of who can hear; None where it says nothing of it."""
    heard = _CHANGES.get(event.kind)
    return None if heard is None else AnchorChange(event.anchor or ALL, heard, event.at_us)


@dataclass(slots=True)
class KnownAnchors:
    """The anchors that are or were not as they should be. Of whom nothing was told, it hears tags, and always has."""

    silences: dict[str, list[Run]] = field(default_factory=dict)
    """Of an anchor, or of ``ALL``: from its death to its return, in order."""

    def take(self, change: AnchorChange) -> None:
        """Take a change in; again, or where a later one is known, it changes nothing."""
        anchor, heard, at_us = change
        silences = self.silences.get(anchor, [])
        if heard:
            if silences and silences[-1].first_us <= at_us < silences[-1].last_us:
                silences[-1] = Run(silences[-1].first_us, at_us)
        elif not silences or silences[-1].last_us < at_us:
            silences = [*silences, Run(at_us, EVER_US)]
            if len(silences) > MAX_SILENCES:
                silences[:2] = [Run(silences[0].first_us, silences[1].last_us)]
            self.silences[anchor] = silences

    def hear(self, anchor: str, at_us: int, told_after_us: int) -> bool:
        """Take in that an anchor is heard; return whether that ends a silence, its own or that of all.

        As a rule its return is told, too, and for as early. It is not where the anchor watch failed and began anew:
        silences from before would last for ever. A record from before a silence was told of ends none.
        """
        changes = False
        for name in (anchor, ALL):
            silences = self.silences.get(name)
            if silences and silences[-1].first_us + told_after_us < at_us < silences[-1].last_us:
                self.take(AnchorChange(name, heard=True, at_us=at_us))
                changes = True
        return changes

    def missed_us(self, anchors: Collection[str], last_us: int, timeout_us: int) -> int | None:
        """Return when one of the anchors had heard nothing of a tag for a time on end, though it could have.

        Args:
            anchors: those that heard the tag.
            last_us: when the tag was last heard.
            timeout_us: the time on end.

        Returns:
            The earliest such time; None: none of them can hear, so there is none as yet.
        """
        if not self.silences:
            return last_us + timeout_us if anchors else None
        found = [self._missed_us(anchor, last_us, timeout_us) for anchor in anchors]
        return min((at_us for at_us in found if at_us is not None), default=None)

    def _missed_us(self, anchor: str, since_us: int, timeout_us: int) -> int | None:
        for first_us, last_us in sorted([*self.silences.get(anchor, []), *self.silences.get(ALL, [])]):
            if first_us > since_us + timeout_us:
                break
            since_us = max(since_us, last_us)
        return since_us + timeout_us if since_us < EVER_US else None
