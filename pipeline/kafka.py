"""Kafka as Beam reads and writes it, through KafkaIO's Java transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.io.kafka import ReadFromKafka, WriteToKafka
from apache_beam.transforms.external import JavaJarExpansionService

from pipeline.graph import Ends
from pipeline.model import KafkaRecord
from pipeline.settings import KafkaSettings

ExpansionService: TypeAlias = str | JavaJarExpansionService
"""Beam's Java expansion service: the address of one that runs, or a jar to run one from."""


def expansion_on_flink(java_jar: Path) -> JavaJarExpansionService:
    """Return the service for Flink: KafkaIO then reads as Flink's own sources do, inside the TaskManager.

    The experiment is read by the service; given to the pipeline it does nothing. KafkaIO's own splittable DoFn dies on
    Flink at Beam 2.70, and its state in checkpoints grows.
    """
    return JavaJarExpansionService(
        str(java_jar),
        extra_args=[
            "{{PORT}}",
            "--javaClassLookupAllowlistFile=*",
            "--experiments=use_deprecated_read",
            "--defaultEnvironmentType=EMBEDDED",
            "--filesToStage=",  # the job's jar is this jar
        ],
    )


def kafka_ends(settings: KafkaSettings, expansion_service: ExpansionService) -> Ends:
    """Return source and sinks on Kafka. Whether KafkaIO reads natively or as an SDF, the expansion service decides."""
    return Ends(
        readings=ReadRecords(settings, expansion_service),
        positions=_write(settings, settings.positions_topic, expansion_service),
        rejected=_write(settings, settings.rejected_topic, expansion_service),
    )


class ReadRecords(beam.PTransform):
    """The records of the data topic, each at its Kafka time.

    ``LogAppendTime`` makes Kafka's time the event time, and moves the watermark on when a partition is idle. No bound
    on number or time of records is ever given: it would switch KafkaIO to another implementation.
    """

    def __init__(self, settings: KafkaSettings, expansion_service: ExpansionService) -> None:
        super().__init__()
        self._settings = settings
        self._expansion_service = expansion_service

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[KafkaRecord]:
        """Apply the source."""
        return (
            begin
            | "ReadFromKafka"
            >> ReadFromKafka(
                consumer_config=self._settings.consumer_config(),
                topics=[self._settings.data_topic],
                timestamp_policy="LogAppendTime",
                with_metadata=True,
                expansion_service=self._expansion_service,
            )
            | "ToRecord" >> beam.Map(to_record).with_output_types(KafkaRecord)
        )


def to_record(row: Any) -> KafkaRecord:
    """Return KafkaIO's row as a record; a record without a value has empty bytes."""
    return KafkaRecord(row.partition, row.offset, row.timestamp * 1000, row.value or b"")


def _write(settings: KafkaSettings, topic: str, expansion_service: ExpansionService) -> beam.PTransform:
    return WriteToKafka(
        producer_config=settings.producer_config(),
        topic=topic,
        expansion_service=expansion_service,
    )
