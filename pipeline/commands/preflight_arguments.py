"""The arguments of ``beam-rtls preflight``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.commands.arguments import new_parser, number, refuse_unknown_variables
from pipeline.commands.kafka_arguments import add_kafka_arguments, kafka_settings
from pipeline.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class PreflightArguments:
    """What ``beam-rtls preflight`` was asked."""

    kafka: KafkaSettings
    start_wait_s: float


def parse(argv: Sequence[str]) -> PreflightArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    try:
        return PreflightArguments(kafka_settings(given), given.start_wait)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls preflight``."""
    parser = new_parser(
        "preflight",
        "Check that the topics are there and carry the broker's time, and commit for the consumer group the offsets "
        "that a job's first start reads from. beam-rtls run does so by itself; a job that starts from a portable jar "
        "needs it once, before its very first start. Resumed from a savepoint, a job reads where the savepoint says.",
    )
    add_kafka_arguments(parser)
    parser.add_argument(
        "--start-wait",
        type=number(at_least=0, at_most=3600),
        default=0.0,
        metavar="S",
        help="how long to wait for brokers and topics (s)",
    )
    return parser
