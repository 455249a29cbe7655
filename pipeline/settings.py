"""The settings of a run: one value object, and what Beam and Kafka are told, derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline.positioning.rounds import GroupingSettings
from pipeline.positioning.trilateration import SolverSettings

OFFSETS = ("latest", "earliest", "committed")
RUNNERS = ("prism",)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where readings come from and positions go. Properties are those of Kafka's Java client."""

    bootstrap_servers: str
    output_bootstrap_servers: str
    group_id: str = "beam-rtls"
    offset: str = "latest"
    data_topic: str = "packet_data"
    positions_topic: str = "out_data"
    rejected_topic: str = "out_rejected"
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    output_properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def consumer_config(self) -> dict[str, str]:
        """Return the configuration of KafkaIO's consumer.

        The offsets were committed for the group when the run was submitted; from then on the checkpoint knows them, so
        the consumer never commits by itself: it would commit what it has only polled.
        """
        # What a person sets wins over what we would rather have, but not over what correctness needs.
        return {
            "fetch.max.wait.ms": "25",
            **self.properties,
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group_id,
            "auto.offset.reset": "earliest" if self.offset == "earliest" else "latest",
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
