"""One run of the script: the platform is started, the day is played, and all that came of it is taken down."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from pipeline.events import EventKind
from pipeline.flink_rest import FlinkError
from pipeline.simulation.directed import DirectedScene
from runners.processes import ProcessError
from runners.scenario import hall, script
from runners.scenario.positions import Course, Position, Span, Truth, course, position, truths
from runners.scenario.result import (
    MOST_MAP_S,
    Result,
    map_faults,
    odd_rejections,
    unexplained_repeats,
)
from runners.scenario.script import SCRIPT, Deed, Step
from runners.scenario.traffic import Traffic
from runners.scenario.verdict import Crash, Due, Told, has_come, judge, told
from runners.session import TRUTH_TOPIC
from runners.trial.faults import Fault, Resumed, TaskManagerKilled, now_ms
from runners.trial.ledger import Name, audit, is_of_readings
from runners.trial.platform import Platform, nothing
from runners.trial.tap import DEATHS, EVENTS, Tap

TOPICS = (EVENTS, DEATHS)
FIRST_TIMEOUT_S = 240.0
STEADY_TIMEOUT_S = 90.0
RESTART_TIMEOUT_S = 120.0
ACCOUNT_TIMEOUT_S = 60.0
QUIET_S = 3.0
_AFTER_MS = 2500
"""How long after anchors work again, or a tag is heard again, its positions may take to come back."""


def play(platform: Platform, scene: DirectedScene) -> Result:
    """Start the platform, play the script, and settle the account. What goes wrong on the way ends the script early.

    Raises:
        ProcessError: the platform or the job could not be started.
        Interrupted: asked to end.
    """
    with platform:
        platform.start()
        with Tap(platform.broker.bootstrap_servers, hall.IDENTITY, (*TOPICS, TRUTH_TOPIC)) as tap:
            day = Day(platform, tap, scene)
            platform.meanwhile = day.meanwhile
            try:
                day.live()
            finally:
                platform.meanwhile = nothing
            result = day.result()
        try:
            platform.end_job()
        except (ProcessError, FlinkError) as error:
            result.trouble = result.trouble or str(error)
    platform.say("all stopped")
    return result


class Day:
    """The day while it lasts, and what has come of it so far."""

    def __init__(self, platform: Platform, tap: Tap, scene: DirectedScene) -> None:
        self._platform = platform
        self._tap = tap
        self._traffic = Traffic(scene, SCRIPT, self._note)
        self._tags = [hall.tag_id(number) for number in range(len(scene.places))]
        self._happened: list[tuple[Step, int]] = []
        self._told: list[Told] = []
        self._crashes: list[Crash] = []
        self._restarts: list[Span] = []
        self._mapped_ms: int | None = None
        self._began_ms = 0
        self._ended_ms = 0
        self._trouble = ""
        self._took_s = time.monotonic()
        """When something last came, by the monotonic clock."""

    def live(self) -> None:
        """Live through it. What goes wrong is kept for the result.

        Raises:
            Interrupted: asked to end.
        """
        platform, traffic = self._platform, self._traffic
        try:
            traffic.start(platform.broker.bootstrap_servers)
            platform.wait(self._all_positioned, FIRST_TIMEOUT_S, "each tag has a position")
            self._await_checkpoint(now_ms())
            self._began_ms = now_ms()
            traffic.begin()
            platform.say(f"every tag has a position: the script begins, and takes {script.END_S:.0f} s")
            for step in SCRIPT:
                if step.at_s is not None and isinstance(step.does, Deed):
                    self._await_script(step.at_s)
                    self._do(step, step.does)
            self._await_script(script.END_S)
            platform.wait(self._is_nothing_due, STEADY_TIMEOUT_S, "all that is still due has come, or is late")
        except (ProcessError, FlinkError) as error:
            self._trouble = str(error)
            platform.say(f"cut short: {error}")
        finally:
            self._ended_ms = now_ms()
            self._end_traffic()
        platform.say(f"{traffic.sent} readings sent; waiting until each of them is named")
        try:
            platform.wait(lambda: self._all_named(traffic.sent), ACCOUNT_TIMEOUT_S, "all readings are named")
        except ProcessError as error:
            platform.say(f"{self._tap.unnamed} are not: {error}")
        platform.wait(lambda: time.monotonic() - self._took_s > QUIET_S, ACCOUNT_TIMEOUT_S, "nothing more comes")

    def result(self) -> Result:
        """Hold what came against what had to come."""
        tap = self._tap
        found = [*tap.fixes, *tap.rejections]
        first = {outcome.identity: outcome for outcome in tap.rejections if is_of_readings(outcome)}
        positions, truth = [position(outcome) for outcome in tap.fixes], truths(tap.others[TRUTH_TOPIC])
        wrong = unexplained_repeats(found, self._crashes) + odd_rejections(tap.rejections, self._mapped_ms)
        strangers = {one.tag for one in positions}.difference(self._tags)
        wrong += [f"positions of {tag}, which is no tag of the site" for tag in sorted(strangers)]
        if self._mapped_ms is not None:
            versions = hall.version_of(hall.good_map()), hall.version_of(hall.good_map(with_new_anchor=True))
            taken_ms = self._mapped_ms + round(1000 * MOST_MAP_S)
            wrong += map_faults(positions, versions, self._mapped_ms, taken_ms)
        return Result(
            began_ms=self._began_ms,
            lines=judge(self._dues(), (one for one in self._told if one.appended_ms <= self._ended_ms), self._crashes),
            courses=[self._course(tag, positions, truth) for tag in self._tags],
            entries=audit(sorted(tap.records), found, hall.IDENTITY),
            rejections=Counter(orjson.loads(outcome.value)["reason"] for outcome in first.values()),
            sent=self._traffic.sent,
            more_wrong=wrong,
            trouble=self._trouble,
        )

    def _course(self, tag: str, positions: Sequence[Position], truth: Mapping[Name, Truth]) -> Course:
        during = Span(self._began_ms, self._ended_ms)
        return course(tag, positions, truth, during=during, unheard=self._unheard(tag), restarts=self._restarts)

    def _end_traffic(self) -> None:
        try:
            self._traffic.stop()
        except ProcessError as error:
            self._trouble = self._trouble or str(error)

    def meanwhile(self) -> None:
        """Take what comes, whatever is waited for."""
        self._traffic.check()
        self._poll()

    def _poll(self) -> None:
        if self._tap.poll():
            self._took_s = time.monotonic()
        for topic in TOPICS:
            known = sum(one.topic == topic for one in self._told)
            for record in self._tap.others[topic][known:]:
                one = told(topic, record)
                self._told.append(one)
                of = " ".join(filter(None, (hall.name_of(one.subject), one.zone)))
                self._platform.say(f"    {one.kind} of {of}")

    def _await_script(self, at_s: float) -> None:
        left_s = at_s - self._traffic.script_s
        timeout_s = max(0.0, left_s) + STEADY_TIMEOUT_S
        self._platform.wait(lambda: self._traffic.script_s >= at_s, timeout_s, f"second {at_s:.0f} of the script")

    def _await_checkpoint(self, since_ms: int) -> None:
        platform = self._platform
        self._platform.wait(
            lambda: platform.checkpointed_ms(since_ms) is not None and platform.flink.is_at_work(platform.job_id()),
            STEADY_TIMEOUT_S,
            "all tasks run and a checkpoint is done",
        )

    def _note(self, step: Step, at_ms: int) -> None:
        self._happened.append((step, at_ms))
        self._platform.say(f"{script.time_text(step)}: {step.tells}")

    def _do(self, step: Step, deed: Deed) -> None:
        self._note(step, now_ms())
        if deed is Deed.KILL:
            self._restart(TaskManagerKilled(), is_crash=True)
        elif deed is Deed.RESUME:
            self._restart(Resumed("resume", self._platform.layout.parallelism), is_crash=False)
        elif deed is Deed.BREAK_MAP:
            hall.replace_file(self._platform.layout.site, hall.broken_map())
        else:
            hall.replace_file(self._platform.layout.site, hall.good_map(with_new_anchor=True))
            self._mapped_ms = now_ms()

    def _restart(self, fault: Fault, *, is_crash: bool) -> None:
        """Let the job be taken up again, and wait until positions of readings come that were sent meanwhile."""
        platform, tap, start = self._platform, self._tap, len(self._tap.fixes)
        struck_ms = fault.strike(platform, random.Random(0))  # noqa: S311  (no secret)
        platform.wait(lambda: platform.restored_ms() >= struck_ms, RESTART_TIMEOUT_S, "the job is taken up again")
        restored_ms = platform.restored_ms()
        if is_crash:
            self._crashes.append(Crash(struck_ms, restored_ms))

        def is_fresh() -> bool:
            return tap.first_fresh_ms(start, restored_ms, restored_ms) is not None

        platform.wait(is_fresh, RESTART_TIMEOUT_S, "positions again")
        self._restarts.append(Span(struck_ms, now_ms()))
        platform.say(f"    positions again {(now_ms() - struck_ms) / 1000:.1f} s after the job went down")
        fault.mend(platform)

    def _dues(self) -> list[Due]:
        return [Due(expected, step.tells, at_ms) for step, at_ms in self._happened for expected in step.expects]

    def _is_nothing_due(self) -> bool:
        late_ms = now_ms() - 1000
        return all(
            due.since_ms + 1000 * due.expected.within_s < late_ms or has_come(due, self._told) for due in self._dues()
        )

    def _unheard(self, tag: str) -> list[Span]:
        """Return when no anchor could hear a tag: as the script has it, from ``tag_away`` to ``tag_back`` and so on."""
        begins = {(EventKind.TAG_AWAY.value, tag), (EventKind.SITE_OUTAGE.value, hall.SITE)}
        ends = {(EventKind.TAG_BACK.value, tag), (EventKind.SITE_BACK.value, hall.SITE)}
        spans, from_ms = [], 0
        for step, at_ms in self._happened:
            names = {(one.kind, one.subject) for one in step.expects}
            if names & begins:
                from_ms = at_ms
            if names & ends and from_ms:
                spans.append(Span(from_ms, at_ms + _AFTER_MS))
                from_ms = 0
        return spans + ([Span(from_ms, self._ended_ms)] if from_ms else [])

    def _all_positioned(self) -> bool:
        return {name[2] for outcome in self._tap.fixes for name in outcome.names}.issuperset(self._tags)

    def _all_named(self, sent: int) -> bool:
        return self._tap.readings >= sent and not self._tap.unnamed
