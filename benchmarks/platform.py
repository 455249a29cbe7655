"""What every measurement stands on: one real broker, and one system at a time beside it, started anew for each run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from benchmarks.feed import Topic
from benchmarks.memory import rss_mb
from benchmarks.systems import Place, System, Wires
from benchmarks.topics import Topics
from benchmarks.workload import Workload
from pipeline.flink_rest import Flink
from runners.direct.broker import Broker
from runners.processes import Child, Children, ProcessError
from runners.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self

_LOOK_S = 0.25
_TELL_S = 15.0
START_TIMEOUT_S = 180.0


@dataclass(slots=True)
class Run:
    """One system at work on one topic."""

    system: System
    topic: Topic
    wires: Wires
    place: Place
    topics: Topics
    submitted_ms: int
    """When it was asked to begin (ms since 1970), by the clock that the broker has too."""
    flink: Flink | None = None
    processes: list[Child] = field(default_factory=list)

    def count(self) -> int:
        """Return how many positions it has written."""
        return self.topics.length(self.wires.positions)

    def memory_mb(self) -> float:
        """Return what all its processes have in memory."""
        return rss_mb([pid for child in self.processes if child.pid for pid in (child.pid, *child.followers())])

    def await_positions(self, count: int, timeout_s: float, what: str) -> bool:
        """Wait until it has written so many positions, telling how far it is; return whether it has in time.

        Raises:
            ProcessError: one of its processes died.
            Interrupted: asked to end.
        """
        end_s = time.monotonic() + timeout_s
        tell_s = time.monotonic() + _TELL_S
        while (found := self.count()) < count:
            self.place.check()
            now_s = time.monotonic()
            if now_s > end_s:
                return False
            if now_s > tell_s:
                self.place.session.say(f"  {what}: {found:,} of {count:,} positions")
                tell_s = now_s + _TELL_S
            time.sleep(_LOOK_S)
        return True

    def await_first(self) -> None:
        """Wait for the first position.

        Raises:
            ProcessError: there was none in time, or a process died.
        """
        if not self.await_positions(1, START_TIMEOUT_S, f"{self.system.name} starts"):
            raise ProcessError(f"{self.system.name}: no position within {START_TIMEOUT_S:g} s")


class Platform:
    """The broker, and what runs beside it. Leaving the ``with`` stops it, come what may."""

    def __init__(self, session: Session, tools: Path, ports: Callable[[], int]) -> None:
        self.session = session
        self.tools = tools
        self._ports = ports
        self._broker = Broker(session.directory / "kafka", ports(), ports(), tools / "broker")
        self._made = 0
        self._spent: list[str] = []
        """Topics of runs that are over. What they hold is looked at until the next run begins."""

    def __enter__(self) -> Self:
        self.session.children.__enter__()
        try:
            self._broker.format()
            self.session.children.start(self._broker.child)
            self._broker.wait_ready(self.session.check)
            self.topics = Topics(self._broker.bootstrap_servers)
        except BaseException:
            self.session.children.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.topics.close()
        finally:
            self.session.children.__exit__(kind, error, trace)

    def input(self, name: str, partitions: int = 1, *, lasts: bool = False) -> Topic:
        """Create a topic for readings, with a name of its own; it goes after one run, unless it ``lasts``."""
        topic = Topic(self._broker.bootstrap_servers, f"{name}-{self._number()}", partitions, lasts)
        self._broker.create_topics([topic.name], partitions)
        return topic

    @contextlib.contextmanager
    def run(self, system: System, topic: Topic, workload: Workload) -> Iterator[Run]:
        """Start a system on topics of its own; it is stopped, with all it stands on, when the ``with`` is left."""
        self.topics.delete(self._spent)
        directory = self.session.directory / f"run-{self._number()}"
        directory.mkdir(parents=True)
        with Children() as children:
            place = Place(self.session, directory, self.tools, children, self._ports)
            wires = self._wires(topic, workload, directory)
            self._spent = [*wires.outputs, *(() if topic.lasts else (topic.name,))]
            ready = system.prepare(place)
            submitted_ms = time.time_ns() // 1_000_000
            run = Run(system, topic, wires, place, self.topics, submitted_ms, ready.flink)
            run.processes = ready.submit(wires)
            yield run

    def _wires(self, topic: Topic, workload: Workload, directory: Path) -> Wires:
        names = {what: f"{directory.name}-{what}" for what in ("alive", "positions", "rejected", "deaths", "events")}
        self._broker.create_topics(names.values())
        site = directory / "site.yaml"
        site.write_text(workload.site(), encoding="utf-8")
        return Wires(topic.bootstrap_servers, topic.name, **names, site=site)

    def _number(self) -> int:
        self._made += 1
        return self._made
