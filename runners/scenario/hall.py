"""The site of the scenario: a hall of 30 x 18 m, its zones, the tags in it, and the map as it is, broken and mended."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.simulation.directed import Place
from pipeline.simulation.tags import wire_id
from pipeline.tag_identity import TagIdentity

SITE = "scenario"
IDENTITY = TagIdentity.FIRST12


def anchor_id(number: int) -> str:
    """Return the id of an anchor, 16 hex digits as on its label."""
    return f"A1B2C3D3E4F5{number:04X}"


def tag_id(number: int) -> str:
    """Return the lasting id of a tag."""
    return wire_id(number, 0)


ANCHORS: dict[str, tuple[float, float, float]] = {
    anchor_id(1): (0.5, 0.5, 5.0),
    anchor_id(2): (15.0, 0.4, 5.4),
    anchor_id(3): (29.5, 0.5, 5.0),
    anchor_id(4): (29.5, 17.5, 4.6),
    anchor_id(5): (15.0, 17.6, 5.4),
    anchor_id(6): (0.5, 17.5, 4.6),
}
"""Those on the map from the beginning: x, y, z in metres."""
NEW_ANCHOR = anchor_id(7)
NEW_ANCHOR_PLACE = (15.0, 9.0, 5.8)

DOCK, AISLE, CAGE = "dock", "aisle", "cage"
SHELF, CART, PALLET, TOOL, CASE, CRATE, JACK = range(7)
"""The tags, by number."""
TAG_NAMES = ("shelf", "cart", "pallet", "tool", "case", "crate", "jack")
TAG_PLACES: tuple[Place, ...] = (
    (13.0, 4.5),
    (3.0, 9.0),
    (1.5, 4.5),
    (25.5, 13.5),  # in the cage
    (12.0, 12.0),
    (8.0, 16.2),
    (25.0, 8.5),
)

_HEAD = f"""\
site: {SITE}
units: m
tag_height: 1.2
tag_identity: {IDENTITY.value}
zones:
  - {{id: {DOCK}, polygon: [[4, 2], [10, 2], [10, 7], [4, 7]]}}
  - {{id: {AISLE}, polygon: [[16, 2], [22, 2], [22, 7], [16, 7]]}}
  - {{id: {CAGE}, polygon: [[23, 11], [28, 11], [28, 16], [23, 16]]}}
home_zones:
  "{tag_id(TOOL)}": {CAGE}
anchors:
"""


def good_map(*, with_new_anchor: bool = False) -> str:
    """Return the site map."""
    places = {**ANCHORS, NEW_ANCHOR: NEW_ANCHOR_PLACE} if with_new_anchor else ANCHORS
    return _HEAD + "".join(_line(name, *(f"{number:g}" for number in place)) for name, place in places.items())


def broken_map() -> str:
    """Return the map with the new anchor on it and a slip of the pen: its ``x`` has a comma, and there is no ``y``."""
    x_m, _, z_m = NEW_ANCHOR_PLACE
    return good_map() + _line(NEW_ANCHOR, f'"{x_m:.0f},0"', "", f"{z_m:g}")


def version_of(text: str) -> str:
    """Return by what a map is known in events and positions, 12 hex digits, as ``beam-rtls check`` shows it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def replace_file(path: Path, text: str) -> None:
    """Put a text in the place of a file at one stroke, as who copies a new map there should."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def name_of(subject: str) -> str:
    """Return what a tag or anchor is called in what a person reads."""
    for number, name in enumerate(TAG_NAMES):
        if subject == tag_id(number):
            return name
    for number, anchor in enumerate((*ANCHORS, NEW_ANCHOR), start=1):
        if subject == anchor:
            return f"anchor {number}"
    return subject


def _line(name: str, x_m: str, y_m: str, z_m: str) -> str:
    return f'  - {{id: "{name}", x: {x_m}, y: {y_m}, z: {z_m}}}\n'
