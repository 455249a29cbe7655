"""Following a job, against a server that answers as Flink does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.flink import follow
from pipeline.flink_rest import Flink
from tests.flink_server import JOB, FlinkServer, flink_server

STATE = f"GET /jobs/{JOB}"
CANCEL = f"PATCH /jobs/{JOB}?mode=cancel"


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.flink._POLL_S", 0.01)
    monkeypatch.setattr("pipeline.flink._CANCEL_TIMEOUT_S", 0.1)
    monkeypatch.setattr("pipeline.flink_rest._POLL_S", 0.01)


@pytest.fixture
def server() -> Iterator[FlinkServer]:
    with flink_server() as serving:
        yield serving


def states(server: FlinkServer, *states: str) -> None:
    server.answer(STATE, *({"state": state} for state in states))


def test_each_change_of_state_is_told_once(server: FlinkServer, caplog: pytest.LogCaptureFixture) -> None:
    states(server, "CREATED", "RUNNING", "RUNNING", "RESTARTING", "RUNNING", "FINISHED")
    with caplog.at_level("INFO"):
        assert follow(Flink(server.address), JOB, threading.Event()) == 0
    changes = ["CREATED", "RUNNING", "RESTARTING", "RUNNING", "FINISHED"]
    assert caplog.messages == [f"job {JOB} is {state}" for state in changes]


def test_a_job_that_someone_else_cancelled_has_not_failed(server: FlinkServer) -> None:
    states(server, "RUNNING", "CANCELED")
    assert follow(Flink(server.address), JOB, threading.Event()) == 0


def test_a_job_that_failed_is_exit_1_with_its_cause(server: FlinkServer, caplog: pytest.LogCaptureFixture) -> None:
    states(server, "FAILED")
    stack = "\n".join(["a.B: c", *(f"\tat line {number}" for number in range(100))])
    server.answer(f"{STATE}/exceptions", {"exceptionHistory": {"entries": [{"stacktrace": stack}]}})
    assert follow(Flink(server.address), JOB, threading.Event()) == 1
    assert "the job failed: a.B: c\n\tat line 0" in caplog.text
    assert "line 99" not in caplog.text


def test_a_cluster_out_of_reach_is_told_once_and_waited_for(
    server: FlinkServer, caplog: pytest.LogCaptureFixture
) -> None:
    states(server, "RUNNING")
    server.answer(STATE, "", "", status=503)
    states(server, "RUNNING", "FINISHED")
    with caplog.at_level("INFO"):
        assert follow(Flink(server.address), JOB, threading.Event()) == 0
    assert len([text for text in caplog.messages if "the job may run on" in text]) == 1
    assert len([text for text in caplog.messages if text == f"job {JOB} is RUNNING"]) == 2


def test_a_job_is_cancelled_when_the_run_is_stopped(server: FlinkServer) -> None:
    server.answer(CANCEL, {}, status=202)
    states(server, "CANCELLING", "CANCELED")
    stopped = threading.Event()
    stopped.set()
    assert follow(Flink(server.address), JOB, stopped) == 0
    assert [request for request, _ in server.asked] == [CANCEL, STATE, STATE]


@pytest.mark.parametrize("status", [202, 503])
def test_a_job_that_does_not_let_itself_be_cancelled_is_exit_1(
    server: FlinkServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    server.answer(CANCEL, {}, status=status)
    states(server, "CANCELLING")
    stopped = threading.Event()
    stopped.set()
    assert follow(Flink(server.address), JOB, stopped) == 1
    assert "the job may run on" in caplog.text
