"""One run: a steady stream of readings, faults that strike one after another, and the account of it all."""

from __future__ import annotations

import bisect
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.flink_rest import FlinkError
from pipeline.model import KafkaRecord
from pipeline.settings import GraphSettings
from pipeline.site import load_site
from runners.processes import ProcessError
from runners.trial.faults import Fault, now_ms
from runners.trial.ledger import WRONG, Entry, Kind, Outcome, fix, rejection, settle
from runners.trial.platform import Platform
from runners.trial.tap import Tap

FIRST_TIMEOUT_S = 240.0
STEADY_TIMEOUT_S = 90.0
RECOVERY_TIMEOUT_S = 180.0
ACCOUNT_TIMEOUT_S = 120.0
END_TIMEOUT_S = 60.0
QUIET_S = 3.0
MOST_FIXES_BEFORE = 200
"""Before a fault strikes: a number up to this, so that it comes now early, now late after a checkpoint."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is simulated: so many tags, with more options of the simulator's own."""

    tags: int
    simulate: Sequence[str]


@dataclass(slots=True)
class Strike:
    """A fault that has struck."""

    fault: Fault
    since_ms: int
    """From when on what comes is put down to it: a checkpoint after the platform was whole again."""
    at_ms: int
    seconds: float | None = None
    """From the fault to the first position of readings that came after it; None where there was none."""


@dataclass(slots=True)
class Result:
    """What came of a run."""

    strikes: list[Strike] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    sent: int = 0
    """Readings that the simulator says it has sent."""
    trouble: str = ""
    """Why the run was cut short; empty where it was not."""

    def counts(self) -> Counter[Kind]:
        """Return how many entries the account has of each kind."""
        return Counter(entry.kind for entry in self.entries)

    def counts_by_fault(self) -> dict[str, Counter[Kind]]:
        """Return the counts of the entries that are put down to each fault."""
        counts: dict[str, Counter[Kind]] = {strike.fault.name: Counter() for strike in self.strikes}
        for entry in self.entries:
            strike = self._behind(entry)
            if strike is not None:
                counts[strike.fault.name][entry.kind] += 1
        return counts

    def wrong(self) -> list[Entry]:
        """Return the entries that must not be; repeats are among them after a fault that has to cause none."""
        return [
            entry
            for entry in self.entries
            if entry.kind in WRONG or (entry.kind is Kind.REPEATED and not self._may_repeat(entry))
        ]

    def _may_repeat(self, entry: Entry) -> bool:
        strike = self._behind(entry)
        return strike is not None and strike.fault.repeats

    def _behind(self, entry: Entry) -> Strike | None:
        """Return the strike that an entry is put down to; the first takes what came before it, too."""
        number = bisect.bisect_right(self.strikes, entry.at_ms, key=lambda strike: strike.since_ms)
        return self.strikes[max(0, number - 1)] if self.strikes else None

    @property
    def holds(self) -> bool:
        """Whether every fault was recovered from, and nothing is lost, doubled or different."""
        return not self.trouble and not self.wrong() and 0 < self.sent == self.counts()[Kind.READING]


def play(platform: Platform, faults: Sequence[Fault], stream: Stream, dice: random.Random) -> Result:
    """Start the platform and the stream of readings, let the faults strike, and settle the account.

    A fault that the job does not recover from ends the run early; the account is settled all the same.

    Raises:
        ProcessError: the platform or the job could not be started, or the stream of readings failed.
        Interrupted: asked to end.
    """
    result = Result()
    with platform:
        platform.start()
        with Tap(platform.broker.bootstrap_servers) as tap:
            run = _Run(platform, tap, dice)
            platform.simulate(stream.tags, stream.simulate)
            run.until(lambda: bool(tap.fixes), FIRST_TIMEOUT_S, "the first position")
            platform.say("positions come")
            try:
                for fault in faults:
                    run.strike(fault, run.await_steady(), result)
                run.await_steady()
            except (ProcessError, FlinkError) as error:
                result.trouble = str(error)
                platform.say(f"cut short: {error}")
            result.sent = platform.end_simulation()
            platform.say(f"{result.sent} readings sent; waiting until each of them is named")
            try:
                run.until(lambda: tap.readings >= result.sent and not tap.unnamed, ACCOUNT_TIMEOUT_S, "all are named")
            except ProcessError as error:
                platform.say(f"{tap.unnamed} are not: {error}")
            run.quiet()
            records, found = sorted(tap.records), [*tap.fixes, *tap.rejections]
        try:
            platform.end_job()
        except (ProcessError, FlinkError) as error:
            result.trouble = result.trouble or str(error)
    platform.say("all stopped; now the reference run over the same records")
    result.entries = settle(records, _expected(platform, records), found)
    return result


def _expected(platform: Platform, records: Sequence[KafkaRecord]) -> list[Outcome]:
    from runners.faults.reference import reference  # noqa: PLC0415  (Beam takes seconds to load)

    site = load_site(platform.layout.site)
    positions, rejected = reference(records, site, GraphSettings(strict=True), platform.directory)
    return [*map(fix, positions), *map(rejection, rejected)]


class _Run:
    """The stream while it lasts."""

    def __init__(self, platform: Platform, tap: Tap, dice: random.Random) -> None:
        self._platform = platform
        self._tap = tap
        self._dice = dice
        self._whole_since_ms = 0

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition, and take meanwhile what comes.

        Raises:
            ProcessError: ``what`` did not happen in time, or a child has died by itself.
        """

        def holds() -> bool:
            self._tap.poll()
            return condition()

        self._platform.wait(holds, timeout_s, what)

    def await_steady(self) -> int:
        """Wait until all tasks run, a checkpoint is done since the last fault, and some fixes more have come.

        Returns when the checkpoint was done (ms): what the last fault has caused was there by then.
        """
        platform, tap = self._platform, self._tap
        done_ms = 0

        def is_checkpointed() -> bool:
            nonlocal done_ms
            checkpointed_ms = platform.checkpointed_ms(self._whole_since_ms)
            done_ms = checkpointed_ms or done_ms
            return checkpointed_ms is not None and platform.flink.is_at_work(platform.job_id())

        start, fixes = len(tap.fixes), self._dice.randint(1, MOST_FIXES_BEFORE)
        self.until(is_checkpointed, STEADY_TIMEOUT_S, "all tasks run and a checkpoint is done")
        self.until(lambda: tap.fresh(start, done_ms) >= fixes, STEADY_TIMEOUT_S, f"{fixes} positions more")
        return done_ms

    def strike(self, fault: Fault, since_ms: int, result: Result) -> None:
        """Let a fault strike, wait until the job has recovered from it, and make the platform whole again."""
        platform, tap = self._platform, self._tap
        start, workers = len(tap.fixes), set(platform.workers())
        platform.say(f"{fault.name}: {fault.tells}")
        struck = Strike(fault, since_ms, fault.strike(platform, self._dice))
        result.strikes.append(struck)
        restored_ms = struck.at_ms
        if fault.restarts:
            self.until(
                lambda: platform.restored_ms() >= struck.at_ms, RECOVERY_TIMEOUT_S, f"{fault.name}: job restored"
            )
            restored_ms = platform.restored_ms()

        def recovered() -> bool:
            fresh_ms = tap.first_fresh_ms(start, struck.at_ms, restored_ms)
            struck.seconds = None if fresh_ms is None else (fresh_ms - struck.at_ms) / 1000
            return fresh_ms is not None

        self.until(recovered, RECOVERY_TIMEOUT_S, f"{fault.name}: positions again")
        platform.say(f"{fault.name}: recovered after {struck.seconds:.1f} s")
        fault.mend(platform)
        if fault.restarts:
            gone = f"{fault.name}: the Python workers of before have ended"
            self.until(lambda: workers.isdisjoint(platform.workers()), STEADY_TIMEOUT_S, gone)
        self._whole_since_ms = now_ms()

    def quiet(self) -> None:
        """Take what comes until nothing has come for a while."""
        end_s = time.monotonic() + QUIET_S
        while time.monotonic() < end_s:
            self._platform.check()
            if self._tap.poll():
                end_s = time.monotonic() + QUIET_S
