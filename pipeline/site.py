"""The site map: where the anchors are, read from a file and checked before anything is positioned by it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline import site_values as values
from pipeline import site_zones
from pipeline.map_files import MapFiles
from pipeline.site_draft import Cell, Draft, Entry, Problem
from pipeline.site_file import read_draft
from pipeline.site_geometry import COLLINEAR_RATIO, NEARLY_COLLINEAR_RATIO, mirror_excluding_heights, plan_flatness
from pipeline.site_zones import MapPlace
from pipeline.tag_identity import TagIdentity
from pipeline.zones import Zone

DEFAULT_MAX_DISTANCE_M = 100.0
DEFAULT_SPEED_LIMIT_M_S = 10.0
MIN_ANCHORS = 3
MIN_ANCHORS_FOR_HEIGHT = 4
SAME_HEIGHT_M = 0.005

__all__ = [
    "COLLINEAR_RATIO",
    "DEFAULT_MAX_DISTANCE_M",
    "DEFAULT_SPEED_LIMIT_M_S",
    "MIN_ANCHORS",
    "Anchor",
    "FixedSite",
    "Problem",
    "Site",
    "SiteError",
    "SiteFile",
    "SiteSource",
    "TagIdentity",
    "Zone",
    "check_site",
    "examine_site",
    "load_site",
    "plan_flatness",
    "site_in",
]


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor's place in the site's frame. ``z_m`` is None where the height is not known.

    The tag is then taken to be at the anchor's height. Its ranges are too long by ``bias_m``, known to
    ``bias_sigma_m`` (None: not calibrated).
    """

    id: str
    x_m: float
    y_m: float
    z_m: float | None = None
    bias_m: float = 0.0
    bias_sigma_m: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site map.

    ``tag_height_m`` is the height at which tags are carried, in the frame of the anchors' z. Where it is not known, but
    lies within ``tag_height_range_m`` (lowest, highest), it is solved for; all anchors have a z then.
    ``speed_limit_m_s`` is how fast a tag can be.
    ``home_zones`` is the zone, by id, that a tag belongs in, by the id given out for the tag.
    ``version`` names what the map's files held, see :class:`~pipeline.map_files.MapFiles`.
    """

    name: str
    anchors: Mapping[str, Anchor]
    tag_height_m: float | None = None
    tag_height_range_m: tuple[float, float] | None = None
    speed_limit_m_s: float = DEFAULT_SPEED_LIMIT_M_S
    max_distance_m: float = DEFAULT_MAX_DISTANCE_M
    tag_identity: TagIdentity = TagIdentity.WHOLE
    zones: Mapping[str, Zone] = field(default_factory=dict)
    home_zones: Mapping[str, str] = field(default_factory=dict)
    version: str = field(default="", compare=False)


SiteSource = Callable[[], Site]
"""Where a stage gets the site map from: asked at the start of every bundle, it returns the one in force."""


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site map in a file: a path, or a name on a file system that Beam knows."""

    path: str
    tag_height_m: float | None = None

    def load(self) -> Site:
        """Return what :func:`load_site` makes of it, and raise what that raises."""
        return load_site(self.path, self.tag_height_m)

    def is_here(self) -> bool:
        """Whether the file can be read from here."""
        return isinstance(MapFiles().find(self.path), bytes)


@dataclass(frozen=True, slots=True)
class FixedSite:
    """A site map that stays as it is: a ``SiteSource``."""

    site: Site

    def __call__(self) -> Site:
        """Return it."""
        return self.site


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
    return site_in(MapFiles(), path, tag_height_m)


def site_in(files: MapFiles, path: str | os.PathLike[str], tag_height_m: float | None = None) -> Site:
    """Do as :func:`load_site`, through files that are read once."""
    site, problems = examine_site(path, tag_height_m, files)
    if site is None:
        errors = [problem for problem in problems if problem.severity == "error"]
        raise SiteError("\n".join(f"{os.fspath(path)}:{error.line}: {error.message}" for error in errors))
    return site


def check_site(path: str | os.PathLike[str], tag_height_m: float | None = None) -> list[Problem]:
    """Return everything that is wrong with a site map, in the order of its lines."""
    return examine_site(path, tag_height_m)[1]


def examine_site(
    path: str | os.PathLike[str], tag_height_m: float | None = None, files: MapFiles | None = None
) -> tuple[Site | None, list[Problem]]:
    """Return the site, None where the map has errors, and all its problems in the order of their lines."""
    problems: list[Problem] = []
    found = MapPlace(os.fspath(path), MapFiles() if files is None else files)
    draft = read_draft(found.path, found.files, problems)
    site = None if draft is None else _build(draft, found, tag_height_m, problems)
    problems.sort(key=lambda problem: problem.line)
    has_errors = any(problem.severity == "error" for problem in problems)
    return (None if has_errors else site), problems


def _build(draft: Draft, found: MapPlace, given_tag_height_m: float | None, problems: list[Problem]) -> Site:
    """Return the site as far as it can be read; it stands only where no error was added to ``problems``."""
    settings = draft.settings
    cells = settings.cells
    name = values.name(settings, "`site`", "site", problems)
    values.check_units(cells.get("units"), problems)
    max_distance_m = values.number_above_0(cells.get("max_distance"), "`max_distance`", "metres", problems)
    speed_limit_m_s = values.number_above_0(cells.get("speed_limit"), "`speed_limit`", "metres per second", problems)
    tag_height_m = _tag_height(draft, given_tag_height_m, problems)
    range_m = values.length_range(cells.get("tag_height_range"), "`tag_height_range`", problems)
    anchors = {} if draft.anchors is None else _anchors(draft.anchors, draft.anchors_line, problems)
    if given_tag_height_m is not None:
        range_m = None
    elif range_m is not None and draft.anchors and len(anchors) == len(draft.anchors):
        _check_height_can_be_solved(list(anchors.values()), range_m, cells["tag_height_range"].line, problems)
    identity = site_zones.tag_identity(cells.get("tag_identity"), problems)
    zones = site_zones.zones(draft, found, problems)
    return Site(
        name,
        anchors,
        tag_height_m,
        range_m,
        DEFAULT_SPEED_LIMIT_M_S if speed_limit_m_s is None else speed_limit_m_s,
        DEFAULT_MAX_DISTANCE_M if max_distance_m is None else max_distance_m,
        identity,
        zones,
        site_zones.home_zones(draft, identity, problems),
        found.files.version,
    )


def _tag_height(draft: Draft, given_m: float | None, problems: list[Problem]) -> float | None:
    cell = draft.settings.cells.get("tag_height")
    written_m = values.length(cell, "`tag_height`", problems)
    if given_m is not None and not math.isfinite(given_m):
        problems.append(Problem.error(1, f"the tag height given is {given_m}; expected a finite number of metres"))
    _check_use_of_tag_height(draft, cell, given_m, problems)
    return written_m if given_m is None else given_m


def _check_use_of_tag_height(draft: Draft, cell: Cell | None, given_m: float | None, problems: list[Problem]) -> None:
    range_cell = draft.settings.cells.get("tag_height_range")
    is_known = cell is not None or given_m is not None
    with_z = [entry for entry in draft.anchors or () if "z" in entry.cells]
    if cell is not None and range_cell is not None:
        what = "`tag_height` and `tag_height_range` are both given; expected one: the first if the height is known"
        problems.append(Problem.error(range_cell.line, what))
    if with_z and not is_known and range_cell is None:
        what = "`tag_height` is missing, but anchors have z; set `tag_height` or give --tag-height"
        what = f"{what}, or set `tag_height_range` to have the height solved for"
        problems.append(Problem.error(with_z[0].cells["z"].line, what))
    if draft.anchors and is_known and not with_z:
        what = "the tag height is not used: no anchor has z, so distances are taken as horizontal"
        problems.append(Problem.warning(1 if cell is None else cell.line, what))


def _check_height_can_be_solved(
    anchors: Sequence[Anchor], range_m: tuple[float, float], line: int, problems: list[Problem]
) -> None:
    places_m = [(anchor.x_m, anchor.y_m, anchor.z_m) for anchor in anchors if anchor.z_m is not None]
    if len(places_m) < max(len(anchors), MIN_ANCHORS_FOR_HEIGHT):
        what = f"`tag_height_range` needs at least {MIN_ANCHORS_FOR_HEIGHT} anchors, all with z"
        problems.append(Problem.error(line, f"{what}; {len(places_m)} of {len(anchors)} have one"))
        return
    plane_m = mirror_excluding_heights(places_m, range_m)
    if plane_m is not None:
        low, high = plane_m
        span = f"{low:.3g} m" if high - low < SAME_HEIGHT_M else f"{low:.3g} to {high:.3g} m"
        at = f"at {span}" if math.isfinite(low) else "an upright one"
        what = f"the anchors are (nearly) on one plane, {at}, and `tag_height_range` leaves open on which side tags are"
        what = f"{what}: a place and its mirror image have the same distances; expected a range on one side"
        problems.append(Problem.error(line, what))


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
    anchor_id = values.name(entry, f"anchor {number}: id", "id", problems)
    if anchor_id:
        line = entry.cells["id"].line
        if anchor_id in first_lines:
            what = f"anchor {anchor_id!r}: the id is given twice; it already stands on line {first_lines[anchor_id]}"
            problems.append(Problem.error(line, what))
        first_lines.setdefault(anchor_id, line)
    return anchor_id


def _anchor(anchor_id: str, label: str, entry: Entry, problems: list[Problem]) -> Anchor | None:
    """Return the anchor at its place, or None where a coordinate cannot be read."""
    cells = entry.cells
    x_m = values.needed_length(entry, f"{label}: x", "x", problems)
    y_m = values.needed_length(entry, f"{label}: y", "y", problems)
    z_m = values.length(cells.get("z"), f"{label}: z", problems)
    bias_m = values.length(cells.get("bias"), f"{label}: bias", problems)
    sigma_m = values.number_above_0(cells.get("bias_sigma"), f"{label}: bias_sigma", "metres", problems)
    if x_m is None or y_m is None or ("z" in cells and z_m is None):
        return None
    return Anchor(anchor_id, x_m, y_m, z_m, 0.0 if bias_m is None else bias_m, sigma_m)


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
