"""Flink's REST interface: what it takes to submit a job, to look after it, and to stop it with a savepoint."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests_toolbelt import MultipartEncoder
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

ENDED = frozenset({"CANCELED", "FAILED", "FINISHED"})
"""The states from which a job does not come back."""
ENTRY_CLASS = "rtls.FlinkJob"
"""The main class of the job's jar (runners/flink/src)."""
_STARTING = "UnavailableDispatcherOperationException"
_TIMEOUT_S = 30.0
_UPLOAD_TIMEOUT_S = 600.0
_SUBMIT_TIMEOUT_S = 300.0
_POLL_S = 0.2


def jar_name(job_name: str) -> str:
    """Return the name under which a job's jar is uploaded."""
    return f"{job_name}.jar"


class FlinkError(RuntimeError):
    """Flink is out of reach, or refused; the message is for a person."""


class FlinkUnreachableError(FlinkError):
    """Flink does not answer; it may later."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as Flink lists it."""

    id: str
    name: str
    state: str
    started_ms: int
    duration_ms: int

    @property
    def ended(self) -> bool:
        """Whether it will not come back."""
        return self.state in ENDED


class Flink:
    """A Flink cluster behind its REST address, as ``http://localhost:8081``.

    All methods raise:
        FlinkError: the cluster refused; the message is its own.
        FlinkUnreachableError: the cluster does not answer.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def overview(self) -> dict[str, Any]:
        """Return the counts of TaskManagers, slots and jobs."""
        return self._request("GET", "/overview")

    def jobs(self) -> list[Job]:
        """Return all jobs that the cluster remembers, the newest first."""
        found = [
            Job(job["jid"], job["name"], job["state"], job["start-time"], job["duration"])
            for job in self._request("GET", "/jobs/overview")["jobs"]
        ]
        return sorted(found, key=lambda job: job.started_ms, reverse=True)

    def running(self, name: str) -> list[Job]:
        """Return the jobs of a name that have not ended, the newest first."""
        return _running(self.jobs(), name)

    def job(self, name: str, job_id: str | None = None) -> Job:
        """Return the job with an id, else the only one of a name that has not ended."""
        jobs = self.jobs()
        if job_id is not None:
            found = [job for job in jobs if job.id == job_id]
            if not found:
                raise FlinkError(f"{self.address} knows no job {job_id}")
            return found[0]
        found = _running(jobs, name)
        if not found:
            others = ", ".join(f"{job.id} ({job.name}, {job.state})" for job in jobs) or "none"
            raise FlinkError(f"no job {name!r} runs at {self.address}; jobs there: {others}")
        if len(found) > 1:
            ids = ", ".join(job.id for job in found)
            raise FlinkError(f"{len(found)} jobs {name!r} run at {self.address}; choose one with --job: {ids}")
        return found[0]

    def require_none(self, name: str) -> None:
        """Raise where a job of a name has not ended."""
        for job in self.running(name):
            raise FlinkError(f"job {job.id} ({name}) is {job.state} at {self.address}; two would double positions")

    def state(self, job_id: str) -> str:
        """Return a job's state, as RUNNING."""
        state: str = self._request("GET", f"/jobs/{job_id}")["state"]
        return state

    def vertices(self, job_id: str) -> list[dict[str, Any]]:
        """Return the tasks of a job, each with name, parallelism and status."""
        vertices: list[dict[str, Any]] = self._request("GET", f"/jobs/{job_id}")["vertices"]
        return vertices

    def is_at_work(self, job_id: str) -> bool:
        """Tell whether all tasks of a job run; RUNNING alone says only that it has been planned."""
        vertices = self.vertices(job_id)
        return bool(vertices) and all(vertex["status"] == "RUNNING" for vertex in vertices)

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Return the counts of a job's checkpoints, and the newest of each kind."""
        return self._request("GET", f"/jobs/{job_id}/checkpoints")

    def root_cause(self, job_id: str) -> str:
        """Return why a job failed last; empty where it did not."""
        answer = self._request("GET", f"/jobs/{job_id}/exceptions")
        entries = (answer.get("exceptionHistory") or {}).get("entries") or []
        cause: str = entries[0]["stacktrace"] if entries else (answer.get("root-exception") or "")
        return cause

    def task_managers(self) -> list[dict[str, Any]]:
        """Return the TaskManagers, each with id, slots and free slots."""
        managers: list[dict[str, Any]] = self._request("GET", "/taskmanagers")["taskmanagers"]
        return managers

    def upload(self, jar: Path, name: str) -> str:
        """Upload a jar under a name ending in .jar, in place of earlier ones of that name, and return its id."""
        earlier = self._jar_ids(name)
        with jar.open("rb") as file:  # streamed: the jar is large
            parts = MultipartEncoder({"jarfile": (name, file, "application/java-archive")})
            answer = self._request(
                "POST",
                "/jars/upload",
                data=parts,
                headers={"Content-Type": parts.content_type},
                timeout=_UPLOAD_TIMEOUT_S,
            )
        for jar_id in earlier:
            with contextlib.suppress(FlinkError):  # what is left takes room, and no more
                self._request("DELETE", f"/jars/{jar_id}")
        return Path(answer["filename"]).name

    def uploaded(self, name: str) -> str:
        """Return the id of the newest uploaded jar of a name."""
        found = self._jar_ids(name)
        if not found:
            raise FlinkError(f"{self.address} no longer has {name}; start anew with beam-rtls run --savepoint")
        return found[0]

    def submit(self, jar_id: str, entry_class: str, *, parallelism: int | None, savepoint: str | None) -> str:
        """Run an uploaded jar and return the job's id; state in the savepoint that the job lacks is refused."""
        given = {"entryClass": entry_class, "parallelism": parallelism, "savepointPath": savepoint}
        body = {key: value for key, value in given.items() if value is not None}
        answer = self._request("POST", f"/jars/{jar_id}/run", json=body, timeout=_SUBMIT_TIMEOUT_S)
        job_id: str = answer["jobid"]
        return job_id

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Its last checkpoint stays."""
        self._request("PATCH", f"/jobs/{job_id}", params={"mode": "cancel"})

    def await_end(self, job_id: str, timeout_s: float) -> None:
        """Wait until a job has ended."""
        attempts = Retrying(
            retry=retry_if_result(lambda state: state not in ENDED),
            stop=stop_after_delay(timeout_s),
            wait=wait_fixed(_POLL_S),
        )
        try:
            attempts(self.state, job_id)
        except RetryError as error:
            raise FlinkError(f"job {job_id} has not ended within {timeout_s:g} s") from error

    def savepoint(self, job_id: str, directory: str | None, timeout_s: float) -> str:
        """Take a savepoint while the job runs on, and return its path."""
        return self._savepoint(job_id, f"/jobs/{job_id}/savepoints", directory, {"cancel-job": False}, timeout_s)

    def stop(self, job_id: str, directory: str | None, timeout_s: float) -> str:
        """Stop a job with a savepoint, in which open rounds stay open, and return its path."""
        return self._savepoint(job_id, f"/jobs/{job_id}/stop", directory, {"drain": False}, timeout_s)

    def _savepoint(
        self, job_id: str, path: str, directory: str | None, options: dict[str, Any], timeout_s: float
    ) -> str:
        body = dict(options)
        if directory is not None:
            key = "targetDirectory" if path.endswith("/stop") else "target-directory"
            body[key] = directory
        trigger = self._request("POST", path, json=body)["request-id"]

        def overdue(state: RetryCallState) -> None:
            found = state.outcome.exception() if state.outcome else None
            raise FlinkError(
                f"the savepoint of job {job_id} is not done within {timeout_s:g} s; it may still come"
                + (f" ({found})" if found else "")
            ) from found

        # A moment out of reach must not cost the savepoint's path: the job may be stopped by then.
        answer: dict[str, Any] = Retrying(
            retry=retry_if_exception_type(FlinkUnreachableError)
            | retry_if_result(lambda found: found["status"]["id"] == "IN_PROGRESS"),
            stop=stop_after_delay(timeout_s),
            wait=wait_fixed(_POLL_S),
            retry_error_callback=overdue,
        )(lambda: self._request("GET", f"/jobs/{job_id}/savepoints/{trigger}"))
        operation = answer["operation"] or {}
        if "location" not in operation:
            cause = (operation.get("failure-cause") or {}).get("stack-trace", "Flink does not say why")
            raise FlinkError(f"the savepoint of job {job_id} failed: {_cause(cause)}")
        location: str = operation["location"]
        return location

    def _jar_ids(self, name: str) -> list[str]:
        files = self._request("GET", "/jars")["files"]
        found = [file for file in files if file["name"] == name]
        return [file["id"] for file in sorted(found, key=lambda file: file["uploaded"], reverse=True)]

    def _request(self, method: str, path: str, *, timeout: float = _TIMEOUT_S, **more: Any) -> dict[str, Any]:
        try:
            response = requests.request(method, self.address + path, timeout=timeout, **more)
        except requests.RequestException as error:
            raise FlinkUnreachableError(f"no Flink answers at {self.address}: {error}") from error
        if response.status_code >= requests.codes.bad_request:
            if response.status_code == requests.codes.service_unavailable or _STARTING in response.text:
                raise FlinkUnreachableError(f"Flink at {self.address} is not ready yet: {response.text:.300}")
            raise FlinkError(f"Flink refused {method} {path}: {_reason(response)}")
        try:
            answer: dict[str, Any] = response.json() if response.content else {}
        except ValueError as error:
            raise FlinkError(f"what answers at {self.address} is no Flink: {response.text:.100}") from error
        return answer


def _running(jobs: list[Job], name: str) -> list[Job]:
    return [job for job in jobs if job.name == name and not job.ended]


def _reason(response: requests.Response) -> str:
    try:
        return _cause("\n".join(response.json()["errors"]))
    except (ValueError, KeyError, TypeError):
        return _cause(response.text)


def _cause(text: str) -> str:
    """Return the cause that Flink gives, without its Java stack: the last ``Caused by`` names what is wrong."""
    causes = [line for line in text.splitlines() if line.startswith("Caused by: ")]
    return (causes[-1] if causes else " ".join(text.split("\n")[:3])).strip()
