"""The readings and heartbeats of the scene, in real time, in a thread of its own: the job's troubles stop no anchor.

The script's directions are given here, at their very moment.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import MappingProxyType

from pipeline.commands.simulate_arguments import KafkaTarget
from pipeline.commands.simulate_kafka import Publisher, SimulationError
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.simulation.directed import DirectedScene
from runners.processes import ProcessError
from runners.scenario.script import Deed, Step
from runners.session import TRUTH_TOPIC
from runners.trial.ledger import DATA
from runners.trial.tap import ALIVE

SLICE_S = 0.05
MOST_LAG_S = 5.0
"""A machine further behind cannot tell what is late and what is not."""
_END_TIMEOUT_S = 60.0

Note = Callable[[Step, int], None]
"""Is told of each step, and when it happened (ms since 1970)."""


class Traffic:
    """What the anchors publish. The script's clock stands until :meth:`begin`; steps before it happen at the start.

    Args:
        scene: played from its beginning, in real time.
        script: the steps; those that are deeds are left to others.
        note: told of each step that happens here.
    """

    def __init__(self, scene: DirectedScene, script: Sequence[Step], note: Note) -> None:
        self._scene = scene
        self._note = note
        self._steps = deque(step for step in script if not isinstance(step.does, Deed))
        self._began_s: float | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self.sent = 0
        """Readings that Kafka has taken."""

    def start(self, bootstrap_servers: str) -> None:
        """Let the anchors begin to publish."""
        target = KafkaTarget(bootstrap_servers, MappingProxyType({}), DATA, ALIVE, TRUTH_TOPIC, 1.0)
        self._thread = threading.Thread(target=self._run, args=(target,), name="traffic", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Let the script's clock run from now on."""
        self._began_s = self._scene.now_s + SLICE_S

    @property
    def script_s(self) -> float:
        """How far the script is (s); 0 before it has begun."""
        return 0.0 if self._began_s is None else self._scene.now_s - self._began_s

    def check(self) -> None:
        """Raise, once, when nothing is published any more.

        Raises:
            ProcessError: why.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise ProcessError(f"the anchors fell silent: {failure}")

    def stop(self) -> None:
        """End it, and wait until all has reached Kafka.

        Raises:
            ProcessError: it has not.
        """
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_END_TIMEOUT_S)
            if self._thread.is_alive():
                raise ProcessError(f"the anchors' last records have not reached Kafka within {_END_TIMEOUT_S:g} s")
        self.check()

    def _run(self, target: KafkaTarget) -> None:
        try:
            publisher = Publisher(target, self._stopped.is_set)
            start_s = time.monotonic() - self._scene.now_s
            self._scene.start_us = time.time_ns() // 1000 - round(self._scene.now_s * 1e6)
            while not self._stopped.is_set():
                self._play_slice(publisher, start_s)
            publisher.close()
        except (SimulationError, UnsupportedPropertyError) as error:
            self._failure = error

    def _play_slice(self, publisher: Publisher, start_s: float) -> None:
        until_s = self._scene.now_s + SLICE_S
        direction = self._next_direction()
        if direction is not None:
            until_s = min(until_s, direction[0])
        wait_s = start_s + until_s - time.monotonic()
        if wait_s < -MOST_LAG_S:
            self._failure = SimulationError(f"this machine is {-wait_s:.1f} s behind with the readings")
            self._stopped.set()
            return
        publisher.serve(max(0.0, wait_s))
        for record in self._scene.play(until_s):
            if publisher.publish(record):
                self.sent += len(getattr(record, "readings", ()))
        if direction is not None and self._scene.now_s >= direction[0]:
            self._steps.popleft()
            self._direct(direction[1])

    def _next_direction(self) -> tuple[float, Step] | None:
        """Return the next step and when it is due on the scene's clock; None where that is not known yet."""
        if not self._steps:
            return None
        step = self._steps[0]
        if step.at_s is None:
            return self._scene.now_s, step
        return None if self._began_s is None else (max(self._scene.now_s, self._began_s + step.at_s), step)

    def _direct(self, step: Step) -> None:
        assert not isinstance(step.does, Deed)
        self._note(step, time.time_ns() // 1_000_000)
        step.does(self._scene)
