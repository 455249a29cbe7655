"""The settings of a run: one value object, and what Beam and Kafka are told, derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline.positioning.rounds import GroupingSettings
from pipeline.positioning.trilateration import SolverSettings

OFFSETS = ("latest", "earliest", "committed")
RUNNERS = ("prism",)
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
    """Where readings come from and positions go. Properties are those of Kafka's Java client.

    Raises:
        ValueError: a name is empty, a topic is used twice, or a property is one that this pipeline has to set itself.
    """

    bootstrap_servers: str
    output_bootstrap_servers: str
    group_id: str = "beam-rtls"
    offset: str = "latest"
    data_topic: str = "packet_data"
    positions_topic: str = "out_data"
    rejected_topic: str = "out_rejected"
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    output_properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        names = {
            "group id": self.group_id,
            "data topic": self.data_topic,
            "positions topic": self.positions_topic,
            "rejected topic": self.rejected_topic,
        }
        for what, name in names.items():
            if not name.strip():
                raise ValueError(f"the {what} is empty; expected a name")
        outputs = [self.positions_topic, self.rejected_topic]
        if self.output_bootstrap_servers == self.bootstrap_servers:
            outputs.append(self.data_topic)  # else output would come back as input
        if len(set(outputs)) < len(outputs):
            raise ValueError(f"one topic is given twice: {', '.join(sorted(outputs))}; expected different ones")
        for properties in (self.properties, self.output_properties):
            for key in sorted(properties.keys() & RESERVED_PROPERTIES):
                raise ValueError(f"property {key} cannot be given: {RESERVED_PROPERTIES[key]}")

    def consumer_config(self) -> dict[str, str]:
        """Return the configuration of KafkaIO's consumer.

        The offsets were committed for the group when the run was submitted; from then on the checkpoint knows them, so
        the consumer never commits by itself: it would commit what it has only polled. Where the broker has meanwhile
        dropped the records there, the next that it has are read, not the newest.
        """
        return {
            "fetch.max.wait.ms": "25",
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
            **self.output_properties,
            "bootstrap.servers": self.output_bootstrap_servers,
            "acks": "all",
            "enable.idempotence": "true",
        }


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """What the dataflow itself has to know."""

    grouping: GroupingSettings = field(default_factory=GroupingSettings)
    solver: SolverSettings = field(default_factory=SolverSettings)
    data_topic: str = "packet_data"
    strict: bool = False


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Which engine runs the graph, and where its helpers are."""

    runner: str = "prism"
    expansion_service: str = "localhost:8097"
    prism_location: str | None = None

    def beam_options(self) -> list[str]:
        """Return the pipeline options as Beam's command line."""
        options = [
            "--runner=PrismRunner",
            "--environment_type=LOOPBACK",
            "--streaming",
            "--max_cache_memory_usage_mb=100",  # none by default: every state read would be a round trip
        ]
        if self.prism_location:
            options.append(f"--prism_location={self.prism_location}")
        return options


@dataclass(frozen=True, slots=True)
class RunSettings:
    """All of a run."""

    kafka: KafkaSettings
    graph: GraphSettings
    runner: RunnerSettings
