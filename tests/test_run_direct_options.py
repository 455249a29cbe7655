"""What ``make run-direct`` takes, from flags and from make's variables, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.direct import expansion
from runners.direct.broker import Broker
from runners.direct.options import Options, parse
from runners.processes import ProcessError

VARIABLES = (
    *("SITE", "DURATION", "TAGS", "MODE", "SIMULATE", "KAFKA_PORT", "KAFKA_CONTROLLER_PORT", "EXPANSION_PORT"),
    *("BEAM_RTLS_TOOLS", "JAVA"),
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    assert parse([]) == Options(
        site=Path("anchors/demo.yaml"),
        duration_s=None,
        tags=10,
        mode="round",
        simulate=[],
        kafka_port=19092,
        kafka_controller_port=19093,
        expansion_port=18097,
        tools=Path(".tools"),
    )


def test_variables_of_the_environment_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("hall.csv", "1.5", "3", "three", "--tear-off 1:2 --seed '4'", "1", "2", "65535", "/tools")
    for name, value in zip(VARIABLES, values, strict=False):
        monkeypatch.setenv(name, value)
    words = ["--tear-off", "1:2", "--seed", "4"]
    assert parse([]) == Options(Path("hall.csv"), 1.5, 3, "three", words, 1, 2, 65535, Path("/tools"))


def test_a_flag_wins_over_its_variable_and_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGS", "3")
    monkeypatch.setenv("DURATION", "")
    options = parse(["--tags", "4"])
    assert options.tags == 4
    assert options.duration_s is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TAGS", "0", "expected a whole number of at least 1, got '0'"),
        ("TAGS", "2.5", "expected a whole number of at least 1, got '2.5'"),
        ("DURATION", "x", "expected a number above 0, got 'x'"),
        ("DURATION", "0", "expected a number above 0, got '0'"),
        ("KAFKA_PORT", "abc", "expected a whole number of at least 1 and at most 65535, got 'abc'"),
        ("KAFKA_CONTROLLER_PORT", "70000", "expected a whole number of at least 1 and at most 65535, got '70000'"),
        ("EXPANSION_PORT", "-1", "expected a whole number of at least 1 and at most 65535, got '-1'"),
        ("MODE", "four", "expected round or three, got 'four'"),
        ("SIMULATE", "--tear-off '3:20", "expected options as in a shell, got "),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable_and_what_was_expected(
    variable: str,
    value: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flag = f"--{variable.lower().replace('_', '-')}={value}"
    with pytest.raises(SystemExit) as end:
        parse([flag])
    assert end.value.code == 2
    assert f"{variable}: {expected}" in capsys.readouterr().err
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as end:
        parse([])
    assert end.value.code == 2
    assert f"{variable}: {expected}" in capsys.readouterr().err


def test_help_names_flag_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--kafka-port … port of the Kafka broker [env: KAFKA_PORT] (default: 19092)" in told


def test_the_variable_java_says_which_java_runs_both_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA", "no-such-java")
    with pytest.raises(ProcessError, match="no-such-java is missing: install Java 17"):
        Broker(tmp_path, 1, 2, tmp_path).format()
    with pytest.raises(ProcessError, match=r"the expansion service cannot be started: .*no-such-java"):
        expansion.new_expansion_service(tmp_path / "service.jar", 3, tmp_path / "log").start()
