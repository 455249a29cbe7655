"""What ``make run-direct`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import number
from runners.session import add_common_variables
from runners.variables import Variables, port


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
    add_common_variables(variables)
    variables.add("--tags", number(at_least=1, kind=int), "10", "how many tags to simulate")
    variables.add("--expansion-port", port, "18097", "port of the expansion service")
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
