"""Stage watch map: what the workers say of the site map's file to events. Stateful, one key a site."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import BagStateSpec

from pipeline.events import Event
from pipeline.map_changes import MapChanges
from pipeline.transforms.bytes_bag import BytesBag, read_whole, write_whole
from pipeline.transforms.metrics import MeteredFn, set_gauge
from pipeline.wire.map_reports import unpack_report
from pipeline.wire.state_pb2 import MapChangesState


class WatchMap(beam.PTransform):
    """``PCollection[(SITE, packed report)]`` to ``PCollection[Event]``."""

    def expand(self, reports: beam.PCollection[tuple[str, bytes]]) -> beam.PCollection[Event]:
        """Apply the stage."""
        return reports | "Watch" >> beam.ParDo(WatchMapFn()).with_output_types(Event)


class WatchMapFn(MeteredFn):
    """See :class:`WatchMap`."""

    TOLD = BagStateSpec("told", BytesCoder())

    def __init__(self) -> None:
        super().__init__("watch_map")

    def process(
        self,
        element: tuple[str, bytes],
        bag: BytesBag = beam.DoFn.StateParam(TOLD),  # noqa: B008
    ) -> Iterator[Event]:
        """Take one report in."""
        self._metrics.add("in")
        before = read_whole(bag)
        changes = from_bytes(before)
        events = changes.take(unpack_report(element[1]))
        after = to_bytes(changes)
        set_gauge("site.map_is_refused", int(changes.is_refused))
        if after != before:
            write_whole(bag, after)
        yield from self._metrics.told(events)


def to_bytes(changes: MapChanges) -> bytes:
    """Return the state as bytes, which outlive the program; equal states give equal bytes."""
    state = MapChangesState(
        version=changes.version,
        is_refused=changes.is_refused,
        seen_at_us=changes.seen_at_us,
        count=changes.count,
        begun_us=changes.begun_us,
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> MapChanges:
    """Return the state that :func:`to_bytes` wrote; no bytes are a map of which nothing was told."""
    state = MapChangesState.FromString(data)
    return MapChanges(state.version, state.is_refused, state.seen_at_us, state.count, state.begun_us)
