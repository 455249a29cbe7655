"""The job as one jar that a Flink cluster can run: our Java side with the pipeline and its options written into it.

The layout is Beam's (``PortablePipelineJarUtils``); the entry class is ours. Beam's own ``--output_executable_path``
gives the same layout; it needs a job server, which packs all of the jar anew for half a minute.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.flink_uber_jar_job_server import FlinkBeamJob, FlinkUberJarJobServer
from apache_beam.utils.timestamp import Timestamp

from pipeline.graph import build
from pipeline.kafka import expansion_on_flink, kafka_ends
from pipeline.settings import FlinkSettings, RunSettings
from pipeline.site import SiteSource
from pipeline.stable_ids import name_by_label


def write_portable_jar(site: SiteSource, settings: RunSettings, flink: FlinkSettings, output: Path) -> None:
    """Write the job's jar; where that fails, nothing is left of it.

    Raises:
        OSError: the jar cannot be written.
        RuntimeError: Java is missing, or cannot run what is needed.
    """
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; expected a file")
    part = output.with_name(f"{output.name}.part")
    try:
        part.touch()  # what cannot be written is better known before the work than after it
        pipeline = beam.Pipeline(runner=_Packer(part), options=PipelineOptions(flink.beam_options()))
        expansion_service = expansion_on_flink(flink.java_jar)
        with expansion_service:  # one process for all of KafkaIO's transforms
            build(pipeline, kafka_ends(settings.kafka, expansion_service), site, settings.graph)
            pipeline.run()
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


class _Packer(FlinkRunner):  # type: ignore[misc]
    """Beam's Flink runner up to the point where it would submit."""

    def __init__(self, output: Path) -> None:
        super().__init__()
        self._output = output

    def default_job_server(self, options: PipelineOptions) -> _PackingServer:
        return _PackingServer(options, self._output)


class _PackingServer(FlinkUberJarJobServer):  # type: ignore[misc]
    def __init__(self, options: PipelineOptions, output: Path) -> None:
        super().__init__("", options)
        Path(self._temp_dir).rmdir()  # Beam makes it, and uses it for nothing
        self._output = output

    def create_beam_job(self, job_id: str, job_name: str, pipeline: Any, options: Any) -> _PackingJob:
        name_by_label(pipeline)
        return _PackingJob("", self.executable_jar(), job_id, job_name, pipeline, options, output=self._output)


class _PackingJob(FlinkBeamJob):  # type: ignore[misc]
    def __init__(self, *arguments: Any, output: Path) -> None:
        super().__init__(*arguments)
        self._jar = str(output)

    def prepare(self) -> None:
        shutil.copy(self._executable_jar, self._jar)
        self._start_artifact_service(self._jar, self._artifact_port)

    def run(self) -> None:
        self._stop_artifact_service()  # this is what writes pipeline and options

    def get_state_stream(self) -> Iterator[tuple[int, Timestamp]]:
        yield beam_job_api_pb2.JobState.DONE, Timestamp.now()

    get_message_stream = get_state_stream
