"""``make run-direct``: broker, simulator, pipeline on Prism, and a live view, with one command and no container.

All that is for a person goes to standard error (the live table to the terminal); the last line on standard output is
the summary as JSON. Exit code 0 when the duration is over or after Ctrl-C, 1 when something failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runners.direct import expansion
from runners.direct.broker import Broker
from runners.live.summary import Summary
from runners.live.watch import WatchError, WatchSettings, watch
from runners.processes import Child, Children, ProcessError, require_free_port

TOPICS = ("packet_data", "packet_alive", "out_data", "out_alive", "out_rejected", "truth")
DRAIN_S = 2.0
START_WAIT_S = 60.0
HOST = "127.0.0.1"


class Interrupted(Exception):  # noqa: N818  (not an error: the person has seen enough)
    """Ctrl-C, or another polite request to end."""


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = parse(argv)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    try:
        summary = Run(options, stopped).run()
    except Interrupted:
        summary = Summary()
    except (ProcessError, WatchError) as error:
        print(f"run-direct: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary.result()), flush=True)
    return 0


class Run:
    """One run, from the first check of the ports to the last process stopped."""

    def __init__(self, options: Options, stopped: threading.Event) -> None:
        self._options = options
        self._stopped = stopped
        self._began_s = time.monotonic()
        self._directory = options.tools / "run-direct"
        self._children = Children()
        self._broker = Broker(
            self._directory / "kafka",
            options.kafka_port,
            options.kafka_controller_port,
            options.tools / "broker",
        )

    def run(self) -> Summary:
        """Start everything, watch, stop everything.

        Raises:
            ProcessError: a port is taken, or a process could not be started or died.
            WatchError: no positions, or not what they should be.
            Interrupted: asked to end before there was anything to see.
        """
        options = self._options
        require_free_port(options.kafka_port, "the Kafka broker", "KAFKA_PORT")
        require_free_port(options.kafka_controller_port, "the Kafka broker's controller", "KAFKA_CONTROLLER_PORT")
        require_free_port(options.expansion_port, "the expansion service", "EXPANSION_PORT")
        shutil.rmtree(self._directory, ignore_errors=True)
        self._say(f"logs are in {self._directory}")
        try:
            with self._children:
                pipeline = self._pipeline()
                self._children.start(pipeline)  # it waits for broker and topics, and has much to load meanwhile
                self._start_platform()
                simulator = self._simulator()
                self._children.start(simulator)
                self._say("the first positions take some seconds")
                summary = self._watch()
                self._say("stopping")
                simulator.stop()
                time.sleep(DRAIN_S)  # what is on its way through the pipeline comes out
        except ProcessError as error:
            if self._stopped.is_set():  # a start that was cut short
                raise Interrupted from error
            raise
        self._say("all stopped")
        return summary

    def _start_platform(self) -> None:
        """Start broker and expansion service side by side, and create the topics."""
        options = self._options
        self._broker.format()
        self._children.start(self._broker.child)
        self._children.start(
            expansion.new_expansion_service(
                options.tools / "expansion.jar",
                options.expansion_port,
                self._directory / "expansion.log",
            ),
        )
        self._broker.wait_ready(self._check)
        self._broker.create_topics(TOPICS)
        self._say(f"Kafka broker ready on {self._broker.bootstrap_servers}")
        expansion.wait_ready(options.expansion_port, self._check)
        self._say(f"expansion service ready on {HOST}:{options.expansion_port}")

    def _pipeline(self) -> Child:
        prism = self._options.tools / "prism"
        arguments = (
            *("--runner", "prism"),
            *(("--prism", str(prism)) if prism.exists() else ()),  # else Beam fetches it
            *("--expansion-service", f"localhost:{self._options.expansion_port}"),
            *("--anchors", str(self._options.site)),
            *("--bootstrap-servers", self._broker.bootstrap_servers),
            *("--group-id", "run-direct"),
            *("--offset", "latest"),
            *("--mode", self._options.mode),
            *("--start-wait", str(START_WAIT_S)),
        )
        return self._command("run", arguments)

    def _simulator(self) -> Child:
        arguments = (
            *("--anchors", str(self._options.site)),
            *("--bootstrap-servers", self._broker.bootstrap_servers),
            *("--truth-topic", "truth"),
            *("--tags", str(self._options.tags)),
            *self._options.simulate,
        )
        return self._command("simulate", arguments, may_end=True)

    def _command(self, command: str, arguments: Sequence[str], *, may_end: bool = False) -> Child:
        argv = [sys.executable, "-m", "pipeline", command, *arguments]
        return Child(f"beam-rtls {command}", argv, self._directory / f"{command}.log", may_end=may_end)

    def _watch(self) -> Summary:
        servers = self._broker.bootstrap_servers
        settings = WatchSettings(servers, servers, duration_s=self._options.duration_s)
        return watch(settings, self._stopped.is_set, self._children.check)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted
        self._children.check()

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began_s:5.1f} s] {text}", file=sys.stderr, flush=True)


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options: a flag wins over the environment's variable of the same name."""
    parser = argparse.ArgumentParser(
        prog="python -m runners.direct",
        description="Run the pipeline on this machine against a real Kafka and simulated tags, and watch it. "
        "Each option is also taken from the environment, in capitals: KAFKA_PORT, DURATION, ….",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )

    def add(
        name: str, kind: Callable[[str], object], default: str, text: str, choices: Sequence[str] | None = None
    ) -> None:
        variable = name.upper().replace("-", "_")
        value = os.environ.get(variable) or default
        if choices and value not in choices:
            parser.error(f"{variable}: expected one of {', '.join(choices)}, got {value!r}")
        parser.add_argument(f"--{name}", type=kind, default=value, choices=choices, help=text)

    add("site", Path, "anchors/demo.yaml", "the site map")
    add("duration", _seconds, "inf", "seconds from the first position")
    add("tags", int, "10", "how many tags to simulate")
    add("mode", str, "round", "how readings are grouped", ("round", "three"))
    add("simulate", str, "", "more options for beam-rtls simulate")
    add("kafka-port", int, "19092", "port of the Kafka broker")
    add("kafka-controller-port", int, "19093", "port of the Kafka broker's controller")
    add("expansion-port", int, "18097", "port of the expansion service")
    tools = Path(os.environ.get("BEAM_RTLS_TOOLS") or ".tools")
    parser.add_argument("--tools", type=Path, default=tools, help="where make put jars and Prism")
    given = parser.parse_args(argv)
    return Options(
        site=given.site,
        duration_s=given.duration if given.duration < float("inf") else None,
        tags=given.tags,
        mode=given.mode,
        simulate=shlex.split(given.simulate),
        kafka_port=given.kafka_port,
        kafka_controller_port=given.kafka_controller_port,
        expansion_port=given.expansion_port,
        tools=given.tools,
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    raise SystemExit(main())
