"""What ``make run-flink`` takes, from flags and from make's variables, and what it refuses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from runners.flink.options import Options, parse

DEFAULTS = Options(
    site=Path("anchors/demo.yaml"),
    duration_s=None,
    tags=100,
    mode="round",
    simulate=[],
    parallelism=2,
    backend="hashmap",
    savepoint=None,
    kafka=None,
    kafka_out=None,
    flink_master=None,
    worker_pool=None,
    kafka_port=19092,
    kafka_controller_port=19093,
    flink_port=18081,
    flink_rpc_port=16123,
    metrics_port=19249,
    worker_pool_port=50000,
    tools=Path(".tools"),
)
# A value for each variable, and what comes of it.
VALUES: dict[str, tuple[str, dict[str, object]]] = {
    "SITE": ("hall.csv", {"site": Path("hall.csv")}),
    "DURATION": ("1.5", {"duration_s": 1.5}),
    "TAGS": ("3", {"tags": 3}),
    "MODE": ("three", {"mode": "three"}),
    "SIMULATE": ("--tear-off 1:2 --seed '4'", {"simulate": ["--tear-off", "1:2", "--seed", "4"]}),
    "PARALLELISM": ("128", {"parallelism": 128}),
    "BACKEND": ("rocksdb", {"backend": "rocksdb"}),
    "SAVEPOINT": ("s3://here/savepoint-1", {"savepoint": "s3://here/savepoint-1"}),
    "KAFKA_BOOTSTRAP": ("a:1,b:2", {"kafka": "a:1,b:2", "tags": 0}),
    "KAFKA_OUT_BOOTSTRAP": ("c:3", {"kafka_out": "c:3"}),
    "FLINK_MASTER": ("jobmanager:8081", {"flink_master": "http://jobmanager:8081"}),
    "WORKER_POOL": ("pool:50001", {"worker_pool": "pool:50001"}),
    "KAFKA_PORT": ("1", {"kafka_port": 1}),
    "KAFKA_CONTROLLER_PORT": ("2", {"kafka_controller_port": 2}),
    "FLINK_PORT": ("65535", {"flink_port": 65535}),
    "FLINK_RPC_PORT": ("4", {"flink_rpc_port": 4}),
    "METRICS_PORT": ("6", {"metrics_port": 6}),
    "WORKER_POOL_PORT": ("5", {"worker_pool_port": 5}),
    "BEAM_RTLS_TOOLS": ("here", {"tools": Path("here")}),
}
NEEDS = {"KAFKA_OUT_BOOTSTRAP": "KAFKA_BOOTSTRAP", "WORKER_POOL": "FLINK_MASTER", "SAVEPOINT": "KAFKA_BOOTSTRAP"}
FLAGS = {"KAFKA_BOOTSTRAP": "--kafka", "KAFKA_OUT_BOOTSTRAP": "--kafka-out", "BEAM_RTLS_TOOLS": "--tools"}


def flag_of(variable: str) -> str:
    return FLAGS.get(variable) or f"--{variable.lower().replace('_', '-')}"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)


def refusal(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as end:
        parse(flags)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_defaults() -> None:
    assert parse([]) == DEFAULTS


@pytest.mark.parametrize("variable", VALUES)
def test_each_variable_is_taken_from_environment_and_flag(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, changed = VALUES[variable]
    needed = NEEDS.get(variable)
    if needed is not None:
        monkeypatch.setenv(needed, VALUES[needed][0])
    expected = dataclasses.replace(parse([]), **changed)  # type: ignore[arg-type]
    assert parse([flag_of(variable), value]) == expected
    monkeypatch.setenv(variable, value)
    assert parse([]) == expected


def test_tags_are_simulated_on_a_kafka_of_ours_and_on_another_only_where_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parse([]).tags == 100
    assert parse(["--tags=0"]).tags == 0
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:10920")
    assert parse([]).tags == 0
    assert parse(["--tags=7"]).tags == 7
    monkeypatch.setenv("TAGS", "")
    assert parse([]).tags == 0


@pytest.mark.parametrize("variable", VALUES)
def test_an_empty_variable_is_none(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert parse([]) == DEFAULTS


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DURATION", "0", "expected a number above 0, got '0'"),
        ("TAGS", "-1", "expected a whole number of at least 0, got '-1'"),
        ("MODE", "four", "expected round or three, got 'four'"),
        ("SIMULATE", "--tear-off '3:20", "expected options as in a shell, got "),
        ("PARALLELISM", "0", "expected a whole number of at least 1 and at most 128, got '0'"),
        ("PARALLELISM", "129", "expected a whole number of at least 1 and at most 128, got '129'"),
        ("BACKEND", "memory", "expected hashmap or rocksdb, got 'memory'"),
        ("KAFKA_BOOTSTRAP", "broker", "expected HOST:PORT[,HOST:PORT …], got 'broker'"),
        ("KAFKA_OUT_BOOTSTRAP", "a:1 b:2", "expected HOST:PORT[,HOST:PORT …], got 'a:1 b:2'"),
        ("FLINK_MASTER", "jobmanager", "expected http://HOST:PORT, got 'jobmanager'"),
        ("WORKER_POOL", "a:1,b:2", "expected HOST:PORT, got 'a:1,b:2'"),
        ("KAFKA_PORT", "abc", "expected a whole number of at least 1 and at most 65535, got 'abc'"),
        ("KAFKA_CONTROLLER_PORT", "0", "expected a whole number of at least 1 and at most 65535, got '0'"),
        ("FLINK_PORT", "65536", "expected a whole number of at least 1 and at most 65535, got '65536'"),
        ("FLINK_RPC_PORT", "-1", "expected a whole number of at least 1 and at most 65535, got '-1'"),
        ("METRICS_PORT", "65535", "expected a whole number of at least 1 and at most 65534, got '65535'"),
        ("WORKER_POOL_PORT", "1.5", "expected a whole number of at least 1 and at most 65535, got '1.5'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable_and_what_was_expected(
    variable: str,
    value: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert f"{variable}: {expected}" in refusal(capsys, f"{flag_of(variable)}={value}")
    monkeypatch.setenv(variable, value)
    assert f"{variable}: {expected}" in refusal(capsys)


def test_an_output_or_a_worker_pool_of_a_cluster_of_ours_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "it needs KAFKA_BOOTSTRAP" in refusal(capsys, "--kafka-out=broker:1")
    assert "it needs FLINK_MASTER" in refusal(capsys, "--worker-pool=pool:1")


def test_the_makefile_says_the_same_defaults() -> None:
    """``make`` alone lists the variables; a default that has changed would be said wrongly there."""
    told = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    listed = " ".join(re.findall(r"^\t@echo '(.*)'$", told, re.MULTILINE)).partition("run-flink:")[2]
    for variable in ("FLINK_PORT", "FLINK_RPC_PORT", "METRICS_PORT", "WORKER_POOL_PORT", "PARALLELISM"):
        default = getattr(DEFAULTS, variable.lower())
        assert f"{variable}={default}" in listed
    assert VALUES.keys() - {"BEAM_RTLS_TOOLS"} <= set(re.findall(r"([A-Z_]+)=", told))


def test_help_names_flag_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert "--flink-port … port of Flink's web UI and REST interface [env: FLINK_PORT] (default: 18081)" in help_text
    for variable in VALUES:
        assert f"[env: {variable}]" in help_text
