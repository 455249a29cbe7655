"""What of positions the watch over zones needs, as columns of bytes and back: for the shuffle."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pipeline.model import Position
from pipeline.wire.state_pb2 import WhereaboutsColumns
from pipeline.zones import Whereabouts

_ALWAYS_KNOWN = 5
"""The leading fields of :class:`Whereabouts` that are never None."""


def whereabouts(position: Position) -> Whereabouts:
    """Return what the watch needs of a position."""
    return Whereabouts(
        tag=position.tag,
        at_us=position.at_us,
        kafka_time_us=max(reading.kafka_time_us for reading in position.readings),
        x_m=position.x_m,
        y_m=position.y_m,
        z_m=position.z_m,
        cov_xx_m2=position.cov_xx_m2,
        cov_xy_m2=position.cov_xy_m2,
        cov_yy_m2=position.cov_yy_m2,
        var_zz_m2=position.var_zz_m2,
    )


def pack_whereabouts(places: Iterable[Whereabouts]) -> bytes:
    """Return places as bytes, in their order."""
    columns = zip(*((math.nan if value is None else value for value in place) for place in places), strict=True)
    return WhereaboutsColumns(**dict(zip(Whereabouts._fields, columns, strict=False))).SerializeToString()


def unpack_whereabouts(data: bytes) -> list[Whereabouts]:
    """Return the places of :func:`pack_whereabouts`."""
    packed = WhereaboutsColumns.FromString(data)
    columns = (getattr(packed, name) for name in Whereabouts._fields)
    return [
        Whereabouts(*row[:_ALWAYS_KNOWN], *(None if math.isnan(value) else value for value in row[_ALWAYS_KNOWN:]))
        for row in zip(*columns, strict=True)
    ]
