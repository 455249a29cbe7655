"""Kafka as Beam reads and writes it, through KafkaIO's Java transforms.

On Flink the job's entry class has both done by the batch in Flink's own tasks, by what these transforms say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.io.kafka import ReadFromKafka, WriteToKafka
from apache_beam.transforms.external import JavaExternalTransform, JavaJarExpansionService

from pipeline.graph import Ends
from pipeline.settings import KafkaSettings

ExpansionService: TypeAlias = str | JavaJarExpansionService
"""Beam's Java expansion service out of our jar: the address of one that runs, or the jar to run one from."""


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
    locations, fence_events = settings.omlox_locations_topic, settings.omlox_fence_events_topic
    return Ends(
        readings=ReadRecords(settings, settings.data_topic, expansion_service),
        heartbeats=ReadRecords(settings, settings.alive_topic, expansion_service),
        positions=WriteRecords(settings, settings.positions_topic, expansion_service),
        rejected=WriteRecords(settings, settings.rejected_topic, expansion_service),
        deaths=WriteRecords(settings, settings.out_alive_topic, expansion_service),
        events=WriteRecords(settings, settings.events_topic, expansion_service),
        locations=None if locations is None else WriteRecords(settings, locations, expansion_service),
        fence_events=None if fence_events is None else WriteRecords(settings, fence_events, expansion_service),
    )


class ReadRecords(beam.PTransform):
    """The records of a topic in batches, packed ``KafkaRecords``, each at the Kafka time of the earliest in it.

    ``LogAppendTime`` makes Kafka's time the event time, and moves the watermark on when a partition is idle. No bound
    on number or time of records is ever given: it would switch KafkaIO to another implementation.
    """

    def __init__(self, settings: KafkaSettings, topic: str, expansion_service: ExpansionService) -> None:
        super().__init__()
        self._settings = settings
        self._topic = topic
        self._expansion_service = expansion_service

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        """Apply the source."""
        return (
            begin
            | "ReadFromKafka"
            >> ReadFromKafka(
                consumer_config=self._settings.consumer_config(),
                topics=[self._topic],
                timestamp_policy="LogAppendTime",
                with_metadata=True,
                expansion_service=self._expansion_service,
            )
            | "Gather" >> JavaExternalTransform("rtls.RecordBatches", self._expansion_service)()
        )


class WriteRecords(beam.PTransform):
    """Packed records to a topic.

    Flink knows an operator by what flows into it. The step before Java's gives that a name of its own, so that a
    savepoint is taken up by a graph with other stages before it.
    """

    def __init__(self, settings: KafkaSettings, topic: str, expansion_service: ExpansionService) -> None:
        super().__init__()
        self._settings = settings
        self._topic = topic
        self._expansion_service = expansion_service

    def expand(self, packed: beam.PCollection[bytes]) -> beam.PCollection[Any]:
        """Apply the sink."""
        return (
            packed
            | "ToWrite" >> beam.Map(_as_it_is).with_output_types(bytes)
            | "Spread" >> JavaExternalTransform("rtls.RecordSpread", self._expansion_service)()
            | "WriteToKafka"
            >> WriteToKafka(
                producer_config=self._settings.producer_config(),
                topic=self._topic,
                expansion_service=self._expansion_service,
            )
        )


def _as_it_is(packed: bytes) -> bytes:
    return packed
