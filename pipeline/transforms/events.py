"""What the stages that tell events have in common: the coder of events, and the way out to Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.coders import RowCoder, registry

from pipeline.events import Event, EventKind
from pipeline.transforms.metrics import EachFn
from pipeline.wire.events import encode_alive, encode_event
from pipeline.wire.kafka_records import pack_produced

registry.register_coder(Event, RowCoder)


class EncodeSiteEvents(beam.PTransform):
    """``PCollection[Event]`` to packed records of ``site_events``."""

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[bytes]:
        """Apply the stage."""
        return events | "Encode" >> beam.ParDo(EachFn("encode_events", _encoded)).with_output_types(bytes)


class EncodeDeaths(beam.PTransform):
    """``PCollection[Event]`` to packed records of ``out_alive``: the deaths of anchors, and nothing else."""

    def expand(self, events: beam.PCollection[Event]) -> beam.PCollection[bytes]:
        """Apply the stage."""
        return events | "Encode" >> beam.ParDo(EachFn("encode_deaths", _deaths)).with_output_types(bytes)


def _encoded(event: Event) -> Iterator[bytes]:
    yield pack_produced([encode_event(event)])


def _deaths(event: Event) -> Iterator[bytes]:
    if event.kind == EventKind.ANCHOR_DEAD.value:
        yield pack_produced([encode_alive(event)])
