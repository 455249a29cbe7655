"""From a group to its fix, and from either to what goes out where nothing is tracked."""

from __future__ import annotations

from pipeline.model import Fix, Group, Position, Reason, Rejected, Solved, Stage
from pipeline.positioning.fix_id import fix_id
from pipeline.positioning.trilateration import SolverSettings, UnsolvableError, trilaterate
from pipeline.site import MIN_ANCHORS, Site


def solve(group: Group, site: Site, settings: SolverSettings) -> Solved:
    """Return a group with its fix, or with the reason why there is none."""
    readings = group.readings
    if len(readings) < MIN_ANCHORS:
        detail = f"{len(readings)} of {MIN_ANCHORS} anchors in time"
        return Solved(group.tag, readings, None, Reason.TOO_FEW_ANCHORS.value, detail)
    try:
        solution = trilaterate(
            [site.anchors[reading.anchor] for reading in readings],
            [reading.distance_m for reading in readings],
            site.tag_height_m,
            settings,
            site.tag_height_range_m,
        )
    except UnsolvableError as unsolvable:
        return Solved(group.tag, readings, None, unsolvable.reason.value, unsolvable.detail)
    anchors = [readings[index].anchor for index in solution.refused]
    fix = Fix(**{**solution._asdict(), "refused": anchors}, map_version=site.version)
    return Solved(group.tag, readings, fix, None, None)


def solve_known(group: Group, site: Site, settings: SolverSettings) -> list[Solved]:
    """Do as :func:`solve` with the readings of anchors on the map, and refuse the others.

    Those on no map are refused when they are decoded; the map may have changed since.
    """
    known, gone = parted(Solved(group.tag, group.readings, None, None, None), site)
    solved = [] if known is None else [solve(Group(group.tag, known.readings), site, settings)]
    return solved if gone is None else [*solved, gone]


def parted(solved: Solved, site: Site) -> tuple[Solved | None, Solved | None]:
    """Return a group without the readings of anchors that are not on the map, and those by themselves, refused."""
    gone = [reading for reading in solved.readings if reading.anchor not in site.anchors]
    if not gone:
        return solved, None
    detail = f"the anchor is not in version {site.version} of the site map, which came while the reading was under way"
    refused_ones = Solved(solved.tag, gone, None, Reason.UNKNOWN_ANCHOR.value, detail)
    known = [reading for reading in solved.readings if reading.anchor in site.anchors]
    return (solved._replace(readings=known) if known else None), refused_ones


def untracked(solved: Solved) -> Position | None:
    """Return a group's fix as a position, or None where there is none."""
    fix = solved.fix
    if fix is None:
        return None
    # No range is later than Kafka had it, whatever an anchor's clock says. (The function min would cost twice as much.)
    times_us = [
        one.measured_at_us if one.measured_at_us <= one.kafka_time_us else one.kafka_time_us  # noqa: FURB136
        for one in solved.readings
    ]
    speed_m_s = course_deg = nis = None
    return Position(
        fix_id(solved.readings),
        solved.tag,
        max(times_us),
        fix.x_m,
        fix.y_m,
        fix.z_m,
        fix.cov_xx_m2,
        fix.cov_xy_m2,
        fix.cov_yy_m2,
        fix.var_zz_m2,
        speed_m_s,
        course_deg,
        fix.residual_m,
        fix.gdop,
        nis,
        0,  # nis_dof
        fix.refused,
        fix.map_version,
        solved.readings,
    )


def unanswered(solved: Solved) -> list[Rejected]:
    """Return the rejection of every reading of a group that has no position."""
    return refused(solved, Reason(solved.reason), Stage.TRILATERATE, solved.detail or "")


def refused(solved: Solved, reason: Reason, stage: Stage, detail: str) -> list[Rejected]:
    """Return the rejection of every reading of a group for one reason."""
    return [Rejected.of(reading, reason, stage, detail) for reading in solved.readings]
