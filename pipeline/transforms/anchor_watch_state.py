"""The anchor watch of a site as bytes and back. The bytes outlive the program: see proto/state.proto."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from pipeline.positioning.anchor_clock import AnchorClock
from pipeline.positioning.anchor_watch import AnchorWatch, Standing, WatchedAnchor
from pipeline.positioning.runs import Run
from pipeline.wire.state_pb2 import AnchorWatchState
from pipeline.wire.state_pb2 import WatchedAnchor as WatchedAnchorState


def to_bytes(watch: AnchorWatch) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    state = AnchorWatchState(
        start_us=watch.start_us,
        settled_us=watch.settled_us,
        outage_us=watch.outage_us,
        anchors=_packed(watch.anchors),
        dead_off_map=_packed(watch.dead_off_map),
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> AnchorWatch:
    """Return the state that :func:`to_bytes` wrote; no bytes are a site never heard of."""
    state = AnchorWatchState.FromString(data)
    return AnchorWatch(
        start_us=state.start_us,
        settled_us=state.settled_us,
        outage_us=state.outage_us,
        anchors=_unpacked(state.anchors),
        dead_off_map=_unpacked(state.dead_off_map),
    )


def _packed(anchors: Mapping[str, WatchedAnchor]) -> list[WatchedAnchorState]:
    return [
        WatchedAnchorState(
            anchor=name,
            standing=anchor.standing.value,
            last_us=anchor.last_us,
            silent_from_us=anchor.silent_from_us,
            told_us=anchor.told_us,
            run_us=flat(anchor.runs),
            skewed=anchor.clock.skewed,
            window_us=sorted(anchor.clock.windows),
            ahead_us=[anchor.clock.windows[window] for window in sorted(anchor.clock.windows)],
        )
        for name, anchor in sorted(anchors.items())
    ]


def _unpacked(anchors: Iterable[WatchedAnchorState]) -> dict[str, WatchedAnchor]:
    return {
        anchor.anchor: WatchedAnchor(
            standing=Standing(anchor.standing),
            last_us=anchor.last_us,
            silent_from_us=anchor.silent_from_us,
            told_us=anchor.told_us,
            runs=runs(anchor.run_us),
            clock=AnchorClock(anchor.skewed, dict(zip(anchor.window_us, anchor.ahead_us, strict=True))),
        )
        for anchor in anchors
    }


def flat(of: Iterable[Run]) -> list[int]:
    """Return runs as one column."""
    return list(chain.from_iterable(of))


def runs(column: Sequence[int]) -> list[Run]:
    """Return the runs of a column. The inverse of :func:`flat`."""
    return [Run(first_us, last_us) for first_us, last_us in zip(column[::2], column[1::2], strict=True)]
