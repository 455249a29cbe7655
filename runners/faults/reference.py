"""The bounded reference run: what the graph makes of the same records when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipeline.graph import Ends, build
from pipeline.model import KafkaRecord
from pipeline.settings import GraphSettings
from pipeline.site import SiteSource


def reference(
    records: Iterable[KafkaRecord], site: SiteSource, settings: GraphSettings, directory: Path
) -> tuple[list[bytes], list[bytes]]:
    """Return the values for ``out_data`` and for ``out_rejected`` that records, in the order of their offsets, define.

    The graph is the real one, on Beam's in-process engine, with a batch as its source. ``directory`` takes both as
    files.
    """
    positions, rejected = directory / "reference-positions.jsonl", directory / "reference-rejected.jsonl"
    directory.mkdir(parents=True, exist_ok=True)
    for path in (positions, rejected):
        path.write_bytes(b"")
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    build(pipeline, Ends(batch(records), _append(positions), _append(rejected)), site, settings)
    pipeline.run().wait_until_finish()
    return positions.read_bytes().splitlines(), rejected.read_bytes().splitlines()


def batch(records: Iterable[KafkaRecord]) -> beam.PTransform:
    """Return a bounded source of records, each at its Kafka time."""
    return _Batch(records)


class _Batch(beam.PTransform):  # type: ignore[misc]
    def __init__(self, records: Iterable[KafkaRecord]) -> None:
        super().__init__()
        self._records = list(records)

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[KafkaRecord]:
        return (
            begin
            | beam.Create(self._records, reshuffle=False).with_output_types(KafkaRecord)
            | beam.Map(at_kafka_time).with_output_types(KafkaRecord)
        )


def at_kafka_time(record: KafkaRecord) -> TimestampedValue:
    """Return the record as KafkaIO gives it: at the instant of its append."""
    return TimestampedValue(record, Timestamp(micros=record.kafka_time_us))


def _append(path: Path) -> beam.PTransform:
    return beam.Map(_written, path=str(path))


def _written(pair: tuple[bytes, bytes], path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(pair[1] + b"\n")
