"""``beam-rtls simulate``: its options, and the log that it writes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.commands.arguments import instant_us
from pipeline.commands.simulate import LOG_START_US, start_us
from pipeline.commands.simulate_arguments import KafkaTarget, LogTarget, parse
from pipeline.commands.simulate_kafka import encode_truth
from pipeline.simulation.events import AnchorRecord, TagReading
from pipeline.simulation.settings import SceneSettings

DEMO_FILE = Path(__file__).parent.parent / "anchors" / "demo.yaml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BEAM_RTLS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def site() -> str:
    return str(DEMO_FILE)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def simulate(site: str, *options: str) -> int:
    return main(["simulate", "--anchors", site, *options])


def test_a_log_has_the_columns_of_public_logs(
    site: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readings, truth = tmp_path / "readings.csv", tmp_path / "truth.csv"
    assert simulate(site, "--output", str(readings), "--truth-output", str(truth), "--duration", "10.1") == 0
    printed = capsys.readouterr().out.splitlines()
    totals = json.loads(printed[-1])
    assert len(printed) == 1
    assert list(totals) == ["records", "readings", "heartbeats", "tags", "lost", "outliers", "seconds"]
    assert totals["seconds"] == 10.1
    assert totals["tags"] == 10

    measured, true = rows(readings), rows(truth)
    assert list(measured[0]) == ["t", "tag_id", "anchor_id", "distance_m"]
    assert list(true[0]) == ["t", "tag_id", "x", "y", "z"]
    assert len(measured) == totals["readings"] > 200
    assert all(float(row["t"]).is_integer() for row in measured)
    assert {row["anchor_id"] for row in measured} == {"A0", "A1", "A2"}
    assert {row["tag_id"] for row in measured} == {row["tag_id"] for row in true}
    times_s = sorted({float(row["t"]) for row in true})
    assert times_s == pytest.approx([0.2 * step for step in range(51)] + [10.1])
    assert len(true) == 52 * 10


def test_the_same_seed_writes_the_same_log(site: str, tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for log, seed in zip(logs, ("5", "5", "6"), strict=True):
        assert simulate(site, "--output", str(log), "--duration", "5", "--seed", seed) == 0
    first, again, other = (log.read_bytes() for log in logs)
    assert first == again != other


def test_fine_timestamps_show_in_the_log(site: str, tmp_path: Path) -> None:
    log = tmp_path / "fine.csv"
    assert simulate(site, "--output", str(log), "--duration", "3", "--fine-timestamps") == 0
    assert any(not float(row["t"]).is_integer() for row in rows(log))


def test_torn_off_tags_and_dead_anchors_show_in_the_log(site: str, tmp_path: Path) -> None:
    log = tmp_path / "faults.csv"
    faults = ("--tear-off", "0:3", "--anchor-outage", "A1:4:100")
    assert simulate(site, "--output", str(log), "--duration", "8", *faults) == 0
    assert "0003FF0000000001" in {row["tag_id"] for row in rows(log)}
    assert max(float(row["t"]) for row in rows(log) if row["anchor_id"] == "A1") <= 4


def test_options_left_out_give_the_default_scene(site: str) -> None:
    assert parse(["--anchors", site, "--bootstrap-servers", "b:1"]).scene == SceneSettings()


def test_options_become_a_target() -> None:
    needed = ("--anchors", "site.yaml", "--bootstrap-servers", "b:1")
    properties = ("--kafka-property", "client.id=x", "--speedup", "0")
    assert parse([*needed, *properties]).target == KafkaTarget(
        "b:1", {"client.id": "x"}, "packet_data", "packet_alive", None, 0.0
    )
    assert parse([*needed, "--output", "r.csv", "--duration", "1"]).target == LogTarget(Path("r.csv"), None)


@pytest.mark.parametrize(
    ("options", "expected_us"),
    [
        (("--bootstrap-servers", "b:1", "--duration", "5"), 60_000_000),
        (("--bootstrap-servers", "b:1", "--duration", "5", "--speedup", "0"), 55_000_000),
        (("--bootstrap-servers", "b:1", "--speedup", "2"), 60_000_000),
        (("--bootstrap-servers", "b:1", "--start", "1970-01-01T00:00:07Z", "--speedup", "0"), 7_000_000),
        (("--output", "r.csv", "--duration", "5"), LOG_START_US),
        (("--output", "r.csv", "--duration", "5", "--start", "1970-01-01T00:00:07Z"), 7_000_000),
    ],
)
def test_the_start_is_as_told_or_fixed_for_a_log_or_such_that_a_hurried_play_ends_now(
    options: tuple[str, ...],
    expected_us: int,
) -> None:
    assert start_us(parse(["--anchors", "site.yaml", *options]), now_us=60_000_000) == expected_us


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), False),
        (("--speedup", "0.5"), False),
        (("--speedup", "2"), True),
        (("--speedup", "0"), True),
        (("--speedup", "0", "--duration", "5"), False),
        (("--speedup", "0", "--start", "2024-05-01"), False),
    ],
)
def test_only_a_hurried_play_from_now_without_end_runs_ahead(options: tuple[str, ...], *, expected: bool) -> None:
    assert parse(["--anchors", "site.yaml", "--bootstrap-servers", "b:1", *options]).runs_ahead() is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "expected --bootstrap-servers HOST:PORT to publish, or --output FILE"),
        (("--output", "r.csv"), "--output: expected --duration"),
        (("--bootstrap-servers", "b:1", "--truth-output", "t.csv"), "--truth-output: expected --output"),
        (("--lost-share", "1.1"), "argument --lost-share: expected a number of at least 0 and at most 1, got '1.1'"),
        (
            ("--outlier-share", "nan"),
            "argument --outlier-share: expected a number of at least 0 and at most 1, got 'nan'",
        ),
        (("--tags", "0"), "argument --tags: expected a whole number of at least 1 and at most 100000, got '0'"),
        (("--tags", "2.5"), "argument --tags: expected a whole number of at least 1 and at most 100000, got '2.5'"),
        (("--speedup", "-1"), "argument --speedup: expected a number of at least 0 and at most 1e+06, got '-1'"),
        (
            ("--duration", "inf"),
            "argument --duration: expected a number of at least 0.001 and at most 1e+09, got 'inf'",
        ),
        (("--battery-low-at", "-1"), "argument --battery-low-at: expected a number of at least 0, got '-1'"),
        (("--bootstrap-servers", "broker"), "argument --bootstrap-servers: expected HOST:PORT"),
        (("--tag-height", "tall"), "argument --tag-height: expected a number, got 'tall'"),
        (("--tags-per-record", "few"), "argument --tags-per-record: invalid choice: 'few'"),
        (("--tear-off", "3"), "argument --tear-off: expected TAG:AT"),
        (("--tear-off", "x:1"), "argument --tear-off: expected TAG:AT"),
        (("--anchor-outage", "A0:5"), "argument --anchor-outage: expected ANCHOR:FROM:SECONDS"),
        (("--anchor-outage", "A0:5:0"), "argument --anchor-outage: expected ANCHOR:FROM:SECONDS"),
        (("--kafka-property", "novalue"), "argument --kafka-property: expected key=value"),
        (("--start", "yesterday"), "argument --start: expected a time as in 2024-05-01T08:00:00Z"),
        (("--output", "r.csv", "--duration", "1", "--anchor-outage", "A9:1:1"), "'A9': expected one of A0, A1, A2"),
        (("--output", "r.csv", "--duration", "1", "--tear-off", "10:1"), "tag 10: expected a tag from 0 to 9"),
        (("--lost", "0.1"), "unrecognized arguments: --lost 0.1"),
    ],
)
def test_wrong_options_are_refused_with_what_was_expected(
    site: str,
    options: tuple[str, ...],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        simulate(site, *options)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert expected in printed.err
    assert not printed.out


def test_an_unknown_variable_of_the_environment_is_refused(
    site: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BEAM_RTLS_LOST_SHARES", "0.1")
    with pytest.raises(SystemExit) as end:
        simulate(site, "--bootstrap-servers", "b:1")
    assert end.value.code == 2
    assert "BEAM_RTLS_LOST_SHARES in the environment; did you mean BEAM_RTLS_LOST_SHARE?" in capsys.readouterr().err


def test_an_unusable_site_map_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        simulate(str(tmp_path / "none.yaml"), "--output", str(tmp_path / "r.csv"), "--duration", "1")
    assert end.value.code == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_fails(site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(site, "--output", str(tmp_path / "no" / "r.csv"), "--duration", "1") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_help_tells_groups_units_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["simulate", "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for text in (
        "[env: BEAM_RTLS_TAGS]",
        "(default: 0.0)",
        "the site:",
        "to Kafka:",
        "to a log",
        "tags:",
        "examples:",
        "(default: 0.08)",
        "0003FF000005",
    ):
        assert text in told


@pytest.mark.parametrize("text", ["2024-05-01T08:00:00Z", "2024-05-01 08:00", "2024-05-01T10:00:00+02:00"])
def test_a_start_without_a_zone_is_utc(text: str) -> None:
    assert instant_us(text) == 1_714_550_400_000_000


def test_the_truth_names_the_data_records_place() -> None:
    reading = TagReading("0003FF0000000001", 1.25, True, False, 1_713_300_000_250_000, 1.0, 2.0, 0.5, False)  # noqa: FBT003
    record = AnchorRecord(1_713_300_000_260_000, "A0", 1_713_300_000_000_000, (reading,))
    ((key, value),) = encode_truth(record, 2, 17, 1_713_300_000_300)
    assert key == b"0003FF0000000001"
    assert json.loads(value) == {
        "tagid": "0003FF0000000001",
        "anchorid": "A0",
        "partition": 2,
        "offset": 17,
        "kafka_time_ms": 1_713_300_000_300,
        "t": 1_713_300_000.25,
        "x": 1.0,
        "y": 2.0,
        "z": 0.5,
    }
