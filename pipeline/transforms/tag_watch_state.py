"""The watch of a tag, and what it knows of anchors, as bytes and back. The bytes outlive the program."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.positioning.known_anchors import ALL, EVER_US, AnchorChange, KnownAnchors
from pipeline.positioning.runs import Run
from pipeline.positioning.tag_flags import Flag
from pipeline.positioning.tag_watch import TagWatch
from pipeline.transforms.anchor_watch_state import flat, runs
from pipeline.transforms.tag_groups import Codec
from pipeline.wire.state_pb2 import AnchorChange as PackedChange
from pipeline.wire.state_pb2 import AnchorsKnown, TagWatchInput, TagWatchState


def to_bytes(watch: TagWatch) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    heard_by = [(anchor, at_us) for anchor in sorted(watch.heard_by) for at_us in watch.heard_by[anchor]]
    state = TagWatchState(
        last_us=watch.last_us,
        away_us=watch.away_us,
        run_us=flat(watch.runs),
        heard_by=[anchor for anchor, _ in heard_by],
        heard_at_us=[at_us for _, at_us in heard_by],
        newest_us=watch.newest_us,
        detached=watch.detached.value,
        detached_changed_us=watch.detached.changed_us,
        detached_changed_at_us=watch.detached.changed_at_us,
        battery_low=watch.battery_low.value,
        battery_low_changed_us=watch.battery_low.changed_us,
        battery_low_changed_at_us=watch.battery_low.changed_at_us,
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> TagWatch:
    """Return the state that :func:`to_bytes` wrote."""
    state = TagWatchState.FromString(data)
    heard_by: dict[str, list[int]] = {}
    for anchor, at_us in zip(state.heard_by, state.heard_at_us, strict=True):
        heard_by.setdefault(anchor, []).append(at_us)
    return TagWatch(
        last_us=state.last_us,
        away_us=state.away_us,
        runs=runs(state.run_us),
        heard_by=heard_by,
        newest_us=state.newest_us,
        detached=_flag(state.detached, state.detached_changed_us, state.detached_changed_at_us),
        battery_low=_flag(state.battery_low, state.battery_low_changed_us, state.battery_low_changed_at_us),
    )


def _flag(value: bool, changed_us: int, changed_at_us: int) -> Flag:  # noqa: FBT001
    return Flag(value, changed_us, changed_at_us or changed_us)  # at first the stamp alone was kept


CODEC = Codec(to_bytes, from_bytes)


def anchors_to_bytes(anchors: KnownAnchors) -> bytes:
    """Return what is known of the anchors as bytes; equal states give equal bytes."""
    silences = [(anchor, silence) for anchor in sorted(anchors.silences) for silence in anchors.silences[anchor]]
    state = AnchorsKnown(
        silent=[anchor for anchor, _ in silences],
        silent_from_us=[silence.first_us for _, silence in silences],
        silent_to_us=[silence.last_us if silence.last_us < EVER_US else 0 for _, silence in silences],
    )
    return state.SerializeToString()


def anchors_from_bytes(data: bytes) -> KnownAnchors:
    """Return what :func:`anchors_to_bytes` wrote; no bytes are anchors of which nothing was told."""
    state = AnchorsKnown.FromString(data)
    silences: dict[str, list[Run]] = {anchor: [Run(0, EVER_US)] for anchor in state.dead}
    for anchor, back_us in zip(state.back, state.back_us, strict=True):
        silences[anchor] = [Run(0, back_us)]
    if state.out:
        silences[ALL] = [Run(state.site_back_us, EVER_US)]
    elif state.site_back_us:
        silences[ALL] = [Run(0, state.site_back_us)]
    for anchor, from_us, to_us in zip(state.silent, state.silent_from_us, state.silent_to_us, strict=True):
        silences.setdefault(anchor, []).append(Run(from_us, to_us or EVER_US))
    return KnownAnchors(silences)


def pack_readings(packed: bytes) -> bytes:
    """Return packed readings as what flows into the tag watch."""
    return TagWatchInput(readings=packed).SerializeToString()


def pack_changes(changes: Iterable[AnchorChange]) -> bytes:
    """Return changes of anchors as what flows into the tag watch."""
    packed = [PackedChange(anchor=anchor, heard=heard, at_us=at_us) for anchor, heard, at_us in changes]
    return TagWatchInput(changes=packed).SerializeToString()


def unpack(data: bytes) -> tuple[bytes, list[AnchorChange]]:
    """Return the packed readings, and the changes, that flowed in."""
    packed = TagWatchInput.FromString(data)
    return packed.readings, [AnchorChange(one.anchor, one.heard, one.at_us) for one in packed.changes]
