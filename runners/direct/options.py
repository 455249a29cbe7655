"""What ``make run-direct`` can be told: by flag, or by a variable of the environment, which is how make hands it on."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import number


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
    """Return the options: a flag wins over the environment's variable, and an empty variable counts as none.

    A wrong one ends the program with its variable and what was expected (exit code 2).
    """
    parser = argparse.ArgumentParser(
        prog="python -m runners.direct",
        description="Run the pipeline on this machine against a real Kafka and simulated tags, and watch it.",
        allow_abbrev=False,
    )

    def add(flag: str, kind: Callable[[str], object], default: str | None, text: str, variable: str = "") -> None:
        variable = variable or flag.removeprefix("--").upper().replace("-", "_")
        said = f"{text} [env: {variable}]" + ("" if default is None else f" (default: {default})")
        value = os.environ.get(variable) or default
        parser.add_argument(flag, type=_named(variable, kind), default=value, metavar="…", help=said)

    port = number(at_least=1, at_most=65535, kind=int)
    add("--site", Path, "anchors/demo.yaml", "the site map")
    add("--duration", number(above=0), None, "seconds from the first position; left out, until Ctrl-C")
    add("--tags", number(at_least=1, kind=int), "10", "how many tags to simulate")
    add("--mode", _one_of("round", "three"), "round", "how readings are grouped: round or three")
    add("--simulate", _words, None, "more options for beam-rtls simulate")
    add("--kafka-port", port, "19092", "port of the Kafka broker")
    add("--kafka-controller-port", port, "19093", "port of the Kafka broker's controller")
    add("--expansion-port", port, "18097", "port of the expansion service")
    add("--tools", Path, ".tools", "where make put jars and Prism", variable="BEAM_RTLS_TOOLS")
    given = parser.parse_args(argv)
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


def _named(variable: str, kind: Callable[[str], object]) -> Callable[[str], object]:
    """Return ``kind`` with the variable's name before its complaints: whoever typed to make knows no flag."""

    def parse_named(text: str) -> object:
        try:
            return kind(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{variable}: {error}") from error

    return parse_named


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse_choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"expected {' or '.join(choices)}, got {text!r}")
        return text

    return parse_choice


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected options as in a shell, got {text!r} ({error})") from error
