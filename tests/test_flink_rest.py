"""Flink's REST interface and ``beam-rtls flink``, against a server that answers as Flink 1.19 does."""

from __future__ import annotations

import json
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.flink import main
from pipeline.flink_rest import ENTRY_CLASS, Flink, FlinkError, FlinkUnreachableError, Job, jar_name
from tests.flink_server import JOB, FlinkServer, flink_server, job

OTHER = "0b6d3c2e9f3e4d7c8a1b2c3d4e5f6071"
TRIGGER = "6fb2dbea7c5f0cd1d0d2f1bd5c0e1e3a"
SAVEPOINT = "file:/savepoints/savepoint-a5e2a1-1f3d5b7d9f1b"
NO_METADATA = (
    "java.io.FileNotFoundException: Cannot find meta data file '_metadata' in directory 'file:/nowhere'. "
    "Please try to load the checkpoint/savepoint directly from the metadata file instead of the directory."
)
REFUSED = (
    "org.apache.flink.runtime.rest.handler.RestHandlerException: Could not execute application.\n"
    "\tat org.apache.flink.runtime.webmonitor.handlers.JarRunHandler.lambda$handleRequest$1(JarRunHandler.java:114)\n"
    "Caused by: java.util.concurrent.CompletionException: "
    "org.apache.flink.util.FlinkRuntimeException: Could not execute application.\n"
    "\t... 2 more\n"
    "Caused by: org.apache.flink.util.FlinkRuntimeException: Could not execute application.\n"
    "\tat org.apache.flink.client.deployment.application.DetachedApplicationRunner.tryExecuteJobs(DetachedAppl.java)\n"
    f"Caused by: {NO_METADATA}\n"
    "\tat org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess.resolveCheckpointPointer\n"
    "\t... 18 more\n"
)
OVERVIEW = {"taskmanagers": 2, "slots-total": 4, "slots-available": 2, "jobs-running": 1, "flink-version": "1.19.3"}
RUNNING = {"state": "RUNNING", "vertices": [{"name": "Readings -> Decode", "parallelism": 2, "status": "RUNNING"}]}
CHECKPOINTS = {
    "counts": {"restored": 0, "total": 9, "in_progress": 0, "completed": 8, "failed": 1},
    "latest": {
        "completed": {"id": 9, "end_to_end_duration": 41, "external_path": "file:/checkpoints/chk-9"},
        "savepoint": None,
        "failed": {"id": 1, "end_to_end_duration": 12, "failure_message": "Some tasks were not running"},
        "restored": None,
    },
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlinkServer]:
    monkeypatch.setattr("pipeline.flink_rest._POLL_S", 0.01)
    with flink_server() as serving:
        yield serving


@pytest.fixture
def flink(server: FlinkServer) -> Flink:
    return Flink(f"{server.address}/")


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that is bound, but where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


# what goes wrong


def test_a_cluster_out_of_reach_is_named(nobody: str) -> None:
    with pytest.raises(FlinkUnreachableError, match=f"no Flink answers at {nobody}: .*refused"):
        Flink(nobody).overview()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, "Service temporarily unavailable due to an ongoing leader election. Please refresh."),
        (
            500,
            "org.apache.flink.runtime.dispatcher.UnavailableDispatcherOperationException: Unable to get JobMasterGat",
        ),
    ],
)
def test_a_cluster_that_is_not_ready_yet_is_as_good_as_out_of_reach(
    server: FlinkServer, flink: Flink, status: int, text: str
) -> None:
    server.answer("GET /overview", {"errors": [text]}, status=status)
    with pytest.raises(FlinkUnreachableError, match=f"Flink at {server.address} is not ready yet: .*{text}"):
        flink.overview()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"errors": ["Internal server error.", f"<Exception on server side:\n{REFUSED}"]}, f"Caused by: {NO_METADATA}"),
        ({"errors": [f"Job {JOB} not found"]}, f"Job {JOB} not found"),
        ("<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        ([], "[]"),
        ({"errors": None}, '{"errors": null}'),
    ],
)
def test_of_a_refusal_the_cause_is_told_without_its_java_stack(
    server: FlinkServer, flink: Flink, body: Any, told: str
) -> None:
    server.answer("POST /jars/1_a.jar/run", body, status=400)
    with pytest.raises(FlinkError) as refused:
        flink.submit("1_a.jar", ENTRY_CLASS, parallelism=None, savepoint="file:/nowhere")
    assert not isinstance(refused.value, FlinkUnreachableError)
    assert str(refused.value) == f"Flink refused POST /jars/1_a.jar/run: {told}"


def test_what_is_no_flink_is_told(server: FlinkServer, flink: Flink) -> None:
    server.answer("GET /overview", "<html>Welcome</html>")
    with pytest.raises(FlinkError, match=f"what answers at {server.address} is no Flink: <html>Welcome"):
        flink.overview()


# jobs


def test_jobs_come_newest_first(server: FlinkServer, flink: Flink) -> None:
    server.jobs(job(OTHER, started_ms=1, state="FINISHED"), job(JOB, started_ms=2))
    assert flink.jobs() == [
        Job(JOB, "beam-rtls", "RUNNING", 2, 61_400),
        Job(OTHER, "beam-rtls", "FINISHED", 1, 61_400),
    ]


@pytest.mark.parametrize("state", ["CREATED", "RESTARTING", "FAILING", "CANCELLING", "SUSPENDED"])
def test_the_job_of_a_name_is_the_one_that_has_not_ended(server: FlinkServer, flink: Flink, state: str) -> None:
    ended = [job(OTHER, state=state, started_ms=2**41) for state in ("CANCELED", "FAILED", "FINISHED")]
    server.jobs(*ended, job(OTHER, name="another"), job(state=state))
    assert flink.job("beam-rtls").id == JOB


def test_no_job_of_a_name_is_told_with_what_there_is(server: FlinkServer, flink: Flink) -> None:
    server.answer("GET /jobs/overview", {"jobs": []}, {"jobs": [job(state="FAILED")]})
    with pytest.raises(FlinkError, match=f"no job 'beam-rtls' runs at {server.address}; jobs there: none"):
        flink.job("beam-rtls")
    with pytest.raises(FlinkError, match=rf"jobs there: {JOB} \(beam-rtls, FAILED\)"):
        flink.job("beam-rtls")


def test_of_several_jobs_of_a_name_one_has_to_be_chosen(server: FlinkServer, flink: Flink) -> None:
    server.jobs(job(JOB), job(OTHER))
    with pytest.raises(FlinkError, match=f"2 jobs 'beam-rtls' run .* choose one with --job: {JOB}, {OTHER}"):
        flink.job("beam-rtls")
    assert flink.job("beam-rtls", OTHER).id == OTHER


def test_a_job_is_found_by_its_id_whatever_its_name_and_state(server: FlinkServer, flink: Flink) -> None:
    server.jobs(job(), job(OTHER, name="another", state="FAILED"))
    assert flink.job("beam-rtls", OTHER).ended
    with pytest.raises(FlinkError, match=f"{server.address} knows no job {TRIGGER}"):
        flink.job("beam-rtls", TRIGGER)


@pytest.mark.parametrize(
    ("tasks", "at_work"),
    [([], False), (["RUNNING"], True), (["RUNNING", "INITIALIZING"], False), (["CREATED", "RUNNING"], False)],
)
def test_a_job_is_at_work_when_all_its_tasks_run(
    server: FlinkServer, flink: Flink, tasks: list[str], *, at_work: bool
) -> None:
    server.answer(f"GET /jobs/{JOB}", {"state": "RUNNING", "vertices": [{"status": status} for status in tasks]})
    assert flink.is_at_work(JOB) is at_work


def test_why_a_job_failed_is_its_newest_exception(server: FlinkServer, flink: Flink) -> None:
    history = {"entries": [{"exceptionName": "B", "stacktrace": "B\n\tat b"}, {"stacktrace": "A"}], "truncated": False}
    server.answer(
        f"GET /jobs/{JOB}/exceptions",
        {"root-exception": "A", "exceptionHistory": history},
        {"root-exception": None, "exceptionHistory": {"entries": [], "truncated": False}},
    )
    assert flink.root_cause(JOB) == "B\n\tat b"
    assert flink.root_cause(JOB) == ""


def test_the_end_of_a_job_is_awaited(server: FlinkServer, flink: Flink) -> None:
    server.answer(f"GET /jobs/{JOB}", *({"state": state} for state in ("RUNNING", "CANCELLING", "CANCELED")))
    flink.await_end(JOB, 20)
    assert len(server.asked) == 3


def test_a_job_that_does_not_end_in_time_is_told(server: FlinkServer, flink: Flink) -> None:
    server.answer(f"GET /jobs/{JOB}", {"state": "CANCELLING"})
    with pytest.raises(FlinkError, match=f"job {JOB} has not ended within 0.05 s"):
        flink.await_end(JOB, 0.05)


# jars


def test_a_jar_is_uploaded_under_its_name_in_place_of_earlier_ones(
    server: FlinkServer, flink: Flink, tmp_path: Path
) -> None:
    server.jars("beam-rtls.jar", "another.jar", "beam-rtls.jar")
    server.answer("POST /jars/upload", {"filename": "/flink-web-upload/9_beam-rtls.jar"})
    for number in (0, 2):
        server.answer(f"DELETE /jars/{number}_beam-rtls.jar", {})
    content = bytes(range(256)) * 1000
    (tmp_path / "written.jar").write_bytes(content)
    assert flink.upload(tmp_path / "written.jar", jar_name("beam-rtls")) == "9_beam-rtls.jar"
    assert server.sent("POST /jars/upload") == [("beam-rtls.jar", content)]
    assert {request for request, _ in server.asked[2:]} == {
        "DELETE /jars/0_beam-rtls.jar",
        "DELETE /jars/2_beam-rtls.jar",
    }


def test_earlier_jars_stay_where_the_new_one_is_refused(server: FlinkServer, flink: Flink, tmp_path: Path) -> None:
    server.jars("a.jar")
    server.answer("POST /jars/upload", {"errors": ["Only Jar files are allowed."]}, status=400)
    (tmp_path / "a.jar").touch()
    with pytest.raises(FlinkError, match="Only Jar files are allowed"):
        flink.upload(tmp_path / "a.jar", "a.jar")
    assert [request for request, _ in server.asked] == ["GET /jars", "POST /jars/upload"]


def test_earlier_jars_that_cannot_be_deleted_are_let_be(server: FlinkServer, flink: Flink, tmp_path: Path) -> None:
    server.jars("a.jar")
    server.answer("POST /jars/upload", {"filename": "9_a.jar"})
    (tmp_path / "a.jar").touch()
    assert flink.upload(tmp_path / "a.jar", "a.jar") == "9_a.jar"


def test_a_large_jar_is_not_held_in_memory(server: FlinkServer, flink: Flink, tmp_path: Path) -> None:
    server.jars()
    server.answer("POST /jars/upload", {"filename": "9_a.jar"})
    size = 16 << 20
    with (tmp_path / "a.jar").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        flink.upload(tmp_path / "a.jar", "a.jar")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 4


def test_the_newest_jar_of_a_name_is_used(server: FlinkServer, flink: Flink) -> None:
    server.jars("a.jar", "a.jar", "a.jar", "b.jar")
    assert flink.uploaded("a.jar") == "1_a.jar"
    with pytest.raises(FlinkError, match=r"no longer has c\.jar; start anew"):
        flink.uploaded("c.jar")


def test_only_what_is_given_is_submitted(server: FlinkServer, flink: Flink) -> None:
    server.answer("POST /jars/1_a.jar/run", {"jobid": JOB})
    assert flink.submit("1_a.jar", ENTRY_CLASS, parallelism=None, savepoint=None) == JOB
    assert server.asked.pop() == ("POST /jars/1_a.jar/run", {"entryClass": ENTRY_CLASS})
    flink.submit("1_a.jar", ENTRY_CLASS, parallelism=3, savepoint=SAVEPOINT)
    assert server.sent("POST /jars/1_a.jar/run") == {
        "entryClass": ENTRY_CLASS,
        "parallelism": 3,
        "savepointPath": SAVEPOINT,
    }


# savepoints

IN_PROGRESS = {"status": {"id": "IN_PROGRESS"}, "operation": None}


def done(**operation: Any) -> dict[str, Any]:
    return {"status": {"id": "COMPLETED"}, "operation": operation}


def trigger(server: FlinkServer, *answers: Any, way: str = "savepoints") -> None:
    server.answer(f"POST /jobs/{JOB}/{way}", {"request-id": TRIGGER}, status=202)
    server.answer(f"GET /jobs/{JOB}/savepoints/{TRIGGER}", *answers)


@pytest.mark.parametrize(
    ("directory", "sent"),
    [
        (None, {"cancel-job": False}),
        ("s3://here", {"cancel-job": False, "target-directory": "s3://here"}),
    ],
)
def test_a_savepoint_is_awaited_while_the_job_runs_on(
    server: FlinkServer, flink: Flink, directory: str | None, sent: dict[str, Any]
) -> None:
    trigger(server, IN_PROGRESS, IN_PROGRESS, done(location=SAVEPOINT))
    assert flink.savepoint(JOB, directory, 20) == SAVEPOINT
    assert server.sent(f"POST /jobs/{JOB}/savepoints") == sent
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("directory", "sent"),
    [(None, {"drain": False}), ("s3://here", {"drain": False, "targetDirectory": "s3://here"})],
)
def test_stopping_does_not_drain_so_open_rounds_go_into_the_savepoint(
    server: FlinkServer, flink: Flink, directory: str | None, sent: dict[str, Any]
) -> None:
    trigger(server, IN_PROGRESS, done(location=SAVEPOINT), way="stop")
    assert flink.stop(JOB, directory, 20) == SAVEPOINT
    assert server.sent(f"POST /jobs/{JOB}/stop") == sent


def test_why_a_savepoint_failed_is_told(server: FlinkServer, flink: Flink) -> None:
    failure = {"class": "java.util.concurrent.CompletionException", "stack-trace": f"A\n\tat b\n{REFUSED}"}
    trigger(server, done(**{"failure-cause": failure}))
    with pytest.raises(FlinkError) as failed:
        flink.savepoint(JOB, None, 20)
    assert str(failed.value) == f"the savepoint of job {JOB} failed: Caused by: {NO_METADATA}"


def test_a_savepoint_that_is_not_done_in_time_may_still_come(server: FlinkServer, flink: Flink) -> None:
    trigger(server, IN_PROGRESS)
    with pytest.raises(FlinkError, match=r"is not done within 0\.05 s; it may still come$"):
        flink.savepoint(JOB, None, 0.05)


def test_a_cluster_that_is_away_for_a_moment_does_not_cost_the_savepoint(server: FlinkServer, flink: Flink) -> None:
    trigger(server, IN_PROGRESS)
    path = f"GET /jobs/{JOB}/savepoints/{TRIGGER}"
    server.answer(path, "", status=503)
    server.answer(path, IN_PROGRESS, done(location=SAVEPOINT))
    assert flink.savepoint(JOB, None, 20) == SAVEPOINT


def test_a_cluster_that_stays_away_is_told(server: FlinkServer, flink: Flink) -> None:
    trigger(server, IN_PROGRESS)
    server.answer(f"GET /jobs/{JOB}/savepoints/{TRIGGER}", "", status=503)
    with pytest.raises(FlinkError, match=r"it may still come \(Flink at .* is not ready yet"):
        flink.savepoint(JOB, None, 0.1)


# beam-rtls flink


def asked_of(server: FlinkServer, *arguments: str) -> int:
    return main([*arguments, f"--flink-master={server.address}"])


def test_status_tells_state_tasks_and_checkpoints(server: FlinkServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.jobs(job())
    server.answer("GET /overview", OVERVIEW)
    server.answer(f"GET /jobs/{JOB}", RUNNING)
    server.answer(f"GET /jobs/{JOB}/checkpoints", CHECKPOINTS)
    server.answer(f"GET /jobs/{JOB}/exceptions", {"exceptionHistory": {"entries": [{"stacktrace": "A: b\n\tat c"}]}})
    assert asked_of(server, "status") == 0
    assert capsys.readouterr().out == (
        f"Flink 1.19.3 at {server.address}: 2 TaskManagers, 2 of 4 slots free\n"
        f"job {JOB} (beam-rtls): RUNNING for 61 s\n"
        "  RUNNING    parallelism 2  Readings -> Decode\n"
        "checkpoints: 8 completed, 1 failed, 0 restored from\n"
        "  last completed: number 9, took 41 ms  file:/checkpoints/chk-9\n"
        "  last failed: number 1, took 12 ms  Some tasks were not running\n"
        "last failure: A: b\n"
    )


@pytest.mark.parametrize(("arguments", "way"), [(["savepoint"], "savepoints"), (["stop", "--with-savepoint"], "stop")])
def test_the_savepoints_path_is_printed_as_json(
    server: FlinkServer, capsys: pytest.CaptureFixture[str], arguments: list[str], way: str
) -> None:
    server.jobs(job())
    server.answer(f"GET /jobs/{JOB}", {"state": "FINISHED"})
    trigger(server, done(location=SAVEPOINT), way=way)
    assert asked_of(server, *arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"job_id": JOB, "savepoint": SAVEPOINT}
    assert f"POST /jobs/{JOB}/{way}" in [request for request, _ in server.asked]


def test_stop_cancels_unless_told_otherwise(server: FlinkServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.jobs(job())
    server.answer(f"PATCH /jobs/{JOB}?mode=cancel", {}, status=202)
    server.answer(f"GET /jobs/{JOB}", {"state": "CANCELLING"}, {"state": "CANCELED"})
    assert asked_of(server, "stop") == 0
    assert json.loads(capsys.readouterr().out)["job_id"] == JOB
    cancelled, *awaited = [request for request, _ in server.asked[1:]]
    assert cancelled == f"PATCH /jobs/{JOB}?mode=cancel"
    assert awaited == [f"GET /jobs/{JOB}"] * 2


def test_resume_submits_the_jar_of_the_jobs_name(server: FlinkServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.jobs(job(OTHER, state="FINISHED"))
    server.jars("hall.jar", "beam-rtls.jar")
    server.answer("POST /jars/1_beam-rtls.jar/run", {"jobid": JOB})
    assert asked_of(server, "resume", f"--from={SAVEPOINT}", "--parallelism=3") == 0
    assert json.loads(capsys.readouterr().out) == {"job_id": JOB}
    sent = server.sent("POST /jars/1_beam-rtls.jar/run")
    assert (sent["savepointPath"], sent["parallelism"]) == (SAVEPOINT, 3)


@pytest.mark.parametrize("state", ["RUNNING", "RESTARTING", "CANCELLING"])
def test_resume_beside_a_job_that_has_not_ended_is_refused(
    server: FlinkServer, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    server.jobs(job(state=state))
    server.jars("beam-rtls.jar")
    assert asked_of(server, "resume", f"--from={SAVEPOINT}") == 1
    assert f"job {JOB} (beam-rtls) is {state}" in capsys.readouterr().err


def test_a_failure_is_one_line_and_exit_1(server: FlinkServer, nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.jobs()
    assert asked_of(server, "savepoint") == 1
    assert main(["status", f"--flink-master={nobody}"]) == 1
    missing, out_of_reach = capsys.readouterr().err.splitlines()
    assert missing == f"beam-rtls flink: no job 'beam-rtls' runs at {server.address}; jobs there: none"
    assert out_of_reach.startswith(f"beam-rtls flink: no Flink answers at {nobody}")
