"""The arguments of ``beam-rtls worker-pool``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.commands.arguments import MAX_PORT, new_parser, number, refuse_unknown_variables


@dataclass(frozen=True, slots=True)
class WorkerPoolArguments:
    """What ``beam-rtls worker-pool`` was asked."""

    host: str
    port: int


def parse(argv: Sequence[str]) -> WorkerPoolArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    return WorkerPoolArguments(given.host, given.port)


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls worker-pool``."""
    parser = new_parser(
        "worker-pool",
        "Start Python workers for Flink. Beside each TaskManager, on the same host or in the same pod, runs a pool; it "
        "starts a worker process whenever the TaskManager asks for one. Stop it with Ctrl-C or SIGTERM.",
    )
    parser.add_argument(
        "--host",
        default="localhost",
        metavar="ADDRESS",
        help="where it listens; whoever reaches it can run workers here, so leave it at the loopback interface",
    )
    parser.add_argument(
        "--port",
        type=number(at_least=1, at_most=MAX_PORT, kind=int),
        default=50000,
        metavar="PORT",
        help="the port that beam-rtls run --worker-pool names",
    )
    return parser
