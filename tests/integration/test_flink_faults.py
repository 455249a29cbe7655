"""Nothing is lost on Flink: the platform is broken under a steady stream, and every reading is accounted for."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from runners.faults.scenario import Stream, play
from runners.session import Session
from runners.trial.faults import BrokerStopped, TaskManagerKilled, WorkerKilled
from runners.trial.ledger import Kind
from runners.trial.platform import Layout, Platform, Ports, free_ports
from tests.integration.conftest import DEMO, tool


def test_killed_task_manager_worker_and_broker_lose_and_alter_nothing(tmp_path: Path) -> None:
    layout = Layout(
        job_name="beam-rtls-faults",
        site=DEMO,
        parallelism=2,
        backend="hashmap",
        checkpoint_interval_s=3.0,
        high_availability=False,
        tools=tool("beam.jar").parent,
    )
    ports = free_ports()
    platform = Platform(
        Session(tmp_path / "faults", threading.Event()), layout, Ports(*(next(ports) for _ in range(6)))
    )
    faults = [TaskManagerKilled(), WorkerKilled(), BrokerStopped()]
    result = play(platform, faults, Stream(80, ("--lost-share", "0.2")), random.Random(1))

    assert result.trouble == ""
    assert [strike.fault for strike in result.strikes if strike.seconds is not None] == faults
    assert result.wrong() == []
    counts = result.counts()
    assert result.sent == counts[Kind.READING] > 2000
    assert counts[Kind.FIX] > 500
    assert counts[Kind.REJECTION] > 50
