"""The site map: where the anchors are, read from a file and checked before anything is positioned by it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.site_file import Cell, Draft, Entry, Problem, read_draft

DEFAULT_MAX_DISTANCE_M = 100.0
MIN_ANCHORS = 3
COLLINEAR_RATIO = 0.01
"""Anchors this flat in plan (30 cm across a row of 30 m) are on one line: no position is solved from them."""
NEARLY_COLLINEAR_RATIO = 0.05

__all__ = [
    "DEFAULT_MAX_DISTANCE_M",
    "Anchor",
    "Problem",
    "Site",
    "SiteError",
    "SiteFile",
    "SiteSource",
    "check_site",
    "examine_site",
    "load_site",
    "plan_flatness",
]


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor's place in the site's frame. ``z_m`` is None where the height is not known.

    The tag is then taken to be at the anchor's height.
    """

    id: str
    x_m: float
    y_m: float
    z_m: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site map. ``tag_height_m`` is the height at which tags are carried, in the frame of the anchors' z."""

    name: str
    anchors: Mapping[str, Anchor]
    tag_height_m: float | None = None
    max_distance_m: float = DEFAULT_MAX_DISTANCE_M


SiteSource = Callable[[], Site]
"""Where a worker gets the site map from; it is asked when the worker starts."""


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site map as a file that every worker can read: a ``SiteSource``."""

    path: Path
    tag_height_m: float | None = None

    def __call__(self) -> Site:
        """Return what :func:`load_site` makes of it, and raise what that raises."""
        return load_site(self.path, self.tag_height_m)


class SiteError(ValueError):
    """A site map that cannot be used. The message has one line an error: ``FILE:LINE: what``."""


def load_site(path: str | os.PathLike[str], tag_height_m: float | None = None) -> Site:
    """Read a site map from YAML or CSV.

    Args:
        path: the file; its ending (.yaml, .yml, .csv) tells the format.
        tag_height_m: the height of the tags (m), in place of the file's.

    Raises:
        SiteError: where the map has errors; the message lists them all. Warnings do not raise.
    """
    site, problems = examine_site(path, tag_height_m)
    if site is None:
        errors = [problem for problem in problems if problem.severity == "error"]
        raise SiteError("\n".join(f"{os.fspath(path)}:{error.line}: {error.message}" for error in errors))
    return site


def check_site(path: str | os.PathLike[str], tag_height_m: float | None = None) -> list[Problem]:
    """Return everything that is wrong with a site map, in the order of its lines."""
    return examine_site(path, tag_height_m)[1]


def examine_site(path: str | os.PathLike[str], tag_height_m: float | None = None) -> tuple[Site | None, list[Problem]]:
    """Return the site, None where the map has errors, and all its problems in the order of their lines."""
    problems: list[Problem] = []
    draft = read_draft(Path(path), problems)
    site = None if draft is None else _build(draft, tag_height_m, problems)
    problems.sort(key=lambda problem: problem.line)
    has_errors = any(problem.severity == "error" for problem in problems)
    return (None if has_errors else site), problems


def plan_flatness(places_m: Sequence[tuple[float, float]]) -> float:
    """Return how wide places (x, y) lie across their line of best fit for each metre along it.

    0 for a line, 1 for as wide as long: the root of the ratio of the scatter matrix's eigenvalues, which does not
    change when the site is moved, turned or scaled.
    """
    if not places_m:
        return 0.0
    first_x, first_y = places_m[0]  # differences first, so that equal places cancel without rounding
    offsets = [(x - first_x, y - first_y) for x, y in places_m]
    magnitude = max(max(abs(x), abs(y)) for x, y in offsets)
    if not 0.0 < magnitude < math.inf:
        return 0.0
    scaled = [(x / magnitude, y / magnitude) for x, y in offsets]
    mean_x, mean_y = (sum(column) / len(scaled) for column in zip(*scaled, strict=True))
    centred = [(x - mean_x, y - mean_y) for x, y in scaled]
    xx, yy, xy = (sum(terms) for terms in zip(*((x * x, y * y, x * y) for x, y in centred), strict=True))
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)  # of the line of best fit
    cos, sin = math.cos(angle), math.sin(angle)
    along = sum((x * cos + y * sin) ** 2 for x, y in centred)
    across = sum((y * cos - x * sin) ** 2 for x, y in centred)
    return min(1.0, math.sqrt(across / along)) if along > 0.0 else 0.0


def _build(draft: Draft, given_tag_height_m: float | None, problems: list[Problem]) -> Site:
    """Return the site as far as it can be read; it stands only where no error was added to ``problems``."""
    settings = draft.settings
    name = _name(settings, "`site`", "site", problems)
    _check_units(settings.cells.get("units"), problems)
    max_distance_m = _max_distance(settings.cells.get("max_distance"), problems)
    tag_height_m = _tag_height(draft, given_tag_height_m, problems)
    anchors = {} if draft.anchors is None else _anchors(draft.anchors, draft.anchors_line, problems)
    return Site(name, anchors, tag_height_m, max_distance_m)


def _name(entry: Entry, where: str, key: str, problems: list[Problem]) -> str:
    """Return the string under a key, or an empty one where there is none."""
    cell = entry.cells.get(key)
    if cell is None:
        problems.append(Problem.error(entry.line, f"{where} is missing; expected text"))
    elif not cell.text.strip():
        problems.append(Problem.error(cell.line, f"{where} is empty; expected text"))
    elif cell.is_list_or_mapping:
        problems.append(Problem.error(cell.line, f"{where} is {cell}; expected text"))
    elif not cell.is_string:
        what = f'{where} is {cell}, which YAML does not read as text; quote it: {key}: "{cell}"'
        problems.append(Problem.error(cell.line, what))
    else:
        return cell.text
    return ""


def _check_units(cell: Cell | None, problems: list[Problem]) -> None:
    if cell is not None and cell.text != "m":
        problems.append(Problem.error(cell.line, f"`units` is {cell}; expected m (metres)"))


def _max_distance(cell: Cell | None, problems: list[Problem]) -> float:
    if cell is None:
        return DEFAULT_MAX_DISTANCE_M
    distance_m = cell.number()
    if distance_m is None or distance_m <= 0.0:
        problems.append(Problem.error(cell.line, f"`max_distance` is {cell}; expected a number of metres above 0"))
        return DEFAULT_MAX_DISTANCE_M
    return distance_m


def _tag_height(draft: Draft, given_m: float | None, problems: list[Problem]) -> float | None:
    cell = draft.settings.cells.get("tag_height")
    written_m = None if cell is None else cell.number()
    if cell is not None and written_m is None:
        problems.append(Problem.error(cell.line, f"`tag_height` is {cell}; expected a finite number of metres"))
    if given_m is not None and not math.isfinite(given_m):
        problems.append(Problem.error(1, f"the tag height given is {given_m}; expected a finite number of metres"))
    _check_use_of_tag_height(draft, cell, given_m, problems)
    return written_m if given_m is None else given_m


def _check_use_of_tag_height(draft: Draft, cell: Cell | None, given_m: float | None, problems: list[Problem]) -> None:
    is_known = cell is not None or given_m is not None
    with_z = [entry for entry in draft.anchors or () if "z" in entry.cells]
    if with_z and not is_known:
        what = "`tag_height` is missing, but anchors have z; set `tag_height` or give --tag-height"
        problems.append(Problem.error(with_z[0].cells["z"].line, what))
    if draft.anchors and is_known and not with_z:
        what = "the tag height is not used: no anchor has z, so distances are taken as horizontal"
        problems.append(Problem.warning(1 if cell is None else cell.line, what))


class _Placed(NamedTuple):
    """An anchor whose place can be read, its line, and what messages call it."""

    line: int
    label: str
    anchor: Anchor


def _anchors(entries: Sequence[Entry], line: int, problems: list[Problem]) -> dict[str, Anchor]:
    """Return the anchors that can be read, by id."""
    first_lines: dict[str, int] = {}
    placed: list[_Placed] = []
    for number, entry in enumerate(entries, start=1):
        if not entry.cells:
            problems.append(Problem.error(entry.line, f"anchor {number} has no values; expected {{id, x, y, z}}"))
            continue
        anchor_id = _anchor_id(number, entry, first_lines, problems)
        label = f"anchor {anchor_id!r}" if anchor_id else f"anchor {number}"
        anchor = _anchor(anchor_id, label, entry, problems)
        if anchor is not None:
            placed.append(_Placed(entry.line, label, anchor))
    _check_shared_places(placed, problems)
    if len(entries) < MIN_ANCHORS:
        what = f"the number of anchors is {len(entries)}; expected at least {MIN_ANCHORS}"
        problems.append(Problem.error(line, what))
    elif len(placed) == len(entries):
        _check_flatness([each.anchor for each in placed], line, problems)
    return {each.anchor.id: each.anchor for each in placed}


def _anchor_id(number: int, entry: Entry, first_lines: dict[str, int], problems: list[Problem]) -> str:
    """Return the id, or an empty one where there is none, and note in ``first_lines`` where it stands."""
    anchor_id = _name(entry, f"anchor {number}: id", "id", problems)
    if anchor_id:
        line = entry.cells["id"].line
        if anchor_id in first_lines:
            what = f"anchor {anchor_id!r}: the id is given twice; it already stands on line {first_lines[anchor_id]}"
            problems.append(Problem.error(line, what))
        first_lines.setdefault(anchor_id, line)
    return anchor_id


def _anchor(anchor_id: str, label: str, entry: Entry, problems: list[Problem]) -> Anchor | None:
    """Return the anchor at its place, or None where a coordinate cannot be read."""
    x_m = _coordinate("x", label, entry, problems)
    y_m = _coordinate("y", label, entry, problems)
    has_z = "z" in entry.cells
    z_m = _coordinate("z", label, entry, problems) if has_z else None
    if x_m is None or y_m is None or (has_z and z_m is None):
        return None
    return Anchor(anchor_id, x_m, y_m, z_m)


def _coordinate(axis: str, label: str, entry: Entry, problems: list[Problem]) -> float | None:
    cell = entry.cells.get(axis)
    number = None if cell is None else cell.number()
    if number is None:
        line, value = (entry.line, "missing") if cell is None else (cell.line, str(cell))
        problems.append(Problem.error(line, f"{label}: {axis} is {value}; expected a finite number of metres"))
    return number


def _check_shared_places(placed: Sequence[_Placed], problems: list[Problem]) -> None:
    by_plan: dict[tuple[float, float], list[_Placed]] = {}
    for each in placed:
        others = by_plan.setdefault((each.anchor.x_m, each.anchor.y_m), [])
        same = next((other for other in others if other.anchor.z_m == each.anchor.z_m), None)
        if same is not None:
            what = f"{each.label} is in the very place of {same.label}; expected every anchor in a place of its own"
            problems.append(Problem.error(each.line, what))
        elif others:
            what = f"{each.label} has the x and y of {others[0].label}; in plan the two count as one place"
            problems.append(Problem.warning(each.line, what))
        others.append(each)


def _check_flatness(anchors: Sequence[Anchor], line: int, problems: list[Problem]) -> None:
    flatness = plan_flatness([(anchor.x_m, anchor.y_m) for anchor in anchors])
    measured = f"the spread across the line is {flatness:.2g} of that along it"
    if flatness < COLLINEAR_RATIO:
        what = f"all anchors are on one line in plan ({measured}, expected at least {COLLINEAR_RATIO})"
        problems.append(Problem.error(line, f"{what}: the two sides of the line cannot be told apart"))
    elif flatness < NEARLY_COLLINEAR_RATIO:
        what = f"the anchors are nearly on one line in plan ({measured}, better {NEARLY_COLLINEAR_RATIO} or more)"
        problems.append(Problem.warning(line, f"{what}: positions across it will be poor"))
