"""The systems that are measured, and how each is started.

What a system stands on (a Flink cluster, an expansion service) is there before the clock of its start-up runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.figures import TRACKED_M, UNTRACKED_M
from pipeline.flink_rest import Flink
from runners.direct import expansion
from runners.flink.cluster import FlinkCluster
from runners.processes import Child, Children, wait_until_answers
from runners.session import Session

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("bare_loop", "quix", "bytewax", "pyflink")
JOB_NAME = "benchmark"
_START_S = 60.0


class Wires(NamedTuple):
    """What a run is connected to: topics of its own but for the input, and the site map."""

    bootstrap_servers: str
    data: str
    alive: str
    positions: str
    rejected: str
    deaths: str
    events: str
    site: Path

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that are the run's own."""
        return self.alive, self.positions, self.rejected, self.deaths, self.events


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run takes place: its folder, its ports and who answers for its processes."""

    session: Session
    directory: Path
    tools: Path
    children: Children
    ports: Callable[[], int]
    """Gives a free port, another each time."""

    def check(self) -> None:
        """Raise when there is no use in going on."""
        self.session.check()
        self.children.check()


class Ready(NamedTuple):
    """A system that only has to be told to begin."""

    submit: Callable[[Wires], list[Child]]
    """Starts the system itself, and gives all its processes."""
    flink: Flink | None = None
    """The cluster that it runs on."""


class System(Protocol):
    """Something that makes positions of readings."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def tolerance_m(self) -> float:
        """How far from the truth its positions may be."""

    def prepare(self, place: Place) -> Ready:
        """Start what it stands on."""


class OnFlink(NamedTuple):
    """The pipeline on a Flink cluster of one TaskManager, as ``make run-flink`` sets it up."""

    mode: str = "round"
    tracking: str = "on"
    parallelism: int = 2
    backend: str = "hashmap"

    @property
    def name(self) -> str:
        """What tables call it; the number of tasks where it is not the usual one."""
        usual = "" if self.parallelism == OnFlink().parallelism else f", {self.parallelism} tasks"
        return f"Flink, {self.mode}, tracking {self.tracking}{usual}"

    @property
    def tolerance_m(self) -> float:
        """Of a track, or of a fix."""
        return TRACKED_M if self.tracking == "on" else UNTRACKED_M

    def prepare(self, place: Place) -> Ready:
        """Start the cluster and the worker pool."""
        pool_port = place.ports()
        slots = max(2, self.parallelism)
        cluster = FlinkCluster(
            place.directory / "flink",
            place.tools / "flink",
            place.ports(),
            place.ports(),
            place.directory / "state",
            slots=slots,
            backend=self.backend,
        )
        cluster.configure()
        pool = place.session.command("worker-pool", ("--port", str(pool_port)))
        for child in (*cluster.children, pool):
            place.children.start(child)
        wait_until_answers(pool_port, _START_S, "the worker pool", place.check)
        cluster.wait_ready(place.check)

        def submit(wires: Wires) -> list[Child]:
            arguments = (
                *("--runner", "flink", "--flink-master", cluster.address, "--job-name", JOB_NAME, "--detach"),
                *("--java-jar", str(place.tools / "beam.jar")),
                *("--worker-pool", f"localhost:{pool_port}", "--worker-processes", str(slots)),
                *("--parallelism", str(self.parallelism)),
                *_run_arguments(self.mode, self.tracking, wires),
            )
            place.children.start(place.session.command("run", arguments, may_end=True))
            return [*cluster.children, pool]

        return Ready(submit, Flink(cluster.address))


class OnPrism(NamedTuple):
    """The pipeline on Beam's local runner, as ``make run-direct`` sets it up."""

    mode: str = "round"
    tracking: str = "on"

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"Prism, {self.mode}, tracking {self.tracking}"

    @property
    def tolerance_m(self) -> float:
        """Of a track, or of a fix."""
        return TRACKED_M if self.tracking == "on" else UNTRACKED_M

    def prepare(self, place: Place) -> Ready:
        """Start the expansion service."""
        port = place.ports()
        log = place.directory / "expansion.log"
        service = expansion.new_expansion_service(place.tools / "beam.jar", port, log)
        place.children.start(service)
        expansion.wait_ready(port, place.check)

        def submit(wires: Wires) -> list[Child]:
            prism = place.tools / "prism"
            arguments = (
                *("--runner", "prism", "--expansion-service", f"localhost:{port}"),
                *(("--prism", str(prism)) if prism.exists() else ()),  # else Beam fetches it
                *_run_arguments(self.mode, self.tracking, wires),
            )
            run = place.session.command("run", arguments)
            place.children.start(run)
            return [service, run]

        return Ready(submit)


@dataclass(frozen=True, slots=True)
class Peer:
    """A program of ours in the way of another kind, in its own environment under ``.tools/peers``."""

    folder: str
    tolerance_m: float = UNTRACKED_M

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.folder.replace("_", " ")

    def prepare(self, place: Place) -> Ready:
        """Nothing: it stands on nothing but its environment."""

        def submit(wires: Wires) -> list[Child]:
            home = place.tools / "peers" / self.folder
            argv = [
                *(str(home / "venv" / "bin" / "python"), "-m", f"benchmarks.peers.{self.folder}"),
                *("--bootstrap-servers", wires.bootstrap_servers, "--anchors", str(wires.site)),
                *("--data-topic", wires.data, "--positions-topic", wires.positions),
            ]
            child = Child(
                self.name,
                argv,
                place.directory / "log.txt",
                env=_peer_environment(home, place.directory),
                cwd=place.directory,
                stop_timeout_s=5.0,
            )
            place.children.start(child)
            return [child]

        return Ready(submit)


def installed_peers(tools: Path) -> Iterator[Peer]:
    """Give the peers whose environment is there."""
    for folder in PEERS:
        if (tools / "peers" / folder / "venv").is_dir():
            yield Peer(folder)


def _peer_environment(home: Path, directory: Path) -> dict[str, str]:
    paths = os.pathsep.join((str(ROOT), str(home / "generated")))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BEAM_RTLS_", "FLINK_"))}
    return inherited | {
        "PYTHONPATH": paths,
        "PATH": os.pathsep.join((str(home / "venv" / "bin"), inherited.get("PATH", ""))),  # PyFlink's workers too
        "BENCHMARK_DIRECTORY": str(directory),
        "BENCHMARK_JARS": str(home / "jars"),
        "PYTHONUNBUFFERED": "1",
    }


def _run_arguments(mode: str, tracking: str, wires: Wires) -> tuple[str, ...]:
    return (
        *("--anchors", str(wires.site), "--bootstrap-servers", wires.bootstrap_servers),
        *("--data-topic", wires.data, "--alive-topic", wires.alive, "--positions-topic", wires.positions),
        *("--rejected-topic", wires.rejected, "--out-alive-topic", wires.deaths, "--events-topic", wires.events),
        *("--group-id", wires.positions, "--offset", "earliest", "--mode", mode, "--tracking", tracking),
    )
