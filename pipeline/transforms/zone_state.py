"""The zones that a tag is in as bytes and back. The bytes outlive the program: see proto/state.proto."""

from __future__ import annotations

from pipeline.positioning.zone_watch import Stay, ZoneWatch
from pipeline.transforms.tag_groups import Codec
from pipeline.wire.state_pb2 import ZoneWatchState


def to_bytes(watch: ZoneWatch) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    stays = [watch.stays[zone_id] for zone_id in sorted(watch.stays)]
    state = ZoneWatchState(
        at_us=watch.at_us,
        kafka_time_us=watch.kafka_time_us,
        zone=sorted(watch.stays),
        entered_at_us=[stay.entered_at_us for stay in stays],
        inside_at_us=[stay.inside_at_us for stay in stays],
        outside_since_us=[stay.outside_since_us for stay in stays],
        exit_due_us=[stay.exit_due_us for stay in stays],
        home=watch.home,
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> ZoneWatch:
    """Return the state that :func:`to_bytes` wrote."""
    state = ZoneWatchState.FromString(data)
    columns = (state.entered_at_us, state.inside_at_us, state.outside_since_us, state.exit_due_us)
    stays = (Stay(*row) for row in zip(*columns, strict=True))
    by_zone = dict(zip(state.zone, stays, strict=True))
    return ZoneWatch(state.at_us, state.kafka_time_us, by_zone, state.home if state.HasField("home") else None)


CODEC = Codec(to_bytes, from_bytes)
