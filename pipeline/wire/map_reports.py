"""What a worker says of the site map's file as bytes and back."""

from __future__ import annotations

from pipeline.map_changes import MapReport
from pipeline.wire import state_pb2


def pack_report(report: MapReport) -> bytes:
    """Return a report as bytes."""
    return state_pb2.MapReport(**report._asdict()).SerializeToString()


def unpack_report(data: bytes) -> MapReport:
    """Return the report of :func:`pack_report`."""
    packed = state_pb2.MapReport.FromString(data)
    fault = packed.fault if packed.HasField("fault") else None
    return MapReport(packed.site, packed.version, packed.seen_at_us, fault)
