"""What ``make run-direct`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import number
from runners.variables import Variables, one_of, port, words


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    site: Path
    duration_s: float | None
    tags: int
    mode: str
    simulate: list[str]
    kafka_port: int
    kafka_controller_port: int
    expansion_port: int
    tools: Path


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options; a wrong one ends the program with its variable and what was expected (exit code 2)."""
    variables = Variables(
        "python -m runners.direct",
        "Run the pipeline on this machine against a real Kafka and simulated tags, and watch it.",
    )
    variables.add("--site", Path, "anchors/demo.yaml", "the site map")
    variables.add("--duration", number(above=0), None, "seconds from the first position; left out, until Ctrl-C")
    variables.add("--tags", number(at_least=1, kind=int), "10", "how many tags to simulate")
    variables.add("--mode", one_of("round", "three"), "round", "how readings are grouped: round or three")
    variables.add("--simulate", words, None, "more options for beam-rtls simulate")
    variables.add("--kafka-port", port, "19092", "port of the Kafka broker")
    variables.add("--kafka-controller-port", port, "19093", "port of the Kafka broker's controller")
    variables.add("--expansion-port", port, "18097", "port of the expansion service")
    variables.add("--tools", Path, ".tools", "where make put jars and Prism", variable="BEAM_RTLS_TOOLS")
    given = variables.parse(argv)
    return Options(
        site=given.site,
        duration_s=given.duration,
        tags=given.tags,
        mode=given.mode,
        simulate=given.simulate or [],
        kafka_port=given.kafka_port,
        kafka_controller_port=given.kafka_controller_port,
        expansion_port=given.expansion_port,
        tools=given.tools,
    )
