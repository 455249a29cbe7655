"""The Python side of a Flink TaskManager: starts a worker process whenever the TaskManager asks for one.

It speaks Beam's external worker pool protocol, as Beam's own pool (``worker_pool_main``) does, and differs where that
one costs a running system something: a worker is told the job's options, without which it would cache no state; it logs
through the TaskManager; it runs this interpreter rather than the first ``python`` on the path; and TaskManagers that
share a pool, whose worker ids are the same, do not stop each other's workers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from google.protobuf import json_format, text_format

_LOG = logging.getLogger(__name__)
_PROVISION_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_RPC_THREADS = 32
_POLL_S = 0.1
_MAIN = "pipeline.worker"
CONNECTED_FD = "BEAM_RTLS_CONNECTED_FD"
"""The variable that tells a worker at which end of a pipe to say that it has connected."""


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Starts and stops worker processes on request; closing it ends them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._closed = False

    def StartWorker(  # noqa: N802  (gRPC's name)
        self,
        request: beam_fn_api_pb2.StartWorkerRequest,
        context: grpc.ServicerContext,
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Start a worker, and answer when it has connected to the TaskManager.

        An error goes back as text and fails the job's start, which Flink tries again. A TaskManager that was told
        nothing would wait for ever for a worker that died before it connected. One that has given up meanwhile will
        never ask for the worker's end, so this is its end.
        """
        try:
            environment = {**os.environ, **worker_environment(request, _provision(request))}
            worker, connected = self._start((context.peer(), request.worker_id), environment)
        except (OSError, grpc.RpcError) as error:
            _LOG.exception("worker %s cannot be started", request.worker_id)
            return beam_fn_api_pb2.StartWorkerResponse(error=f"{type(error).__name__}: {error}")
        _LOG.info("worker %s of %s started as process %d", request.worker_id, context.peer(), worker.pid)
        threading.Thread(target=self._reap, args=(request.worker_id, worker), daemon=True).start()
        with os.fdopen(connected, "rb") as pipe:
            while not select.select([pipe], [], [], _POLL_S)[0]:
                if not context.is_active():
                    _LOG.info("worker %s of %s is no longer waited for", request.worker_id, context.peer())
                    _stop(worker)
            problem = "" if pipe.read(1) else f"worker {request.worker_id} ended before it had connected"
        return beam_fn_api_pb2.StartWorkerResponse(error=problem)

    def StopWorker(  # noqa: N802  (gRPC's name)
        self,
        request: beam_fn_api_pb2.StopWorkerRequest,
        context: grpc.ServicerContext,
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Stop the worker that was started over the same connection.

        One that is not found there, as after half an hour without a word, when the connection is another one, ends by
        itself: the TaskManager has closed what it listens to.
        """
        with self._lock:
            worker = self._workers.pop((context.peer(), request.worker_id), None)
        if worker is not None:
            _stop(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def _start(self, key: tuple[str, str], environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
        """Return the worker, and a pipe's end at which a byte says that it has connected, and none that it ended."""
        connected, tells = os.pipe()
        try:
            with self._lock:
                if self._closed:  # whoever asked may have waited for the job's options meanwhile
                    raise ChildProcessError("the worker pool is closed")
                program = [sys.executable, "-m", _MAIN]
                told = {**environment, CONNECTED_FD: str(tells)}
                worker = subprocess.Popen(program, env=told, stdin=subprocess.DEVNULL, pass_fds=[tells])  # noqa: S603
                self._workers[key] = worker
        except OSError:
            os.close(connected)
            raise
        finally:
            os.close(tells)
        return worker, connected

    def close(self) -> None:
        """Stop all workers, and start no more."""
        with self._lock:
            self._closed = True
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            _stop(worker)

    def _reap(self, worker_id: str, worker: subprocess.Popen[bytes]) -> None:
        """Wait for a worker's end, so that none is left as a zombie."""
        code = worker.wait()
        with self._lock:
            for key in [key for key, known in self._workers.items() if known is worker]:
                del self._workers[key]
        _LOG.info("worker %s, process %d, ended with %d", worker_id, worker.pid, code)


@contextlib.contextmanager
def serving(address: str) -> Iterator[int]:
    """Serve at ``HOST:PORT`` (port 0: any free one); give the port, and stop all workers at the end.

    Raises:
        OSError: the port is taken.
    """
    pool = WorkerPool()
    # A port that another pool has is refused, not shared.
    server = grpc.server(ThreadPoolExecutor(_RPC_THREADS), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen at {address}: {error}") from error
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()
        pool.close()


def worker_environment(
    request: beam_fn_api_pb2.StartWorkerRequest,
    provision: beam_provision_api_pb2.ProvisionInfo,
) -> Mapping[str, str]:
    """Return the variables by which Beam's worker program is told what to connect to, and the job's options."""
    environment = {
        "WORKER_ID": request.worker_id,
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.logging_endpoint),
        "PIPELINE_OPTIONS": json_format.MessageToJson(provision.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(provision.runner_capabilities),
    }
    if provision.HasField("status_endpoint"):
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(provision.status_endpoint)
    return environment


def _provision(request: beam_fn_api_pb2.StartWorkerRequest) -> beam_provision_api_pb2.ProvisionInfo:
    """Ask the TaskManager for the job's options."""
    with grpc.insecure_channel(request.provision_endpoint.url) as channel:
        return (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=[("worker_id", request.worker_id)],
                timeout=_PROVISION_TIMEOUT_S,
            )
            .info
        )


def _stop(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
