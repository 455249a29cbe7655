"""The ``beam-rtls`` command and its subcommands.

Each has a module of its name (- as _) with ``main(argv) -> exit code``, and one named ``…_arguments`` with
``new_argument_parser()``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": "run the pipeline: readings from Kafka in, positions to Kafka out",
    "flink": "look after the job on a Flink cluster: status, savepoint, stop, resume",
    "worker-pool": "start Python workers for a Flink TaskManager",
    "preflight": "check Kafka, and settle where a first start reads from",
    "simulate": "publish what real anchors would publish, or write it to a log",
    "replay": "run the pipeline over a log of ranges, and score it against the truth",
    "calibrate": "estimate anchor biases from a log, and write them into a copy of the site map",
    "fences": "print the zones of a site map as an omlox hub takes them",
    "check": "say what is wrong with a site map, line by line",
}


def module_of(command: str) -> str:
    """Return the name of a command's module."""
    return command.replace("-", "_")


def usage() -> str:
    """Return the help text of the command itself."""
    lines = [
        "usage: beam-rtls COMMAND [OPTION ...]",
        "",
        "Positions of UWB tags from distance readings in Kafka.",
        "",
        "commands:",
        *(f"  {name:<12} {what}" for name, what in COMMANDS.items()),
        "",
        "beam-rtls COMMAND --help tells the rest.",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 0 done, 1 failed, 2 called wrongly."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        problem = (
            f"unknown command {arguments[0]!r}; expected one of {', '.join(COMMANDS)}" if arguments else "no command"
        )
        print(f"beam-rtls: {problem}\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"pipeline.commands.{module_of(arguments[0])}")
    try:
        result: int = module.main(arguments[1:])
    except KeyboardInterrupt:
        return 130  # as a shell has it
    return result
