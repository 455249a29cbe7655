"""What of a tag's id names the tag. Of some tags only the first digits do, and the last four tell the tag's state."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

_FIRST12 = re.compile(r"([0-9A-Fa-f]{12})([0-9A-Fa-f]{4})")
_STILL = "0000"
_DETACHED = 0x0001
_BATTERY_LOW = 0x0100


class TagIdentity(str, enum.Enum):
    """How a site's tag ids are read."""

    WHOLE = "whole"
    """The id as it is names the tag."""
    FIRST12 = "first12"
    """Of 16 hex digits the first 12 name the tag, and the last 4 are its state: it changes its id when torn off."""


class TagName(NamedTuple):
    """A tag's lasting id, and what the id it was sent under told of its state."""

    tag: str
    detached: bool
    battery_low: bool


def tag_name(tag_id: str, identity: TagIdentity) -> TagName | None:
    """Return the name of a tag sent under an id; None where the id is not of that kind.

    Under ``FIRST12`` the lasting id is the first 12 digits, in upper case, and ``0000``. Of the state digits two bits
    are read: 0001 is detached, 0100 a low battery; others are left to later tags.
    """
    if identity is TagIdentity.WHOLE:
        return TagName(tag_id, detached=False, battery_low=False)
    match = _FIRST12.fullmatch(tag_id)
    if match is None:
        return None
    digits, state = match[1].upper(), int(match[2], 16)
    return TagName(digits + _STILL, detached=bool(state & _DETACHED), battery_low=bool(state & _BATTERY_LOW))
