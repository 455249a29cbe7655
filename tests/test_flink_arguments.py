"""The arguments of ``beam-rtls flink``, ``worker-pool`` and ``preflight``, and what they refuse."""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import flink_arguments, preflight_arguments, worker_pool_arguments
from pipeline.commands.arguments import ENVIRONMENT_PREFIX, parser_of, variables, web_address
from pipeline.commands.flink_arguments import FlinkArguments
from pipeline.commands.preflight_arguments import PreflightArguments
from pipeline.commands.worker_pool_arguments import WorkerPoolArguments
from pipeline.settings import FlinkSettings, KafkaSettings

PARSE = {
    "flink": flink_arguments.parse,
    "worker-pool": worker_pool_arguments.parse,
    "preflight": preflight_arguments.parse,
}
NEEDED = {"flink": ["status"], "worker-pool": [], "preflight": ["--bootstrap-servers=broker:1"]}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in PARSE:
        for name in variables(parser_of(command)):
            monkeypatch.delenv(name, raising=False)


def refusal(capsys: pytest.CaptureFixture[str], command: str, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        PARSE[command](arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


# beam-rtls flink


@pytest.mark.parametrize("action", ["status", "savepoint", "stop"])
def test_flink_needs_no_more_than_an_action(action: str) -> None:
    assert flink_arguments.parse([action]) == FlinkArguments(
        action=action,
        master="http://localhost:8081",
        job_name="beam-rtls",
        job_id=None,
        with_savepoint=False,
        savepoint_dir=None,
        resume_from=None,
        parallelism=None,
        timeout_s=120.0,
    )


def test_flink_takes_all_it_knows() -> None:
    where = ["--flink-master=jobmanager:8081/", "--job-name=hall", "--job=a5e2", "--timeout=5"]
    assert flink_arguments.parse(["stop", "--with-savepoint", "--savepoint-dir=s3://here", *where]) == FlinkArguments(
        action="stop",
        master="http://jobmanager:8081",
        job_name="hall",
        job_id="a5e2",
        with_savepoint=True,
        savepoint_dir="s3://here",
        resume_from=None,
        parallelism=None,
        timeout_s=5.0,
    )
    resumed = flink_arguments.parse(["resume", "--from=s3://here/savepoint-1", "--parallelism=4"])
    assert (resumed.resume_from, resumed.parallelism) == ("s3://here/savepoint-1", 4)


def test_flink_takes_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}FLINK_MASTER", "https://flink.example")
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}SAVEPOINT_DIR", "s3://here")
    arguments = flink_arguments.parse(["savepoint"])
    assert (arguments.master, arguments.savepoint_dir) == ("https://flink.example", "s3://here")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "ACTION"),
        (["restart"], "'status', 'savepoint', 'stop', 'resume'"),
        (["resume"], "resume needs --from PATH"),
        (["resume", "--from="], "resume needs --from PATH"),
        (["stop", "--savepoint-dir=x"], "give --with-savepoint, or no --savepoint-dir"),
        (["status", "--with-savepoint"], "--with-savepoint belongs to stop, not to status"),
        (["savepoint", "--with-savepoint"], "--with-savepoint belongs to stop, not to savepoint"),
        (["resume", "--from=x", "--parallelism=0"], "expected a whole number of at least 1 and at most 128"),
        (["resume", "--from=x", "--parallelism=129"], "expected a whole number of at least 1 and at most 128"),
        (["savepoint", "--timeout=0"], "expected a number above 0 and at most 3600"),
        (["status", "--flink-master=jobmanager"], "expected http://HOST:PORT, got 'jobmanager'"),
        (["status", "--savepoint=x"], "unrecognized arguments: --savepoint=x"),
    ],
)
def test_flink_refuses_what_it_cannot_do(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told in refusal(capsys, "flink", *arguments)


# beam-rtls worker-pool


def test_a_worker_pool_listens_on_the_loopback_interface_where_jobs_look_for_it() -> None:
    assert worker_pool_arguments.parse([]) == WorkerPoolArguments("localhost", 50000)
    assert worker_pool_arguments.parse(["--host=0.0.0.0", "--port=1"]) == WorkerPoolArguments("0.0.0.0", 1)  # noqa: S104
    assert FlinkSettings(Path()).worker_pool == "localhost:50000"


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "worker-pool", f"--port={port}")
    assert f"expected a whole number of at least 1 and at most 65535, got '{port}'" in told


# beam-rtls preflight


def test_preflight_reads_kafka_as_run_does(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("security.protocol=SASL_SSL\n")
    arguments = preflight_arguments.parse(
        [
            *("--bootstrap-servers=broker:1", "--output-bootstrap-servers=other:2", "--group-id=g"),
            *("--offset=earliest", "--data-topic=in", "--positions-topic=out", "--rejected-topic=bad"),
            *("--alive-topic=alive", "--out-alive-topic=dead", "--events-topic=told"),
            *(f"--kafka-properties={file}", "--output-kafka-property=a=b", "--start-wait=5"),
        ]
    )
    assert arguments == PreflightArguments(
        KafkaSettings(
            *("broker:1", "other:2", "g", "earliest", "in", "alive", "out", "bad", "dead", "told"),
            properties={"security.protocol": "SASL_SSL"},
            output_properties={"a": "b"},
        ),
        5.0,
    )
    assert preflight_arguments.parse(["--bootstrap-servers=broker:1"]).start_wait_s == 0.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--bootstrap-servers"),
        (["--bootstrap-servers=broker"], "expected HOST:PORT"),
        (["--bootstrap-servers=broker:1", "--offset=newest"], "latest"),
        (["--bootstrap-servers=broker:1", "--data-topic=out_data"], "one topic is given twice"),
        (["--bootstrap-servers=broker:1", "--kafka-property=group.id=g"], "use --group-id"),
        (["--bootstrap-servers=broker:1", "--kafka-properties=/nowhere/at.all"], "/nowhere/at.all"),
        (["--bootstrap-servers=broker:1", "--start-wait=-1"], "expected a number of at least 0"),
        (["--bootstrap-servers=broker:1", "--anchors=x"], "unrecognized arguments: --anchors=x"),
    ],
)
def test_preflight_refuses_what_run_refuses(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refusal(capsys, "preflight", *arguments)


# all of them


@pytest.mark.parametrize("command", PARSE)
def test_a_slip_in_the_environment_is_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}FLINK_MASTR", "x:1")
    assert "did you mean BEAM_RTLS_FLINK_MASTER?" in refusal(capsys, command, *NEEDED[command])


@pytest.mark.parametrize("command", PARSE)
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        PARSE[command](["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: beam-rtls {command} ")
    for variable in variables(parser_of(command)):
        assert f"[env: {variable}]" in " ".join(text.split())


# addresses

HOSTS = st.text(string.ascii_lowercase + string.digits + ".-", min_size=1) | st.just("[::1]")


@given(st.sampled_from(["", "http://", "https://"]), HOSTS, st.integers(1, 65535), st.sampled_from(["", "/", "/flink"]))
def test_an_address_keeps_scheme_and_path_and_gets_http_where_it_has_none(
    scheme: str, host: str, port: int, path: str
) -> None:
    address = web_address(f"{scheme}{host}:{port}{path}")
    assert address == f"{scheme or 'http://'}{host}:{port}{path.rstrip('/')}"
    assert web_address(address) == address


def test_only_https_goes_without_a_port() -> None:
    assert web_address("https://flink.example") == "https://flink.example"
    assert web_address("https://flink.example/cluster/") == "https://flink.example/cluster"
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected http://HOST:PORT, got 'http://flink\.example'"):
        web_address("http://flink.example")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https://",
            "https:///x",
            "https://bad host",
            "https://h?x",
            "http://h:1/?x",
            "http://h:1/#/x",
            "http://u@h:1",
        ),
        *("", ":8081", "://a:1", "ftp://a:1", "a:b", "a:0", "a:65536", "a:1,b:2", "a b:1", "http://a://b:1"),
    ],
)
def test_what_is_no_address_is_refused_as_given(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        web_address(text)
