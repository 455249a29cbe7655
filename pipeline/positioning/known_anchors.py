"""What the tag watch has to know of the anchors: who could hear a tag, and since when. Times are Kafka's (µs)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.events import Event, EventKind

ALL = ""
"""In place of an anchor: all of the site."""
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
    """The anchors that are not as they should be. Of whom nothing was told, it hears tags, and always has."""

    dead: set[str] = field(default_factory=set)
    back: dict[str, int] = field(default_factory=dict)
    """Anchors that were dead, and since when they are heard again."""
    out: bool = False
    site_back_us: int = 0

    def take(self, change: AnchorChange) -> None:
        """Take a change in; again, it changes nothing."""
        anchor, heard, at_us = change
        if anchor == ALL:
            self.out = not heard
            if heard:
                self.site_back_us = at_us
        elif heard:
            self.dead.discard(anchor)
            self.back[anchor] = at_us
        else:
            self.dead.add(anchor)
            self.back.pop(anchor, None)

    def hearing_since_us(self, anchors: Iterable[str]) -> int | None:
        """Return since when one of the anchors at least can be heard; 0: always; None: none of them can."""
        if self.out:
            return None
        since_us = [self.back.get(anchor, 0) for anchor in anchors if anchor not in self.dead]
        return max(min(since_us), self.site_back_us) if since_us else None
