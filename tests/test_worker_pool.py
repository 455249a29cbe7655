"""The worker pool as a TaskManager uses it, over gRPC; most workers here are a stand-in that tells what it was told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, struct_pb2, text_format

from pipeline.worker_pool import serving, worker_environment
from runners.processes import LOOPBACK, Child, Children, wait_until, wait_until_answers

OPTIONS = {"beam:option:max_cache_memory_usage_mb:v1": "100", "beam:option:job_name:v1": "positions"}
STAND_IN = """
import json, os, pathlib, signal, sys, time
if os.environ["WORKER_ID"].startswith("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
note = pathlib.Path(os.environ["NOTES"], f"{os.getpid()}.json")
note.with_suffix(".new").write_text(json.dumps({"program": sys.executable, **os.environ}))
note.with_suffix(".new").rename(note)
if os.environ["WORKER_ID"] == "stillborn":
    sys.exit(1)
if os.environ["WORKER_ID"] != "mute":
    os.write(int(os.environ["BEAM_RTLS_CONNECTED_FD"]), b"1")
time.sleep(60)
"""


def descriptor(url: str) -> endpoints_pb2.ApiServiceDescriptor:
    return endpoints_pb2.ApiServiceDescriptor(url=url)


def told(worker: dict[str, str], variable: str) -> str:
    """The address in a variable that holds a descriptor."""
    found: str = text_format.Parse(worker[variable], endpoints_pb2.ApiServiceDescriptor()).url
    return found


@contextlib.contextmanager
def server(add: Callable[[grpc.Server], None]) -> Iterator[str]:
    """Serve at a free port of the loopback interface; gives the address."""
    with ThreadPoolExecutor(8) as threads:
        grpc_server = grpc.server(threads)
        add(grpc_server)
        port = grpc_server.add_insecure_port(f"{LOOPBACK}:0")
        grpc_server.start()
        try:
            yield f"{LOOPBACK}:{port}"
        finally:
            grpc_server.stop(0).wait()


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """A TaskManager's provision service. ``answers`` can be cleared to keep whoever asks waiting."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.info = provision_info()
        self.answers = threading.Event()
        self.answers.set()

    def GetProvisionInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.asked.append(dict(context.invocation_metadata())["worker_id"])
        self.answers.wait(30)
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=self.info)


def provision_info() -> beam_provision_api_pb2.ProvisionInfo:
    return beam_provision_api_pb2.ProvisionInfo(
        pipeline_options=json_format.ParseDict(OPTIONS, struct_pb2.Struct()),
        runner_capabilities=["beam:protocol:one:v1", "beam:protocol:two:v1"],
        status_endpoint=descriptor("localhost:3"),
    )


@dataclass(frozen=True, slots=True)
class TaskManager:
    """One connection to the pool."""

    stub: beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub
    provision: str

    def start(
        self,
        worker_id: str,
        *,
        provision: str | None = None,
        control: str = "localhost:1",
        logging: str = "localhost:2",
    ) -> str:
        """Ask for a worker; return the error, empty where there is none."""
        request = beam_fn_api_pb2.StartWorkerRequest(
            worker_id=worker_id,
            control_endpoint=descriptor(control),
            logging_endpoint=descriptor(logging),
            provision_endpoint=descriptor(provision or self.provision),
        )
        error: str = self.stub.StartWorker(request, timeout=40).error
        return error

    def stop(self, worker_id: str) -> str:
        error: str = self.stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=worker_id), timeout=40).error
        return error


@contextlib.contextmanager
def task_manager(pool: int, provision: str) -> Iterator[TaskManager]:
    # Else all channels of a process to one address would share a connection.
    own = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{LOOPBACK}:{pool}", options=own) as channel:
        yield TaskManager(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel), provision)


class Workers:
    """What the workers told about themselves, by process id."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def up(self, count: int = 1) -> dict[int, dict[str, str]]:
        """Wait until so many have told."""
        wait_until(lambda: len(self.all()) >= count, 20, f"{count} workers are up", lambda: None)
        return self.all()

    def all(self) -> dict[int, dict[str, str]]:
        return {int(note.stem): json.loads(note.read_text()) for note in self._notes.glob("*.json")}


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workers:
    """The pool starts the stand-in."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr("pipeline.worker_pool._MAIN", "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NOTES", str(tmp_path))
    return Workers(tmp_path)


@pytest.fixture
def provision() -> Provision:
    return Provision()


@pytest.fixture
def provision_address(provision: Provision) -> Iterator[str]:
    with server(lambda to: beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(provision, to)) as here:
        yield here


@pytest.fixture
def pool() -> Iterator[int]:
    with serving(f"{LOOPBACK}:0") as port:
        yield port


@pytest.fixture
def connection(pool: int, provision_address: str) -> Iterator[TaskManager]:
    with task_manager(pool, provision_address) as opened:
        yield opened


def there(pid: int) -> bool:
    """Whether a process exists, be it as a zombie."""
    return Path(f"/proc/{pid}").exists()


def gone(*pids: int) -> None:
    wait_until(lambda: not any(map(there, pids)), 20, f"processes {pids} are gone", lambda: None)


def test_a_worker_is_told_what_to_connect_to_and_the_jobs_options(
    connection: TaskManager, provision: Provision, workers: Workers
) -> None:
    assert connection.start("3-1", control="[::1]:1") == ""
    ((pid, worker),) = workers.up().items()
    assert there(pid)
    assert worker["WORKER_ID"] == "3-1"
    assert told(worker, "CONTROL_API_SERVICE_DESCRIPTOR") == "[::1]:1"
    assert told(worker, "LOGGING_API_SERVICE_DESCRIPTOR") == "localhost:2"
    assert told(worker, "STATUS_API_SERVICE_DESCRIPTOR") == "localhost:3"
    assert json.loads(worker["PIPELINE_OPTIONS"]) == OPTIONS
    assert worker["RUNNER_CAPABILITIES"] == "beam:protocol:one:v1 beam:protocol:two:v1"
    assert worker["program"] == sys.executable
    assert worker["PATH"] == os.environ["PATH"]
    assert provision.asked == ["3-1"]


def test_without_a_status_endpoint_none_is_told() -> None:
    info = provision_info()
    info.ClearField("status_endpoint")
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in worker_environment(beam_fn_api_pb2.StartWorkerRequest(), info)


def test_a_worker_is_stopped_before_the_answer(connection: TaskManager, workers: Workers) -> None:
    connection.start("1")
    (pid,) = workers.up()
    assert connection.stop("1") == ""
    assert not there(pid)
    assert connection.stop("1") == ""  # and there is nothing left to stop


def test_of_two_task_managers_with_equal_worker_ids_each_stops_its_own(
    connection: TaskManager, pool: int, workers: Workers
) -> None:
    connection.start("1-1")
    (first,) = workers.up()
    with task_manager(pool, connection.provision) as other:
        assert other.stop("1-1") == ""
        other.start("1-1")
        (second,) = workers.up(2).keys() - {first}
        assert there(first)
        connection.stop("1-1")
        assert not there(first)
        assert there(second)
        other.stop("1-1")
        assert not there(second)


def test_a_worker_of_another_id_is_let_be(connection: TaskManager, workers: Workers) -> None:
    connection.start("1")
    (pid,) = workers.up()
    connection.stop("2")
    assert there(pid)


def test_a_worker_that_does_not_listen_is_killed(
    connection: TaskManager, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker_pool._STOP_TIMEOUT_S", 0.3)
    connection.start("stubborn")
    (pid,) = workers.up()
    connection.stop("stubborn")
    assert not there(pid)


def test_a_worker_that_dies_leaves_no_zombie_and_can_be_started_anew(connection: TaskManager, workers: Workers) -> None:
    connection.start("1")
    (first,) = workers.up()
    os.kill(first, signal.SIGKILL)
    gone(first)
    connection.start("1")
    (second,) = workers.up(2).keys() - {first}
    connection.stop("1")
    assert not there(second)


def test_a_worker_that_ends_before_it_has_connected_comes_back_as_an_error(
    connection: TaskManager, workers: Workers
) -> None:
    """Told of nothing, the TaskManager would wait for it for ever."""
    assert connection.start("stillborn") == "worker stillborn ended before it had connected"
    gone(*workers.up())


def test_a_worker_that_is_no_longer_waited_for_is_stopped(pool: int, provision_address: str, workers: Workers) -> None:
    """As when the job restarts meanwhile: nobody would ever ask for its end."""
    with ThreadPoolExecutor(1) as threads:
        with task_manager(pool, provision_address) as connection:
            asked = threads.submit(connection.start, "mute")
            (pid,) = workers.up()
        assert asked.exception(20) is not None
    gone(pid)


def test_an_endpoint_out_of_reach_comes_back_as_an_error(connection: TaskManager, workers: Workers) -> None:
    with server(lambda _: None) as closed:
        pass
    assert "UNAVAILABLE" in connection.start("1", provision=closed)
    with server(lambda _: None) as other_service:
        assert "UNIMPLEMENTED" in connection.start("1", provision=other_service)
    assert connection.start("2") == ""
    assert [worker["WORKER_ID"] for worker in workers.up().values()] == ["2"]


def test_a_program_that_cannot_be_started_comes_back_as_an_error(
    connection: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "No such file or directory: '/nowhere/python'" in connection.start("1")


def test_closing_the_pool_leaves_no_worker(
    provision_address: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker_pool._STOP_TIMEOUT_S", 0.3)
    with (
        serving(f"{LOOPBACK}:0") as port,
        task_manager(port, provision_address) as one,
        task_manager(port, provision_address) as other,
    ):
        for worker_id in ("1-1", "1-2", "stubborn"):
            one.start(worker_id)
        other.start("1-1")
        started = workers.up(4)
        assert all(map(there, started))
    assert not any(map(there, started))


def test_a_worker_asked_for_while_the_pool_closes_is_not_left_behind(
    provision: Provision, provision_address: str, workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    provision.answers.clear()
    with ThreadPoolExecutor(1) as threads:
        with serving(f"{LOOPBACK}:0") as port, task_manager(port, provision_address) as connection:
            asked = threads.submit(connection.start, "1")
            wait_until(lambda: provision.asked == ["1"], 20, "the pool asks", lambda: None)
        provision.answers.set()
        assert isinstance(asked.exception(20), grpc.RpcError)
    wait_until(lambda: "the worker pool is closed" in caplog.text, 20, "it is refused", lambda: None)
    assert workers.all() == {}


def test_a_port_that_another_pool_has_is_refused(pool: int) -> None:
    with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{pool}"), serving(f"{LOOPBACK}:{pool}"):
        pass


class Harness(beam_fn_api_pb2_grpc.BeamFnControlServicer, beam_fn_api_pb2_grpc.BeamFnLoggingServicer):
    """A TaskManager's control and logging service."""

    def __init__(self) -> None:
        self.connected: dict[str, threading.Event] = {}
        """A worker's line, held until its event is set."""
        self.logged: list[str] = []

    def Control(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802, ARG002
        hangs_up = threading.Event()
        context.add_callback(hangs_up.set)
        self.connected[dict(context.invocation_metadata())["worker_id"]] = hangs_up
        hangs_up.wait()
        yield from ()

    def Logging(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802, ARG002
        with contextlib.suppress(grpc.RpcError):
            for batch in request_iterator:
                self.logged += [entry.message for entry in batch.log_entries]
        yield from ()

    def add_to(self, grpc_server: grpc.Server) -> None:
        beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(self, grpc_server)
        beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(self, grpc_server)


def test_beams_own_worker_has_its_cache_and_ends_with_the_task_managers_end_of_the_line(
    connection: TaskManager, provision: Provision
) -> None:
    """So one that StopWorker does not find is not left behind, be the TaskManager done with it or dead."""
    provision.info.ClearField("status_endpoint")
    harness = Harness()
    before = children()
    with server(harness.add_to) as address:
        for worker_id in ("7-1", "7-2"):
            assert connection.start(worker_id, control=address, logging=address) == ""
        started = children() - before
        wait_until(lambda: len(harness.connected) == 2, 60, "both are connected", lambda: None)
        assert harness.connected.keys() == {"7-1", "7-2"}
        size = f"Creating state cache with size {100 << 20}"
        wait_until(lambda: harness.logged.count(size) == 2, 20, "both have a cache", lambda: None)
        harness.connected["7-1"].set()
        wait_until(lambda: len(list(filter(there, started))) == 1, 20, "the one is gone", lambda: None)
    gone(*started)


def children(of: str = "self") -> set[int]:
    """The processes that a process, by default this one, has started."""
    threads = Path("/proc", of, "task").iterdir()
    return {int(pid) for thread in threads for pid in (thread / "children").read_text().split()}


def test_the_command_ends_politely_with_its_workers_and_refuses_a_taken_port(
    provision: Provision, provision_address: str, tmp_path: Path
) -> None:
    provision.info.ClearField("status_endpoint")
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipeline", "worker-pool", f"--host={LOOPBACK}", f"--port={port}"]
    pool, second = (Child(name, command, tmp_path / name) for name in ("pool", "second"))
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(Children())
        running.start(pool)
        wait_until_answers(port, 60, "the pool", running.check)
        running.start(second)
        harness = stack.enter_context(server(Harness().add_to))
        with task_manager(port, provision_address) as connection:
            assert connection.start("1", control=harness, logging=harness) == ""
        (worker,) = children(str(pool.pid))
        assert second.wait(60) == 1
        assert f"beam-rtls worker-pool: cannot listen at {LOOPBACK}:{port}" in second.last_lines()
        assert pool.pid is not None
        os.kill(pool.pid, signal.SIGTERM)
        assert pool.wait(20) == 0
        assert not there(worker)
