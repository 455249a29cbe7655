from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline import commands
from pipeline.commands.calibrate import main
from pipeline.commands.calibrate_arguments import EPILOG
from pipeline.site import load_site

SITE = """\
# a small hall
site: hall
tag_height: 1.2
anchors:
  - {id: A0, x: 0, y: 0, z: 4.0}    # door
  - {id: A1, x: 10, y: 0, z: 4.0}
  - {id: A2, x: 10, y: 8, z: 3.5}
  - {id: A3, x: 0, y: 8, z: 4.5}
  - {id: A4, x: 5, y: 9, z: 3.0}
"""
BIAS_M = 0.18
LOGS = Path(os.environ.get("BEAM_RTLS_LOGS") or Path(__file__).parents[2] / "shared" / "data" / "uwb")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANCHORS", "TAG_HEIGHT", "OUTPUT", "READINGS", "TRUTH", "FORCE", "REPORT"):
        monkeypatch.delenv(f"BEAM_RTLS_{name}", raising=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a site map and a simulated log of it."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "site.yaml").write_text(SITE, encoding="utf-8")
    argv = ["--anchors", "site.yaml", "--output", "ranges.csv", "--truth-output", "truth.csv", "--duration", "90"]
    argv = [str(folder / word) if "." in word else word for word in argv]
    settings = ["--tags", "3", "--seed", "7", "--fine-timestamps", "--bias", str(BIAS_M), "--bias-spread", "0"]
    assert commands.main(["simulate", *argv, *settings]) == 0
    return folder


def arguments(log: Path, output: Path, *more: str) -> list[str]:
    return ["--anchors", str(log / "site.yaml"), "--readings", str(log / "ranges.csv"), "--output", str(output), *more]


@pytest.mark.parametrize("has_truth", [True, False])
def test_a_simulated_bias_is_found_written_and_shown(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, has_truth: bool
) -> None:
    output, report = tmp_path / "new.yaml", tmp_path / "report.json"
    more = ["--truth", str(log / "truth.csv")] if has_truth else []
    assert commands.main(["calibrate", *arguments(log, output, "--report", str(report), *more)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "anchor readings bias before bias after RMS before after median before after"
    assert lines[-1] == f"written: {output}"
    found = json.loads(report.read_bytes())
    assert found["method"] == ("truth" if has_truth else "self-consistency")
    assert found["held_out"]["after"]["median_m"] < 0.75 * found["held_out"]["before"]["median_m"]
    for anchor_id, anchor in load_site(output).anchors.items():
        assert anchor.bias_sigma_m is not None
        assert abs(anchor.bias_m - BIAS_M) < max(4.0 * anchor.bias_sigma_m, 0.03)
        assert found["anchors"][anchor_id]["bias_m"] == pytest.approx(anchor.bias_m, abs=0.0006)
    text = output.read_text(encoding="utf-8")
    assert text.startswith("# a small hall\n")
    assert "# door" in text


def test_a_csv_map_stays_one(log: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.csv"
    rows = [
        f"{anchor.id},{anchor.x_m},{anchor.y_m},{anchor.z_m}"
        for anchor in load_site(log / "site.yaml").anchors.values()
    ]
    site.write_text("\n".join(["anchor_id,x,y,z", *rows, ""]), encoding="utf-8")
    output = tmp_path / "new.csv"
    argv = ["--anchors", str(site), "--readings", str(log / "ranges.csv"), "--output", str(output)]
    assert main([*argv, "--tag-height", "1.2"]) == 0
    assert output.read_text(encoding="utf-8").startswith("anchor_id,x,y,z,bias,bias_sigma\nA0,0.0,0.0,4.0,0.")


def test_a_map_is_never_overwritten_unless_told(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new.yaml"
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit) as exit_info:
        main(arguments(log, output))
    assert exit_info.value.code == 2
    assert "exists; give --force to overwrite it" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == "mine"
    assert main(arguments(log, output, "--force")) == 0
    assert load_site(output).anchors["A0"].bias_sigma_m is not None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--output", "{log}/site.yaml", "--force"], "is one of the files that are read"),
        (["--report", "{log}/ranges.csv"], "is one of the files that are read"),
        (["--report", "{tmp}/new.yaml"], "is the output; expected another"),
        (["--output", "{tmp}/new.csv"], "expected a name that ends in .yaml or .yml"),
        (["--readings", "{tmp}/none.csv"], "expected a file that exists"),
        (["--from", "9", "--to", "3"], "--from 9 is after --to 3"),
        (["--anchors", "gs://maps/site.yaml"], "is not on a disk; fetch a copy of the map"),
    ],
)
def test_a_wrong_call_is_exit_2(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments(log, tmp_path / "new.yaml", *(word.format(log=log, tmp=tmp_path) for word in more)))
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        ("t,tag_id,anchor_id,distance_m\n0,T,A0,far\n", ":2: column 'distance_m' is 'far'"),
        ("t,tag_id,anchor_id,distance_m\n0,T,B7,3\n", "no readings by anchors of the map"),
        ("t,tag_id,anchor_id,distance_m\n0,T,A0,3\n0,T,A1,9\n0,T,A2,9\n", "no round of 4 ranges or more"),
    ],
)
def test_a_log_that_is_of_no_use_is_exit_1_and_nothing_is_written(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], readings: str, message: str
) -> None:
    (tmp_path / "ranges.csv").write_text(readings, encoding="utf-8")
    output = tmp_path / "new.yaml"
    assert main(arguments(log, output, "--readings", str(tmp_path / "ranges.csv"))) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_a_truth_of_other_tags_is_exit_1(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("t,tag_id,x,y\n0,T,1,1\n", encoding="utf-8")
    assert main(arguments(log, tmp_path / "new.yaml", "--truth", str(truth))) == 1
    assert "no places of the readings' tags" in capsys.readouterr().err


def test_a_surveyed_point_needs_one_row_and_no_height(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readings, truth, output = tmp_path / "ranges.csv", tmp_path / "truth.csv", tmp_path / "new.yaml"
    distance_m = (3**2 + 4**2 + 2.8**2) ** 0.5 + 0.25
    rows = [f"{n},T,A0,{distance_m + 0.02 * (-1) ** n}" for n in range(40)]
    readings.write_text("\n".join(["t,tag_id,anchor_id,distance_m", *rows, ""]), encoding="utf-8")
    truth.write_text("t,tag_id,x,y\n0,T,3,4\n", encoding="utf-8")
    assert main(arguments(log, output, "--readings", str(readings), "--truth", str(truth))) == 0
    site = load_site(output)
    assert site.anchors["A0"].bias_m == 0.25
    assert site.anchors["A1"].bias_sigma_m is None
    shown = capsys.readouterr().out
    assert "anchor 'A1' keeps what it has: 0 readings of it, 10 are needed" in shown
    assert "nothing could be held out" in shown


def test_the_help_teaches(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert EPILOG.split("\n\n")[1] in shown
    assert EPILOG.split("\n\n")[3] in shown


def test_on_a_real_log_the_ranges_alone_tell_almost_what_the_truth_tells(tmp_path: Path) -> None:
    real = LOGS / "lias_dyn_fast"
    if not real.is_dir():
        pytest.skip(f"no real logs: {real} is missing; set BEAM_RTLS_LOGS to where they are")
    anchors, readings, truth = (str(real / f"{name}.csv") for name in ("anchors", "ranges", "truth"))
    biases = {}
    for name, more in (("with", ["--truth", truth]), ("without", [])):
        argv = ["--anchors", anchors, "--readings", readings, "--tag-height", "0.97"]
        report = tmp_path / f"{name}.json"
        assert main([*argv, *more, "--output", str(tmp_path / f"{name}.csv"), "--report", str(report)]) == 0
        found = json.loads(report.read_bytes())
        assert found["held_out"]["after"]["rms_m"] < 0.5 * found["held_out"]["before"]["rms_m"]
        assert all(anchor["offset"] is None for anchor in found["anchors"].values())
        biases[name] = [anchor["bias_m"] for anchor in found["anchors"].values()]
    assert sum(biases["with"]) / 8 == pytest.approx(0.178, abs=0.005)
    assert biases["without"] == pytest.approx(biases["with"], abs=0.02)
