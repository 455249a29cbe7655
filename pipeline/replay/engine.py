"""The graph, bounded, on Beam's in-process engine: the same dataflow, between a batch and two files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipeline.graph import Ends, build
from pipeline.model import KafkaRecord
from pipeline.settings import GraphSettings
from pipeline.site import FixedSite, Site
from pipeline.wire.kafka_records import pack_records, unpack_produced

_BATCH = 1000
"""Records that come together at the most."""


def run_bounded(
    records: Iterable[KafkaRecord], site: Site, settings: GraphSettings, positions: Path, rejected: Path
) -> tuple[list[bytes], list[bytes]]:
    """Run the graph over records, in the order in which Kafka would give them, to its end.

    The values for ``out_data`` and ``out_rejected`` are written to the two files, a line each, and returned; in the
    order of a tag's readings, while tags may come in any order. There are no events.

    Raises:
        OSError: a file cannot be written.
        RuntimeError: the graph failed, as with strict settings at the first unexpected error.
    """
    for path in (positions, rejected):
        path.write_bytes(b"")
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    nowhere = beam.Map(_let_go)
    ends = Ends(batch(records), batch(()), _append(positions), _append(rejected), nowhere, nowhere)
    build(pipeline, ends, FixedSite(site), replace(settings, bounded=True, zones=None))
    pipeline.run().wait_until_finish()
    return positions.read_bytes().splitlines(), rejected.read_bytes().splitlines()


def batch(records: Iterable[KafkaRecord]) -> beam.PTransform:
    """Return a bounded source of records, in batches at the Kafka time of the earliest in each."""
    return _Batch(records)


class _Batch(beam.PTransform):  # type: ignore[misc]
    def __init__(self, records: Iterable[KafkaRecord]) -> None:
        super().__init__()
        given = list(records)
        parts = [given[first : first + _BATCH] for first in range(0, len(given), _BATCH)]
        self._batches = [(min(one.kafka_time_us for one in part), pack_records(part)) for part in parts]

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        return (
            begin
            | beam.Create(self._batches, reshuffle=False).with_output_types(tuple[int, bytes])
            | beam.MapTuple(_at).with_output_types(bytes)
        )


def at_kafka_time(record: KafkaRecord) -> TimestampedValue:
    """Return the record as a batch by itself, at the instant of its append."""
    return _at(record.kafka_time_us, pack_records([record]))


def _at(kafka_time_us: int, packed: bytes) -> TimestampedValue:
    return TimestampedValue(packed, Timestamp(micros=kafka_time_us))


def _let_go(_: bytes) -> None:
    pass


def _append(path: Path) -> beam.PTransform:
    return beam.Map(_written, path=str(path))


def _written(packed: bytes, path: str) -> None:
    with Path(path).open("ab") as file:
        file.writelines(value + b"\n" for _, value in unpack_produced(packed))
