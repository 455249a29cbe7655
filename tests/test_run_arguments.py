"""The settings of a run: flag over environment over file, and a wrong one refused with what was expected."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.commands import COMMANDS, run
from pipeline.commands.arguments import number, parser_of, refuse_unknown_variables, variables
from pipeline.commands.run_arguments import RunArguments, parse
from pipeline.live_site import LiveSite
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.rounds import GroupingMode
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.zone_border import Certainty
from pipeline.positioning.zone_watch import ZoneWatchSettings
from pipeline.settings import FlinkSettings, PrismSettings
from pipeline.site import SiteFile

ROOT = Path(__file__).parent.parent
NEEDED = ["--anchors", "site.yaml", "--bootstrap-servers", "broker:10920"]


def given(*flags: str) -> RunArguments:
    return parse([*NEEDED, *flags])


def test_defaults() -> None:
    arguments = given()
    kafka, graph = arguments.settings.kafka, arguments.settings.graph
    assert (arguments.anchors, arguments.map_poll_s) == ("site.yaml", 2.0)
    assert (kafka.bootstrap_servers, kafka.output_bootstrap_servers) == ("broker:10920", "broker:10920")
    assert (kafka.offset, kafka.data_topic, kafka.positions_topic) == ("latest", "packet_data", "out_data")
    assert graph.grouping.mode is GroupingMode.ROUND
    assert graph.grouping.round_wait_us == 250_000
    assert graph.grouping.max_reading_age_us == 2_000_000
    assert graph.grouping.max_lateness_us == 10_000_000
    assert not graph.strict


def test_all_is_watched_unless_switched_off() -> None:
    graph = given("--anchor-timeout", "5", "--tag-timeout", "20", "--round-wait", "0.5", "--alive-topic", "a").settings
    assert graph.kafka.alive_topic == graph.graph.alive_topic == "a"
    assert graph.graph.anchor_watch == AnchorWatchSettings(anchor_timeout_us=5_000_000)
    assert graph.graph.tag_watch == TagWatchSettings(tag_timeout_us=20_000_000)
    assert graph.graph.tag_watch_with_anchors == TagWatchSettings(
        tag_timeout_us=20_000_000, outage_window_us=AnchorWatchSettings().outage_window_us
    )
    assert graph.graph.zones == ZoneWatchSettings(position_delay_us=2_500_000)
    more = given("--outage-window=3", "--skew-limit=2", "--skew-window=30", "--zone-certainty=0.99").settings.graph
    assert more.anchor_watch == AnchorWatchSettings(
        outage_window_us=3_000_000, skew_limit_us=2_000_000, skew_window_us=30_000_000
    )
    assert more.zones == ZoneWatchSettings(Certainty(0.99, 0.01))
    alone = given("--anchor-watch=off").settings.graph
    assert alone.tag_watch == alone.tag_watch_with_anchors == TagWatchSettings()
    off = given("--anchor-watch=off", "--tag-watch=off", "--zone-watch=off", "--anchor-timeout=99").settings.graph
    assert (off.anchor_watch, off.tag_watch, off.zones) == (None, None, None)


def test_what_an_omlox_hub_takes_has_topics_of_its_own_where_they_are_given() -> None:
    assert given().settings.kafka.outputs == ("out_data", "out_rejected", "out_alive", "site_events")
    omlox = given("--omlox-locations-topic=locations", "--omlox-fence-events-topic=fence_events").settings.kafka
    assert omlox.outputs[-2:] == ("locations", "fence_events")


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
        (["--alive-topic", "packet_data"], "one topic is given twice"),
        (["--alive-topic", "out_alive"], "one topic is given twice"),
        (["--events-topic", "out_alive"], "one topic is given twice"),
        (["--events-topic", " "], "the events topic is empty"),
        (["--omlox-locations-topic", "out_data"], "one topic is given twice"),
        (["--omlox-fence-events-topic", ""], "the omlox fence events topic is empty"),
        (["--zone-certainty", "0.5"], "expected a number above 0.5"),
        (["--anchor-timeout", "0"], "expected a number of at least 0.001"),
        (["--anchor-timeout", "56"], "the tag timeout is 60 s; expected at least 61 s"),
        (["--zone-watch", "maybe"], "invalid choice: 'maybe'"),
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


@pytest.fixture
def java_jar(tmp_path: Path) -> Path:
    jar = tmp_path / "beam.jar"
    jar.touch()
    return jar


def on_flink(java_jar: Path, *flags: str) -> FlinkSettings:
    runner = given("--runner=flink", f"--java-jar={java_jar}", *flags).settings.runner
    assert isinstance(runner, FlinkSettings)
    return runner


def test_prism_is_the_default() -> None:
    assert given().settings.runner == PrismSettings(expansion_service="localhost:8097", location=None)


def test_flink_needs_no_more_than_the_java_side(java_jar: Path) -> None:
    assert on_flink(java_jar) == FlinkSettings(java_jar)


def test_flink_takes_all_it_knows(java_jar: Path) -> None:
    assert on_flink(
        java_jar,
        *("--flink-master=jobmanager:8081", "--job-name=hall", "--parallelism=128", "--savepoint=s3://here/1"),
        *("--worker-pool=pool:1", "--worker-processes=3", "--checkpoint-interval=0.5"),
        *("--bundle-time=20", "--bundle-size=30", "--detach"),
    ) == FlinkSettings(
        java_jar,
        master="http://jobmanager:8081",
        job_name="hall",
        parallelism=128,
        savepoint="s3://here/1",
        worker_pool="pool:1",
        worker_processes=3,
        checkpoint_interval_s=0.5,
        bundle_time_ms=20,
        bundle_size=30,
        detach=True,
    )
    assert on_flink(java_jar, "--output-jar=job.jar").output_jar == Path("job.jar")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "--runner flink needs --java-jar FILE"),
        (["--java-jar=/nowhere/beam.jar"], "expected a file that exists, got '/nowhere/beam.jar'"),
        (["--java-jar=JAR", "--prism=JAR"], "--prism belongs to --runner prism"),
        (["--java-jar=JAR", "--output-jar=x", "--savepoint=y"], "--output-jar submits nothing; --savepoint"),
        (["--java-jar=JAR", "--output-jar=x", "--parallelism=2"], "--output-jar submits nothing; --savepoint"),
        (["--java-jar=JAR", "--output-jar=x", "--detach"], "--output-jar submits nothing; --savepoint"),
        (["--java-jar=JAR", "--savepoint="], "the savepoint is empty; expected a path"),
        (["--java-jar=JAR", "--job-name=a/b"], "the job name is 'a/b'; expected letters"),
        (["--java-jar=JAR", "--job-name="], "the job name is ''; expected letters"),
        (["--java-jar=JAR", "--parallelism=0"], "expected a whole number of at least 1 and at most 128, got '0'"),
        (["--java-jar=JAR", "--parallelism=129"], "expected a whole number of at least 1 and at most 128, got '129'"),
        (["--java-jar=JAR", "--worker-pool=a:1,b:2"], "expected HOST:PORT, got 'a:1,b:2'"),
        (["--java-jar=JAR", "--worker-processes=0"], "expected a whole number of at least 1"),
        (["--java-jar=JAR", "--flink-master=jobmanager"], "expected http://HOST:PORT, got 'jobmanager'"),
        (["--java-jar=JAR", "--checkpoint-interval=0.05"], "expected a number of at least 0.1 and at most 3600"),
        (["--java-jar=JAR", "--bundle-time=0"], "expected a whole number of at least 1 and at most 10000"),
        (["--java-jar=JAR", "--bundle-size=0"], "expected a whole number of at least 1 and at most 1e+06"),
    ],
)
def test_what_flink_cannot_do_is_refused(
    flags: list[str], told: str, java_jar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        given("--runner=flink", *(flag.replace("JAR", str(java_jar)) for flag in flags))
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--java-jar=JAR", "--parallelism=2", "--savepoint=x", "--output-jar=x", "--detach"])
def test_what_only_flink_understands_is_refused_for_prism(
    flag: str, java_jar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        given(flag.replace("JAR", str(java_jar)))
    assert ended.value.code == 2
    assert f"{flag.partition('=')[0]} belongs to --runner flink" in capsys.readouterr().err


CONTRACT = {
    # What a savepoint is found by: the number of key groups.
    "--max_parallelism=128",
    # Nothing lost: what a checkpoint knows is what was written, and the last one outlives the job.
    "--checkpointing_mode=EXACTLY_ONCE",
    "--finish_bundle_before_checkpointing",
    "--externalized_checkpoints_enabled",
    "--retain_externalized_checkpoints_on_cancellation",
    # Endless; Python beside the TaskManager, with a cache, for a state read would else be a round trip.
    "--streaming",
    "--environment_type=EXTERNAL",
    "--max_cache_memory_usage_mb=256",
    # The cluster is the one that the jar is run on.
    "--runner=FlinkRunner",
    "--flink_master=[auto]",
    "--flink_submit_uber_jar",
}


def test_no_setting_touches_what_savepoints_and_delivery_rest_on(java_jar: Path) -> None:
    plain = on_flink(java_jar)
    other = on_flink(java_jar, "--parallelism=4", "--savepoint=x", "--flink-master=a:1", "--detach")
    assert set(plain.beam_options()) >= CONTRACT
    assert other.beam_options() == plain.beam_options()  # where, how wide and from what it starts is not the job's


@pytest.mark.parametrize(
    ("flag", "option"),
    [
        ("--job-name=hall", "--job_name=hall"),
        ("--worker-pool=pool:1", "--environment_config=pool:1"),
        ("--worker-processes=3", "--sdk_worker_parallelism=3"),
        ("--checkpoint-interval=0.5", "--checkpointing_interval=500"),
        ("--bundle-time=30", "--max_bundle_time_mills=30"),
        ("--bundle-size=30", "--max_bundle_size=30"),
    ],
)
def test_each_setting_of_the_job_is_one_option_of_beam(flag: str, option: str, java_jar: Path) -> None:
    plain, changed = on_flink(java_jar).beam_options(), on_flink(java_jar, flag).beam_options()
    assert set(changed) - set(plain) == {option}
    assert len(changed) == len(plain)
    assert set(changed) >= CONTRACT


def test_an_empty_savepoint_of_the_environment_is_refused_too(
    java_jar: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flink would take it for none, and the job start anew."""
    monkeypatch.setenv("BEAM_RTLS_SAVEPOINT", "")
    with pytest.raises(SystemExit):
        on_flink(java_jar)
    assert "the savepoint is empty" in capsys.readouterr().err


@dataclass(frozen=True, slots=True)
class WriteJar:
    """``beam-rtls run --output-jar`` up to the writing, and the map it would write."""

    java_jar: Path
    written: list[LiveSite]

    def __call__(self, anchors: Path | str) -> int:
        flags = ["--runner=flink", f"--java-jar={self.java_jar}", "--output-jar=job.jar", "--tag-height=1.5"]
        return run.main([f"--anchors={anchors}", "--bootstrap-servers=broker:1", *flags])


@pytest.fixture
def write_jar(java_jar: Path, monkeypatch: pytest.MonkeyPatch) -> WriteJar:
    written: list[LiveSite] = []
    monkeypatch.setattr("pipeline.portable_jar.write_portable_jar", lambda site, *_: written.append(site))
    monkeypatch.setattr(run, "_configure_logging", lambda _: None)
    monkeypatch.chdir(java_jar.parent)
    return WriteJar(java_jar, written)


def test_a_jar_for_a_map_that_only_the_workers_have_needs_its_whole_path(
    write_jar: WriteJar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_jar("site.yaml") == 1
    assert "site.yaml is not here" in capsys.readouterr().err
    assert write_jar.written == []
    assert write_jar(tmp_path / "site.yaml") == 0
    assert write_jar.written == [LiveSite(SiteFile(str(tmp_path / "site.yaml"), 1.5))]


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "job.jar"), RuntimeError("Java must be")])
def test_a_jar_that_cannot_be_written_is_told_without_a_traceback(
    write_jar: WriteJar,
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipeline.portable_jar.write_portable_jar", fail)
    assert write_jar(tmp_path / "site.yaml") == 1
    assert capsys.readouterr().err == f"beam-rtls run: cannot write the job's jar: {error}\n"


def test_a_map_that_is_here_is_checked_before_the_jar_is_written(
    write_jar: WriteJar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.yaml").write_text("anchors: []\n")
    for anchors in ("site.yaml", tmp_path / "site.yaml"):
        assert write_jar(anchors) == 1
        assert f"beam-rtls run: {tmp_path}/site.yaml:1: `site` is missing" in capsys.readouterr().err
    assert write_jar.written == []


def test_workers_are_told_the_whole_path_of_a_map_that_is_here(write_jar: WriteJar, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_bytes((ROOT / "anchors" / "warehouse.yaml").read_bytes())
    assert write_jar("site.yaml") == 0
    assert write_jar.written == [LiveSite(SiteFile(str(tmp_path / "site.yaml"), 1.5))]


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
