"""What the stages that tell events have in common: the coder of events, counters, and the way out to Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.coders import RowCoder, registry
from apache_beam.metrics import Metrics

from pipeline.events import Event, EventKind
from pipeline.transforms.counters import NAMESPACE
from pipeline.wire.events import encode_alive, encode_event

registry.register_coder(Event, RowCoder)


class EncodeSiteEvents(beam.PTransform):
    """``PCollection[Event]`` to the keys and values of ``site_events``."""

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        return events | "Encode" >> beam.Map(encode_event).with_output_types(tuple[bytes, bytes])


class EncodeDeaths(beam.PTransform):
    """``PCollection[Event]`` to the keys and values of ``out_alive``: the deaths of anchors, and nothing else."""

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        return events | "Encode" >> beam.FlatMap(_deaths).with_output_types(tuple[bytes, bytes])


def _deaths(event: Event) -> Iterator[tuple[bytes, bytes]]:
    if event.kind == EventKind.ANCHOR_DEAD.value:
        yield encode_alive(event)


class EventCounters:
    """Counters of a stage that tells events, named ``stage.kind``; ``stage.internal_error`` is the one to alarm on."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def counted(self, events: Iterable[Event]) -> Iterator[Event]:
        """Count events by kind and pass them on."""
        for event in events:
            Metrics.counter(NAMESPACE, f"{self._stage}.{event.kind}").inc()
            yield event

    def internal_error(self) -> None:
        """Count an unexpected error."""
        Metrics.counter(NAMESPACE, f"{self._stage}.internal_error").inc()
