"""Solved groups as bytes and back: for the shuffle between trilaterate and track."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.model import Fix, Solved
from pipeline.wire import state_pb2
from pipeline.wire.readings import pack, unpack


def pack_solved(groups: Iterable[Solved]) -> bytes:
    """Return groups as bytes, in their order."""
    return state_pb2.SolvedGroups(groups=map(_packed, groups)).SerializeToString()


def unpack_solved(data: bytes) -> list[Solved]:
    """Return the groups of :func:`pack_solved`."""
    return [_unpacked(group) for group in state_pb2.SolvedGroups.FromString(data).groups]


def _packed(solved: Solved) -> state_pb2.SolvedGroup:
    return state_pb2.SolvedGroup(
        tag=solved.tag,
        readings=pack(solved.readings),
        fix=None if solved.fix is None else state_pb2.Fix(**solved.fix._asdict()),
        reason=solved.reason,
        detail=solved.detail,
    )


def _unpacked(group: state_pb2.SolvedGroup) -> Solved:
    if not group.HasField("fix"):
        return Solved(group.tag, unpack(group.readings), None, group.reason, group.detail)
    given = group.fix
    fix = Fix(
        x_m=given.x_m,
        y_m=given.y_m,
        z_m=given.z_m if given.HasField("z_m") else None,
        cov_xx_m2=given.cov_xx_m2 if given.HasField("cov_xx_m2") else None,
        cov_xy_m2=given.cov_xy_m2 if given.HasField("cov_xy_m2") else None,
        cov_yy_m2=given.cov_yy_m2 if given.HasField("cov_yy_m2") else None,
        var_zz_m2=given.var_zz_m2 if given.HasField("var_zz_m2") else None,
        residual_m=given.residual_m if given.HasField("residual_m") else None,
        gdop=given.gdop,
        refused=list(given.refused),
        map_version=given.map_version,
    )
    return Solved(group.tag, unpack(group.readings), fix, None, None)
