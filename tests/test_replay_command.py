"""``beam-rtls replay`` over small logs whose errors are known, through the real graph on Beam's FnApiRunner."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import commands
from pipeline.commands import replay_arguments, run_arguments, simulate
from pipeline.commands.replay import main
from pipeline.replay.log import read_ranges
from pipeline.replay.plots import PlotError
from pipeline.replay.replay import replay
from pipeline.replay.scoring import Window
from pipeline.settings import GraphSettings
from pipeline.site import load_site
from tests.readings import DEMO

ROOT = Path(__file__).parent.parent
SITE = ROOT / "anchors" / "demo.yaml"
NEEDED = ["--anchors", str(SITE), "--readings", "ranges.csv"]
PLACE = (1.2, 1.6)
BLINKS = 10


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    """A tag that stands still at PLACE and blinks each second; its anchors stamp 1 µs apart."""
    lines = ["t,tag_id,anchor_id,distance_m"]
    for blink in range(BLINKS):
        for number, anchor in enumerate(DEMO.anchors.values()):
            distance_m = math.dist(PLACE, (anchor.x_m, anchor.y_m))
            lines.append(f"{blink + number / 1e6:.6f},T,{anchor.id},{distance_m:.6f}")
    path = tmp_path / "ranges.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Half a metre beside PLACE, until 7.5 s."""
    path = tmp_path / "truth.csv"
    path.write_text(
        "t,tag_id,x,y,z\n" + "".join(f"{at_s},T,{PLACE[0] - 0.3},{PLACE[1] - 0.4},0\n" for at_s in (0, 7.5))
    )
    return path


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(ranges: Path, tmp_path: Path) -> Run:
    """Run the command over the log and return its report."""

    def run_it(*flags: str, exit_code: int = 0) -> dict[str, Any]:
        report = tmp_path / "report.json"
        flags = (f"--anchors={SITE}", f"--readings={ranges}", f"--report={report}", "--strict", *flags)
        assert main(flags) == exit_code
        parsed: dict[str, Any] = json.loads(report.read_text())
        return parsed

    return run_it


def test_a_known_error_is_found(run: Run, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(f"--truth={truth}", f"--output={tmp_path / 'positions.jsonl'}", f"--plot={tmp_path / 'out.html'}")
    for name in ("rmse_m", "median_m", "p95_m", "max_m"):
        assert report[name] == pytest.approx(0.5, abs=0.01)
    assert (report["readings"], report["fixes"], report["rejections"]) == (3 * BLINKS, BLINKS, {})
    assert (report["scored"], report["without_truth"]) == (8, 2)
    assert (report["groups"], report["groups_without_answer"]) == (BLINKS, 0)
    assert "error, RMSE" in capsys.readouterr().out
    assert "error, RMSE" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_positions_are_written_with_the_times_of_the_log(run: Run, tmp_path: Path) -> None:
    run(f"--output={tmp_path / 'positions.jsonl'}")
    positions = [json.loads(line) for line in (tmp_path / "positions.jsonl").read_text().splitlines()]
    assert [position["t"] for position in positions] == [blink + 0.000002 for blink in range(BLINKS)]
    assert positions[1]["records"] == [[0, 3], [0, 4], [0, 5]]
    for position in positions:
        assert math.dist((position["x"], position["y"]), PLACE) < 0.01
        assert "timestamp_generated" not in position


def test_from_and_to_bound_what_is_scored_not_what_is_replayed(run: Run, truth: Path) -> None:
    report = run(f"--truth={truth}", "--from=2.000002", "--to=4.5")
    assert (report["readings"], report["fixes"]) == (3 * BLINKS, BLINKS)
    assert (report["scored"], report["groups"]) == (3, 3)


def test_readings_are_replayed_in_order_of_time(run: Run, ranges: Path, truth: Path) -> None:
    before = run(f"--truth={truth}")
    header, *lines = ranges.read_text().splitlines()
    random.Random(3).shuffle(lines)
    ranges.write_text("\n".join([header, *lines]) + "\n")
    assert run(f"--truth={truth}") == before


def test_what_gives_no_position_is_told_by_reason(run: Run, ranges: Path) -> None:
    with ranges.open("a") as file:
        file.write("20,T,nobody,1\n20,T,A0,0\n20.1,T,A0,500\n")
    assert run()["rejections"] == {"distance_out_of_range": 2, "unknown_anchor": 1}


def test_without_a_truth_nothing_is_scored(run: Run) -> None:
    report = run()
    assert (report["rmse_m"], report["scored"], report["fixes"]) == (None, 0, BLINKS)


def test_a_truth_of_other_tags_is_told(run: Run, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth.write_text(truth.read_text().replace("T,", "U,"))
    assert run(f"--truth={truth}")["rmse_m"] is None
    assert "no position has a truth: the truth tells of tags U, the positions of T" in capsys.readouterr().err


def test_what_cannot_be_read_is_told_and_exit_1(
    ranges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranges.write_text("t,tag_id,anchor_id,distance_m\n0,T,A0,far\n")
    flags = [f"--anchors={SITE}", f"--readings={ranges}"]
    assert main(flags) == 1
    what = f"{ranges}:2: column 'distance_m' is 'far'; expected a finite number of metres"
    assert capsys.readouterr().err == f"beam-rtls replay: {what}\n"
    assert main([*flags, f"--truth={tmp_path / 'no.csv'}"]) == 1
    assert "no.csv" in capsys.readouterr().err
    assert main([f"--anchors={tmp_path / 'no.yaml'}", f"--readings={ranges}"]) == 1
    assert "no.yaml" in capsys.readouterr().err


def test_a_picture_that_cannot_be_drawn_is_told_before_the_work(
    ranges: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise PlotError("no matplotlib")

    monkeypatch.setattr("pipeline.commands.replay.require_matplotlib", missing)
    assert main([f"--anchors={SITE}", f"--readings={ranges}", "--plot=out.png"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "beam-rtls replay: no matplotlib\n")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--anchors", "site.yaml"], "--readings"),
        ([*NEEDED, "--from", "2", "--to", "1"], "--from 2 is after --to 1; expected it before"),
        ([*NEEDED, "--from", "soon"], "expected a number, got 'soon'"),
        ([*NEEDED, "--plot", "out.gif"], "expected a name that ends in .png or .html, got 'out.gif'"),
        ([*NEEDED, "--tag-expiry", "5"], "expected at least the lateness bound (10 s)"),
        ([*NEEDED, "--mode", "four"], "round"),
    ],
)
def test_a_wrong_call_is_exit_2(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["replay", *flags])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_graph_is_set_as_it_is_for_a_run() -> None:
    flags = ["--mode=three", "--round-wait=0.5", "--max-residual=2", "--max-gdop=9", "--tag-expiry=70", "--strict"]
    replayed = replay_arguments.parse([*NEEDED, *flags])
    live = run_arguments.parse(["--anchors=site.yaml", "--bootstrap-servers=broker:1", *flags])
    unwatched = GraphSettings(anchor_watch=None, tag_watch=None, zones=None)
    positioning = replace(live.settings.graph, anchor_watch=None, tag_watch=None, zones=None)
    assert replayed.graph == positioning != unwatched
    assert replay_arguments.parse(NEEDED).graph == unwatched
    assert replay_arguments.parse([*NEEDED, "--to=-1.5"]).window == Window(-math.inf, -1.5)


@pytest.fixture
def simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path]:
    """Readings and truth of a simulated minute, with all the faults that the simulator causes by itself."""
    readings, truth = tmp_path / "readings.csv", tmp_path / "truth.csv"
    flags = ["--anchors", str(SITE), "--output", str(readings), "--truth-output", str(truth), "--duration", "60"]
    assert simulate.main(flags) == 0
    capsys.readouterr()
    return readings, truth


def test_a_simulated_log(simulated: tuple[Path, Path], tmp_path: Path) -> None:
    readings, truth = simulated
    report_file = tmp_path / "report.json"
    flags = [f"--anchors={SITE}", f"--readings={readings}", f"--truth={truth}", f"--report={report_file}", "--strict"]
    assert main(flags) == 0
    report = json.loads(report_file.read_text())
    with readings.open(newline="") as file:
        assert report["readings"] == len(list(csv.DictReader(file)))
    assert report["scored"] > 0.9 * report["fixes"] > 100
    assert report["median_m"] < 0.5


def test_groups_are_those_of_the_graph(simulated: tuple[Path, Path]) -> None:
    """They are told by the grouping alone, without the engine: each position is of one of them, whole."""
    replayed = replay(read_ranges(simulated[0]), load_site(SITE), GraphSettings(strict=True))
    groups = [group.rows for group in replayed.rounds]
    assert {estimate.rows for estimate in replayed.estimates} <= set(groups)
    assert len(set(groups)) == len(groups)
    grouped = sum(map(len, groups))
    positioned = sum(len(estimate.rows) for estimate in replayed.estimates)
    assert 0 <= replayed.readings - grouped <= sum(replayed.rejections.values()) == replayed.readings - positioned
