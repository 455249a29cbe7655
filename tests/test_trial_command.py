"""How the command of a trial ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pytest

from runners.processes import ProcessError
from runners.session import Interrupted
from runners.trial.command import exit_code

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    holds: bool


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_what_came_of_it_is_told_and_decides(holds: bool, code: int) -> None:  # noqa: FBT001
    told: list[Outcome] = []
    assert exit_code("trial", lambda _: Outcome(holds), told.append) == code
    assert told == [Outcome(holds)]


def test_a_failure_is_named_and_there_is_nothing_else_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: threading.Event) -> NoReturn:
        raise ProcessError("kafka ended")

    told: list[Outcome] = []
    assert exit_code("trial", fail, told.append) == 1
    assert told == []
    assert capsys.readouterr().err == "trial: kafka ended\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_it_to_end(number: signal.Signals) -> None:
    def run(stopped: threading.Event) -> NoReturn:
        os.kill(os.getpid(), number)
        assert stopped.wait(10.0)
        raise Interrupted

    assert exit_code("trial", run, print) == 130
