"""All measurements of a plan, one after the other, and again in each repeat, so that what drifts hits all alike."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks import backlog, live, outage, state
from benchmarks.feed import FeedError, Topic, fill
from benchmarks.plan import BASE, SWEEPS, Plan
from benchmarks.platform import Platform
from benchmarks.results import Repeat, Swept
from benchmarks.systems import OnFlink, Peer, System
from benchmarks.topics import TopicError
from benchmarks.workload import Workload
from pipeline.flink_rest import FlinkError
from runners.processes import ProcessError

_HEADROOM = 1.2
"""A system whose backlog went so little faster than a rate is not tried at it."""
_Measured = TypeVar("_Measured")


class Suite:
    """Measures a plan on a platform.

    Args:
        platform: where everything runs.
        plan: what to measure.
        peers: those that are installed; others are left out.
    """

    def __init__(self, platform: Platform, plan: Plan, peers: Sequence[Peer]) -> None:
        self._platform = platform
        self._plan = plan
        self._peers = peers
        self._topics: dict[tuple[Workload, int], Topic] = {}

    def measure(self, repeats: list[Repeat]) -> None:
        """Measure everything, again and again; figures are in ``repeats`` as soon as they are known.

        Raises:
            Interrupted: asked to end.
        """
        for number in range(1, self._plan.repeats + 1):
            self._platform.session.say(f"repeat {number} of {self._plan.repeats}")
            repeats.append(Repeat())
            self._once(repeats[-1])

    def _once(self, repeat: Repeat) -> None:
        parts: dict[str, Callable[[Repeat], None]] = {
            "backlog": self._backlog,
            "live": self._live,
            **{what: functools.partial(self._sweep, what) for what in SWEEPS},
            "state": self._state,
            "outage": self._outage,
        }
        for part in self._plan.parts:
            parts[part](repeat)

    def _backlog(self, repeat: Repeat) -> None:
        for system in self._there(self._plan.backlog):
            measure = functools.partial(self._measured, system, self._plan.usual, 1, self._plan.limit_s)
            self._take(repeat.backlog, repeat, f"backlog: {system.name}", measure)

    def _sweep(self, what: str, repeat: Repeat) -> None:
        values: tuple[int, ...] = getattr(self._plan, what)
        for value in values:
            workload, partitions, system = self._plan.usual, 1, BASE
            if what == "tags":
                workload = self._plan.of_tags(value)
            elif what == "anchors":
                workload = self._plan.of_anchors(value)
            elif what == "partitions":
                partitions = value
            else:
                system = OnFlink(parallelism=value)
            taken: list[backlog.Backlog] = []
            measure = functools.partial(self._measured, system, workload, partitions, self._plan.sweep_limit_s)
            self._take(taken, repeat, f"backlog: {value:,} {what}", measure)
            repeat.swept += [Swept(what, value, one) for one in taken]

    def _live(self, repeat: Repeat) -> None:
        for rate in self._plan.rates:
            for system in self._there(self._plan.live):
                known = repeat.rate(system.name)
                if known is not None and known < rate * _HEADROOM:
                    self._platform.session.say(
                        f"live: {system.name} is not tried at {rate:,} readings/s: too slow a backlog"
                    )
                    continue
                self._take(repeat.live, repeat, f"live: {system.name} at {rate:,} readings/s", self._at(system, rate))

    def _state(self, repeat: Repeat) -> None:
        for tags, anchors in self._plan.state:
            measure = functools.partial(state.measure, self._platform, BASE, tags, anchors)
            self._take(repeat.state, repeat, f"state: {tags:,} tags, {anchors} anchors", measure)

    def _outage(self, repeat: Repeat) -> None:
        plan = self._plan
        self._take(
            repeat.outage,
            repeat,
            f"outage: {BASE.name}",
            lambda: outage.measure(self._platform, BASE, plan.outage_rate, plan.outage_s, plan.outage_limit_s),
        )

    def _measured(self, system: System, workload: Workload, partitions: int, limit_s: float) -> backlog.Backlog:
        topic = self._filled(workload, partitions)  # only now: when it fails, this measurement does
        return backlog.measure(self._platform, system, topic, workload, limit_s)

    def _at(self, system: System, rate: int) -> Callable[[], live.Live]:
        return functools.partial(live.measure, self._platform, system, rate, self._plan.settle_s, self._plan.duration_s)

    def _take(self, taken: list[_Measured], repeat: Repeat, what: str, measure: Callable[[], _Measured]) -> None:
        """Measure one thing; where that fails it is told, and the others are measured all the same."""
        self._platform.session.say(what)
        try:
            taken.append(measure())
        except (ProcessError, TopicError, FeedError, FlinkError, ValueError) as error:
            self._platform.session.say(f"{what}: {error}")
            repeat.failed.append(f"{what}: {error}")

    def _filled(self, workload: Workload, partitions: int) -> Topic:
        """Return a topic with all readings in it, the same for whoever takes it."""
        key = (workload, partitions)
        if key not in self._topics:
            topic = self._platform.input("backlog", partitions, lasts=True)
            self._platform.session.say(f"  writing {workload.readings:,} readings of {workload.tags:,} tags")
            fill(topic, workload)
            self._topics[key] = topic
        return self._topics[key]

    def _there(self, systems: Sequence[System]) -> list[System]:
        return [system for system in systems if not isinstance(system, Peer) or system in self._peers]
