"""``make faults``: the pipeline on Flink under faults, and whether anything was lost.

All that is for a person goes to standard error; the last line on standard output is the result as JSON. Exit code 0
when every fix and rejection is as it should be, 1 when not or when the run failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Sequence

from rich.console import Console

from runners.faults.options import Options, parse
from runners.faults.report import summary, table
from runners.faults.scenario import Result, play
from runners.processes import require_free_port
from runners.session import Session
from runners.trial.command import exit_code
from runners.trial.faults import all_faults
from runners.trial.platform import Platform

_SHOWN = 20
_WIDTH = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = parse(argv)
    return exit_code("faults", lambda stopped: run(options, stopped), _tell)


def run(options: Options, stopped: threading.Event) -> Result:
    """Play the faults, round by round.

    Raises:
        ProcessError: a port is taken, or a process could not be started or died by itself.
        FlinkError: the job is not there.
        Interrupted: asked to end.
    """
    for name in options.ports.__slots__:
        require_free_port(getattr(options.ports, name), name.replace("_", " "), f"{name.upper()}_PORT")
    session = Session(options.layout.tools / "faults", stopped)
    known = {fault.name: fault for fault in all_faults(options.layout.parallelism)}
    faults = [known[name] for name in options.faults]
    session.say(f"{options.rounds} rounds of {', '.join(options.faults)}")
    platform = Platform(session, options.layout, options.ports)
    dice = random.Random(options.seed)  # noqa: S311  (no secret)
    return play(platform, faults * options.rounds, options.stream, dice)


def _tell(result: Result) -> None:
    console = Console(stderr=True)
    console.width = max(console.width, _WIDTH)
    console.print(table(result))
    for entry in result.wrong()[:_SHOWN]:
        print(f"{entry.kind.value}: {entry.what}", file=sys.stderr)
    if len(result.wrong()) > _SHOWN:
        print(f"… and {len(result.wrong()) - _SHOWN} more", file=sys.stderr)
    if result.trouble:
        print(f"faults: {result.trouble}", file=sys.stderr)
    print(json.dumps(summary(result)), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
