"""The settings of a run: one value object, and what Beam and Kafka are told, derived from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.rounds import GroupingSettings
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.zone_watch import ZoneWatchSettings

OFFSETS = ("latest", "earliest", "committed")
RUNNERS = ("prism", "flink")
STATE_CACHE_MB = 256
"""Of each Python worker process."""
WATERMARK_INTERVAL_MS = 50
MAX_PARALLELISM = 128
"""Flink's number of key groups, and of splits of the source: part of the savepoint's contract."""
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS = "the pipeline sets it, so that nothing is lost or doubled"
RESERVED_PROPERTIES = {
    "bootstrap.servers": "use --bootstrap-servers and --output-bootstrap-servers",
    "group.id": "use --group-id",
    "auto.offset.reset": "use --offset",
    "enable.auto.commit": _OURS,
    "acks": _OURS,
    "enable.idempotence": _OURS,
}
"""Properties that are not a person's to set, and what to do instead."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where readings and heartbeats come from and all else goes. Properties are those of Kafka's Java client.

    What an omlox hub takes goes to topics of its own, where they are given.

    Raises:
        ValueError: a name is empty, a topic is used twice, or a property is one that this pipeline has to set itself.
    """

    bootstrap_servers: str
    output_bootstrap_servers: str
    group_id: str = "beam-rtls"
    offset: str = "latest"
    data_topic: str = "packet_data"
    alive_topic: str = "packet_alive"
    positions_topic: str = "out_data"
    rejected_topic: str = "out_rejected"
    out_alive_topic: str = "out_alive"
    events_topic: str = "site_events"
    omlox_locations_topic: str | None = None
    omlox_fence_events_topic: str | None = None
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    output_properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        names = {
            "group id": self.group_id,
            "data topic": self.data_topic,
            "alive topic": self.alive_topic,
            "positions topic": self.positions_topic,
            "rejected topic": self.rejected_topic,
            "out-alive topic": self.out_alive_topic,
            "events topic": self.events_topic,
            "omlox locations topic": self.omlox_locations_topic,
            "omlox fence events topic": self.omlox_fence_events_topic,
        }
        for what, name in names.items():
            if name is not None and not name.strip():
                raise ValueError(f"the {what} is empty; expected a name")
        sides = [self.inputs, self.outputs]
        if self.output_bootstrap_servers == self.bootstrap_servers:
            sides = [self.inputs + self.outputs]  # else output would come back as input
        for topics in sides:
            if len(set(topics)) < len(topics):
                raise ValueError(f"one topic is given twice: {', '.join(sorted(topics))}; expected different ones")
        for properties in (self.properties, self.output_properties):
            for key in sorted(properties.keys() & RESERVED_PROPERTIES):
                raise ValueError(f"property {key} cannot be given: {RESERVED_PROPERTIES[key]}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that are read."""
        return self.data_topic, self.alive_topic

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that are written."""
        omlox = (self.omlox_locations_topic, self.omlox_fence_events_topic)
        always = (self.positions_topic, self.rejected_topic, self.out_alive_topic, self.events_topic)
        return *always, *(topic for topic in omlox if topic is not None)

    def consumer_config(self) -> dict[str, str]:
        """Return the configuration of KafkaIO's consumer.

        The offsets were committed for the group when the run was submitted; from then on the checkpoint knows them, so
        the consumer never commits by itself: it would commit what it has only polled. Where the broker has meanwhile
        dropped the records there, the next that it has are read, not the newest.
        """
        return {
            # Each batch that comes is a bundle. A few larger ones cost a fraction of many small ones.
            "fetch.min.bytes": "1000000",
            "fetch.max.wait.ms": "25",
            "max.poll.records": "4000",  # what one batch holds at the most; the consumer's default is 500
            **self.properties,
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": "false",
        }

    def producer_config(self) -> dict[str, str]:
        """Return the configuration of KafkaIO's producer: acknowledged by all replicas, no doubles by retrying."""
        return {
            "linger.ms": "5",
            # A request takes one batch of a partition; Kafka's 16 kB are some 30 positions, and a bundle has hundreds.
            "batch.size": "262144",
            **self.output_properties,
            "bootstrap.servers": self.output_bootstrap_servers,
            "acks": "all",
            "enable.idempotence": "true",
        }


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """What the dataflow itself has to know.

    Raises:
        ValueError: a tag would be away before it is told that the anchors that heard it are dead or out.
    """

    grouping: GroupingSettings = field(default_factory=GroupingSettings)
    solver: SolverSettings = field(default_factory=SolverSettings)
    track: TrackSettings | None = field(default_factory=TrackSettings)
    """None: no tracking, each fix is a position."""
    anchor_watch: AnchorWatchSettings | None = field(default_factory=AnchorWatchSettings)
    """None: no heartbeats are read, and no anchor is told dead."""
    tag_watch: TagWatchSettings | None = field(default_factory=TagWatchSettings)
    zones: ZoneWatchSettings | None = field(default_factory=ZoneWatchSettings)
    data_topic: str = "packet_data"
    alive_topic: str = "packet_alive"
    strict: bool = False
    bounded: bool = False
    """The input ends, and memory with it: no track is cleared, and anchors and tags are not watched, whatever is set. A
    runner of bounded input fires the timers of a stage before the stage has its last input."""

    def __post_init__(self) -> None:
        if self.anchor_watch is None or self.tag_watch is None:
            return
        known_after_us = self.anchor_watch.anchor_timeout_us + self.anchor_watch.outage_window_us
        if self.tag_watch.tag_timeout_us < known_after_us:
            raise ValueError(
                f"the tag timeout is {self.tag_watch.tag_timeout_us / 1e6:g} s; expected at least "
                f"{known_after_us / 1e6:g} s, after which it is known whether an anchor is silent (the anchor timeout "
                f"and {self.anchor_watch.outage_window_us / 1e6:g} s)"
            )

    @property
    def tag_watch_with_anchors(self) -> TagWatchSettings | None:
        """The tag watch's settings, with how long it has to wait for what the anchor watch tells."""
        if self.anchor_watch is None or self.tag_watch is None:
            return self.tag_watch
        return replace(self.tag_watch, outage_window_us=self.anchor_watch.outage_window_us)


@dataclass(frozen=True, slots=True)
class PrismSettings:
    """Beam's local runner, and where its helpers are."""

    expansion_service: str = "localhost:8097"
    location: str | None = None

    def beam_options(self) -> list[str]:
        """Return the pipeline options as Beam's command line."""
        options = [
            "--runner=PrismRunner",
            "--environment_type=LOOPBACK",
            "--streaming",
            _state_cache(),
        ]
        if self.location:
            options.append(f"--prism_location={self.location}")
        return options


@dataclass(frozen=True, slots=True)
class FlinkSettings:
    """A Flink cluster, how the job is laid out on it, and what it starts from.

    What belongs to the cluster stays with its configuration: storage of checkpoints, state backend, restart strategy.
    The parallelism is not written into the job, so that the same job can be started with another.

    Raises:
        ValueError: a name that no jar can have, or an empty savepoint.
    """

    java_jar: Path
    master: str = "http://localhost:8081"
    job_name: str = "beam-rtls"
    parallelism: int | None = None
    savepoint: str | None = None
    worker_pool: str = "localhost:50000"
    worker_processes: int = 2
    checkpoint_interval_s: float = 10.0
    bundle_time_ms: int = 20
    bundle_size: int = 1000
    output_jar: Path | None = None
    detach: bool = False

    def __post_init__(self) -> None:
        if not _JOB_NAME.fullmatch(self.job_name):
            raise ValueError(f"the job name is {self.job_name!r}; expected letters, digits and . _ -")
        if self.savepoint is not None and not self.savepoint.strip():
            raise ValueError("the savepoint is empty; expected a path")  # Flink would start anew

    def beam_options(self) -> list[str]:
        """Return the pipeline options as Beam's command line."""
        return [
            "--runner=FlinkRunner",
            "--flink_master=[auto]",  # the cluster that the jar is run on
            "--flink_submit_uber_jar",
            f"--flink_job_server_jar={self.java_jar}",
            f"--job_name={self.job_name}",
            "--experiments=disable_logging_submission_environment",  # else a list of what is installed here goes along
            "--streaming",
            # Python runs in the worker pool beside each TaskManager, KafkaIO's Java inside the TaskManager itself.
            "--environment_type=EXTERNAL",
            f"--environment_config={self.worker_pool}",
            f"--sdk_worker_parallelism={self.worker_processes}",
            _state_cache(),
            f"--max_bundle_time_mills={self.bundle_time_ms}",
            f"--max_bundle_size={self.bundle_size}",
            f"--max_parallelism={MAX_PARALLELISM}",
            f"--checkpointing_interval={round(self.checkpoint_interval_s * 1000)}",
            "--checkpointing_mode=EXACTLY_ONCE",
            "--externalized_checkpoints_enabled",
            "--retain_externalized_checkpoints_on_cancellation",
            # Else a bundle's output would be kept in the checkpoint, and written again by whoever resumes from it.
            "--finish_bundle_before_checkpointing",
            # Between the steps of one task nothing is copied: none of them changes what it was given.
            "--object_reuse",
            "--faster_copy",
            f"--auto_watermark_interval={WATERMARK_INTERVAL_MS}",
        ]


def _state_cache() -> str:
    """There is none by default: every state read would be a round trip."""
    return f"--max_cache_memory_usage_mb={STATE_CACHE_MB}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """All of a run."""

    kafka: KafkaSettings
    graph: GraphSettings
    runner: PrismSettings | FlinkSettings
