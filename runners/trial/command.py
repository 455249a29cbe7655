"""How the command of a trial runs: what stops it, and its exit code."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from pipeline.flink_rest import FlinkError
from runners.processes import ProcessError
from runners.session import Interrupted

INTERRUPTED = 130


class Judged(Protocol):
    """What came of a trial."""

    @property
    def holds(self) -> bool:
        """Whether all is as it should be."""


Result = TypeVar("Result", bound=Judged)


def exit_code(name: str, run: Callable[[threading.Event], Result], tell: Callable[[Result], None]) -> int:
    """Run a trial, which ends when the event it is given is set, tell what came of it, and return the exit code.

    0 when all is as it should be, 1 when not or when the run failed, 130 after Ctrl-C.
    """
    logging.basicConfig(level=logging.ERROR)  # of what runs in this process there is nothing else to tell
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        result = run(stopped)
    except Interrupted:
        return INTERRUPTED
    except (ProcessError, FlinkError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    tell(result)
    return 0 if result.holds else 1
