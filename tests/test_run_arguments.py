"""The settings of a run: flag over environment over file, and a wrong one refused with what was expected."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands import COMMANDS
from pipeline.commands.arguments import number, parser_of, refuse_unknown_variables, variables
from pipeline.commands.run_arguments import RunArguments, parse
from pipeline.positioning.rounds import GroupingMode

NEEDED = ["--anchors", "site.yaml", "--bootstrap-servers", "broker:10920"]


def given(*flags: str) -> RunArguments:
    return parse([*NEEDED, *flags])


def test_defaults() -> None:
    arguments = given()
    kafka, graph = arguments.settings.kafka, arguments.settings.graph
    assert arguments.anchors == Path("site.yaml")
    assert (kafka.bootstrap_servers, kafka.output_bootstrap_servers) == ("broker:10920", "broker:10920")
    assert (kafka.offset, kafka.data_topic, kafka.positions_topic) == ("latest", "packet_data", "out_data")
    assert graph.grouping.mode is GroupingMode.ROUND
    assert graph.grouping.round_wait_us == 250_000
    assert graph.grouping.max_reading_age_us == 2_000_000
    assert graph.grouping.max_lateness_us == 10_000_000
    assert not graph.strict


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("round-wait: 0.1\nmax-lateness: 20\nmax-reading-age: 3\n")
    monkeypatch.setenv("BEAM_RTLS_ROUND_WAIT", "0.2")
    monkeypatch.setenv("BEAM_RTLS_MAX_LATENESS", "30")
    grouping = given("--config", str(file), "--round-wait", "0.5").settings.graph.grouping
    assert grouping.round_wait_us == 500_000
    assert grouping.max_lateness_us == 30_000_000
    assert grouping.max_reading_age_us == 3_000_000


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--offset", "newest"], "latest"),
        (["--mode", "four"], "round"),
        (["--round-wait", "0"], "expected a number of at least 0.001 and at most 60, got '0'"),
        (["--round-wait", "nan"], "expected a number of at least 0.001"),
        (["--max-lateness", "soon"], "expected a number"),
        (["--bootstrap-servers", "broker"], "expected HOST:PORT"),
        (["--kafka-property", "acks"], "expected key=value, got 'acks'"),
        (["--kafka-properties", "/nowhere/at.all"], "/nowhere/at.all"),
        (["--rund-wait", "1"], "unrecognized arguments: --rund-wait"),
        (["--runner", "spark"], "prism"),
        (["--round-wait", "1e-7"], "expected a number of at least 0.001"),
        (["--tag-expiry", "5"], "expected at least the lateness bound (10 s)"),
        (["--prism", "/nowhere/prism"], "expected a file that exists, got '/nowhere/prism'"),
        (["--group-id", " "], "the group id is empty"),
        (["--data-topic", "out_data"], "one topic is given twice"),
        (["--bootstrap-servers", "broker:99999"], "65535"),
        (["--expansion-service", "a:1,b:2"], "expected HOST:PORT"),
        (["--kafka-property", "enable.auto.commit=true"], "enable.auto.commit cannot be given"),
        (["--kafka-property", "group.id=g"], "use --group-id"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(
    flags: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        given(*flags)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_an_unknown_line_of_the_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("round-weight: 0.1\n")
    with pytest.raises(SystemExit):
        given("--config", str(file))
    assert "round-weight" in capsys.readouterr().err


def test_an_unknown_variable_of_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BEAM_RTLS_ROUNDWAIT", "1")
    with pytest.raises(SystemExit):
        given()
    told = capsys.readouterr().err
    assert "BEAM_RTLS_ROUNDWAIT" in told
    assert "BEAM_RTLS_ROUND_WAIT" in told


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("other", COMMANDS)
def test_the_settings_of_the_other_commands_are_let_be(
    command: str,
    other: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_other = variables(parser_of(other))
    assert of_other
    for name in of_other | {"BEAM_RTLS_TOOLS"}:
        monkeypatch.setenv(name, "1")
    refuse_unknown_variables(parser_of(command))


def test_a_setting_of_the_simulator_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_RTLS_TAGS", "20")
    assert given() == parse(NEEDED)


@pytest.mark.parametrize("name", ["BEAM_RTLS_CONFIG", "BEAM_RTLS_HELP", "BEAM_RTLS_", "BEAM_RTLS___MODE"])
def test_a_variable_that_would_do_nothing_is_refused(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SystemExit) as ended:
        given()
    assert ended.value.code == 2
    assert f"unknown variable {name} in the environment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parse_number", "text", "expected"),
    [
        (number(), "tall", "a number"),
        (number(), "inf", "a number"),
        (number(above=0), "0", "a number above 0"),
        (number(above=0, at_most=60), "60.1", "a number above 0 and at most 60"),
        (number(at_least=0, at_most=1), "-0.1", "a number of at least 0 and at most 1"),
        (number(at_least=1, at_most=9, kind=int), "2.5", "a whole number of at least 1 and at most 9"),
    ],
)
def test_a_number_out_of_bounds_is_told_with_them(
    parse_number: Callable[[str], float],
    text: str,
    expected: str,
) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        parse_number(text)
    assert str(refused.value) == f"expected {expected}, got {text!r}"


@pytest.mark.parametrize(
    ("parse_number", "text", "value"),
    [
        (number(above=0, at_most=60), "60", 60.0),
        (number(at_least=0), "0", 0.0),
        (number(at_least=1, at_most=2**63 - 1, kind=int), "9223372036854775807", 2**63 - 1),
        (number(), "-1e300", -1e300),
    ],
)
def test_bounds_are_allowed_values(parse_number: Callable[[str], float], text: str, value: float) -> None:
    assert parse_number(text) == value


def test_properties_come_from_file_and_flag_and_the_flag_wins(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# a comment\nsecurity.protocol=SASL_SSL\nsasl.mechanism = PLAIN\n\n")
    flags = ["--kafka-properties", str(file), "--kafka-property", "sasl.mechanism=SCRAM-SHA-512"]
    kafka = given(*flags).settings.kafka
    assert kafka.properties == {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
    assert kafka.output_properties == kafka.properties
    assert given(*flags, "--output-kafka-property", "a=b").settings.kafka.output_properties == {"a": "b"}


def test_a_properties_file_is_read_as_java_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(
        "! a comment\nsecurity.protocol: SASL_SSL\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n"
        '    username="alice" \\\n    password="secret";\n',
    )
    assert given("--kafka-properties", str(file)).settings.kafka.properties == {
        "security.protocol": "SASL_SSL",
        "sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="alice" password="secret";',
    }


def test_a_property_without_a_value_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("a=b\nnonsense\n")
    with pytest.raises(SystemExit):
        given("--kafka-properties", str(file))
    assert f"{file}: 'nonsense' has no value" in capsys.readouterr().err


def test_what_nothing_may_change() -> None:
    kafka = given("--group-id", "g").settings.kafka
    consumer, producer = kafka.consumer_config(), kafka.producer_config()
    assert (consumer["enable.auto.commit"], consumer["group.id"]) == ("false", "g")
    assert (producer["acks"], producer["enable.idempotence"]) == ("all", "true")
    assert consumer["auto.offset.reset"] == "earliest"


def test_the_same_topic_name_on_two_clusters_is_no_loop() -> None:
    flags = ["--data-topic", "out_data", "--output-bootstrap-servers", "other:9094"]
    assert given(*flags).settings.kafka.data_topic == "out_data"


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "BEAM_RTLS_ROUND_WAIT" in text
    assert "example:" in text
