"""``beam-rtls run --runner flink`` from its call to its exit code, against a server that answers as Flink does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import run
from pipeline.preflight import PreflightError
from tests.flink_server import JOB, FlinkServer, flink_server, job

ROOT = Path(__file__).parent.parent
SUBMIT = "POST /jars/1_beam-rtls.jar/run"
CANCEL = f"PATCH /jobs/{JOB}?mode=cancel"


@dataclass(slots=True)
class Run:
    """The command, with Kafka's part and the packing, which need Kafka and Java, replaced."""

    server: FlinkServer
    java_jar: Path
    preflights: list[bool] = field(default_factory=list)
    """Whether the run resumes, of each preflight."""
    meanwhile: Callable[[], object] = lambda: None
    """What happens while Kafka is looked at."""

    def __call__(self, *flags: str) -> int:
        needed = [f"--anchors={ROOT / 'anchors' / 'demo.yaml'}", "--bootstrap-servers=broker:1", "--runner=flink"]
        return run.main([*needed, f"--java-jar={self.java_jar}", f"--flink-master={self.server.address}", *flags])

    def preflight(self, *_: object, resumes: bool) -> None:
        self.preflights.append(resumes)
        self.meanwhile()

    @property
    def asked(self) -> list[str]:
        return [request for request, _ in self.server.asked]


@pytest.fixture
def on_flink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "beam.jar").touch()
    for module in ("pipeline.flink", "pipeline.flink_rest"):
        monkeypatch.setattr(f"{module}._POLL_S", 0.01)
    monkeypatch.setattr("pipeline.portable_jar.write_portable_jar", lambda *given: given[-1].write_bytes(b"the job"))
    monkeypatch.setattr(run, "_configure_logging", lambda _: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with flink_server() as server:
        made = Run(server, tmp_path / "beam.jar")
        monkeypatch.setattr(run, "preflight", made.preflight)
        server.jars()
        server.answer("POST /jars/upload", {"filename": "/upload/1_beam-rtls.jar"})
        server.answer(SUBMIT, {"jobid": JOB})
        server.answer(CANCEL, {}, status=202)
        yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def states(server: FlinkServer, *states: str) -> None:
    server.answer(f"GET /jobs/{JOB}", *({"state": state} for state in states))


def test_the_job_is_submitted_told_and_followed_to_its_end(on_flink: Run, capsys: pytest.CaptureFixture[str]) -> None:
    on_flink.server.jobs(job(state="FINISHED"), job(name="another"))
    states(on_flink.server, "RUNNING", "CANCELED")
    assert on_flink("--parallelism=2") == 0
    address = on_flink.server.address
    assert json.loads(capsys.readouterr().out) == {"job_id": JOB, "web_ui": f"{address}/#/job/{JOB}/overview"}
    assert on_flink.server.sent("POST /jars/upload") == [("beam-rtls.jar", b"the job")]
    assert on_flink.server.sent(SUBMIT)["parallelism"] == 2
    assert on_flink.preflights == [False]


def test_a_detached_job_is_left_running(on_flink: Run) -> None:
    on_flink.server.jobs()
    assert on_flink("--detach", "--savepoint=file:/here") == 0
    assert on_flink.asked[-1] == SUBMIT
    assert on_flink.server.sent(SUBMIT)["savepointPath"] == "file:/here"
    assert on_flink.preflights == [True]


def test_a_second_job_of_the_name_is_refused_before_anything_is_committed(
    on_flink: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    on_flink.server.jobs(job(state="RESTARTING"))
    assert on_flink() == 1
    assert f"beam-rtls run: job {JOB} (beam-rtls) is RESTARTING" in capsys.readouterr().err
    assert on_flink.preflights == []
    assert on_flink.asked == ["GET /jobs/overview"]


def test_what_is_wrong_with_kafka_is_told_before_the_job_is_packed(
    on_flink: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise PreflightError("no topic 'packet_data'")

    on_flink.server.jobs()
    on_flink.meanwhile = fail
    assert on_flink() == 1
    assert capsys.readouterr().err == "beam-rtls run: no topic 'packet_data'\n"
    assert on_flink.asked == ["GET /jobs/overview"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_a_run_stopped_before_its_job_is_submitted_submits_none(
    on_flink: Run, number: signal.Signals, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    on_flink.server.jobs()
    on_flink.meanwhile = lambda: signal.raise_signal(number)
    assert on_flink(*flags) == 1
    assert capsys.readouterr() == ("", "beam-rtls run: stopped before the job was submitted\n")
    assert on_flink.asked == ["GET /jobs/overview"]


@pytest.mark.parametrize("flags", [[], ["--detach"]])
def test_a_run_stopped_while_its_job_is_submitted_cancels_it(
    on_flink: Run, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_flink.server.jobs()
    states(on_flink.server, "CANCELED")
    reply = on_flink.server.reply

    def interrupting(request: str, body: Any) -> tuple[int, bytes]:
        if request == SUBMIT:
            os.kill(os.getpid(), signal.SIGTERM)
        return reply(request, body)

    monkeypatch.setattr(on_flink.server, "reply", interrupting)
    assert on_flink(*flags) == 0
    assert CANCEL in on_flink.asked
