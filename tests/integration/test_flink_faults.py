"""Nothing is lost on Flink: the platform is broken under a steady stream, and every reading is accounted for."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from runners.faults.faults import BrokerStopped, TaskManagerKilled, WorkerKilled
from runners.faults.ledger import Kind
from runners.faults.platform import Layout, Platform, Ports
from runners.faults.scenario import play
from runners.session import Session
from tests.integration.conftest import DEMO, tool


def test_killed_task_manager_worker_and_broker_lose_and_alter_nothing(tmp_path: Path) -> None:
    layout = Layout(
        site=DEMO,
        tags=40,
        simulate=("--lost-share", "0.1"),
        parallelism=2,
        backend="hashmap",
        checkpoint_interval_s=3.0,
        high_availability=False,
        tools=tool("beam.jar").parent,
    )
    ports = steady_ports()
    platform = Platform(
        Session(tmp_path / "faults", threading.Event()), layout, Ports(*(next(ports) for _ in range(6)))
    )
    faults = [TaskManagerKilled(), WorkerKilled(), BrokerStopped()]
    result = play(platform, faults, random.Random(1))

    assert result.trouble == ""
    assert [strike.fault for strike in result.strikes if strike.seconds is not None] == faults
    assert result.wrong() == []
    counts = result.counts()
    assert result.sent == counts[Kind.READING] > 2000
    assert counts[Kind.FIX] > 500
    assert counts[Kind.REJECTION] > 50


def steady_ports() -> Iterator[int]:
    """Free ports that no client is given in passing: the broker has to get its own back after it was away."""
    for port in range(20_000, 30_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                yield port
