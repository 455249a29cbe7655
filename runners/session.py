"""What every run before a person's eyes has in common, whatever the engine.

It says how far it is, plays the simulator against Kafka, shows the positions live and ends politely; its last line on
standard output is the summary as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.commands.arguments import number
from runners.java import java_home
from runners.live.summary import Summary
from runners.live.watch import WatchError, WatchSettings, watch
from runners.processes import Child, Children, ProcessError
from runners.variables import Variables, one_of, port, words

TRUTH_TOPIC = "truth"
TOPICS = ("packet_data", "packet_alive", "out_data", "out_alive", "out_rejected", "site_events", TRUTH_TOPIC)


class Interrupted(Exception):  # noqa: N818  (not an error: the person has seen enough)
    """Ctrl-C, or another polite request to end, before there was anything to see."""


class Session:
    """One run: its children, its folder of logs, and what it says on standard error.

    Args:
        directory: takes the logs, and whatever else the run writes; what it holds from before goes.
        stopped: set when the run is to end.
    """

    def __init__(self, directory: Path, stopped: threading.Event) -> None:
        self.directory = directory
        self.children = Children()
        self._stopped = stopped
        self._began_s = time.monotonic()
        shutil.rmtree(directory, ignore_errors=True)
        self.say(f"logs are in {directory}")

    def say(self, text: str) -> None:
        """Tell the person how far it is."""
        print(f"[{time.monotonic() - self._began_s:5.1f} s] {text}", file=sys.stderr, flush=True)

    def check(self) -> None:
        """Raise when there is no use in waiting any longer.

        Raises:
            Interrupted: asked to end.
            ProcessError: a child has died.
        """
        if self._stopped.is_set():
            raise Interrupted
        self.children.check()

    def command(
        self, command: str, arguments: Sequence[str], *, may_end: bool = False, stop_timeout_s: float = 15.0
    ) -> Child:
        """Return the process of ``beam-rtls COMMAND``, not started yet."""
        argv = [sys.executable, "-m", "pipeline", command, *arguments]
        log = self.directory / f"{command}.log"
        return Child(
            f"beam-rtls {command}",
            argv,
            log,
            env=command_environment(),
            may_end=may_end,
            stop_timeout_s=stop_timeout_s,
        )

    def simulator(self, site: Path, bootstrap_servers: str, tags: int, more: Sequence[str]) -> Child:
        """Return the simulator, not started yet; it tells the truth as well. ``more`` are options of its own."""
        arguments = (
            *("--anchors", str(site)),
            *("--bootstrap-servers", bootstrap_servers),
            *("--truth-topic", TRUTH_TOPIC),
            *("--tags", str(tags)),
            *more,
        )
        return self.command("simulate", arguments, may_end=True)

    def watch(
        self,
        bootstrap_servers: str,
        duration_s: float | None,
        output_bootstrap_servers: str | None = None,
        *,
        truth: bool = True,
        from_end: bool = False,
    ) -> Summary:
        """Show what comes, until the duration is over or the run is asked to end.

        Without truth, no errors and latencies are known; ``from_end`` leaves out what the topics hold already.

        Raises:
            WatchError: no positions, or not what they should be.
            ProcessError: a child has died.
        """
        settings = WatchSettings(
            bootstrap_servers,
            output_bootstrap_servers or bootstrap_servers,
            truth_topic=TRUTH_TOPIC if truth else None,
            duration_s=duration_s,
            from_end=from_end,
        )
        return watch(settings, self._stopped.is_set, self.children.check)


def command_environment() -> dict[str, str]:
    """Return what a ``beam-rtls`` command is started with: what a shell holds for other runs is not meant for it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BEAM_RTLS_")}
    home = java_home()
    if home is not None:
        environment["JAVA_HOME"] = str(home)  # where Beam looks for it
    return environment


def add_common_variables(variables: Variables) -> None:
    """Add what each of these runs can be told, whatever the engine."""
    variables.add("--site", Path, "anchors/demo.yaml", "the site map")
    variables.add("--duration", number(above=0), None, "seconds from the first position; left out, until Ctrl-C")
    variables.add("--mode", one_of("round", "three"), "round", "how readings are grouped: round or three")
    variables.add("--simulate", words, None, "more options for beam-rtls simulate")
    variables.add("--kafka-port", port, "19092", "port of the Kafka broker")
    variables.add("--kafka-controller-port", port, "19093", "port of the Kafka broker's controller")
    variables.add("--tools", Path, ".tools", "where make put the jars and the engine", variable="BEAM_RTLS_TOOLS")


def hold(program: str, run: Callable[[threading.Event], Summary]) -> int:
    """Let ``run`` run until it is over or a signal asks it to end; print its summary and return the exit code.

    0 when the run is over or was asked to end, 1 when something failed.
    """
    stopped = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: stopped.set())
    try:
        summary = run(stopped)
    except Interrupted:
        summary = Summary()
    except (ProcessError, WatchError) as error:
        if isinstance(error, WatchError) or not stopped.is_set():
            print(f"{program}: {error}", file=sys.stderr)
            return 1
        summary = Summary()  # a start that was cut short
    print(json.dumps(summary.result()), flush=True)
    return 0
