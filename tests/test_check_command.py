from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline import commands
from pipeline.commands.check import main
from pipeline.commands.check_arguments import EPILOG

ROOT = Path(__file__).resolve().parent.parent
DEMO = str(ROOT / "anchors/demo.yaml")
FLAG_VARIABLE = "BEAM_RTLS_TAG_HEIGHT"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FLAG_VARIABLE, raising=False)


@pytest.fixture
def with_heights(tmp_path: Path) -> Path:
    """Return a CSV map whose anchors have heights, for which the tag's height must come from outside."""
    path = tmp_path / "hall.csv"
    path.write_text("anchor_id,x,y,z\nA0,0,0,4\nA1,9,0,5\nA2,0,9,4\n", encoding="utf-8")
    return path


def version_of(path: str) -> str:
    """Return what ``sha256sum`` prints first."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def test_a_good_map_is_one_line_and_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "anchors/warehouse.yaml")
    assert main([path]) == 0
    assert capsys.readouterr().out == f"{path}: 12 anchors, ok, version {version_of(path)}\n"


def test_the_command_is_reached_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["check", DEMO]) == 0
    assert capsys.readouterr().out.endswith(f"demo.yaml: 3 anchors, ok, version {version_of(DEMO)}\n")


def test_warnings_are_printed_and_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ROOT / "anchors/demo.yaml")
    assert main([path, "--tag-height", "-1.5"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:1: warning: the tag height is not used: no anchor has z, so distances are taken as horizontal",
        f"{path}: 3 anchors, ok, version {version_of(path)}, 1 warning",
    ]


def test_errors_are_printed_by_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("site: hall\nunit: m\nunits: ft\nanchors: []\n", encoding="utf-8")
    assert main([str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:2: warning: site map: 'unit' is not known and not read; did you mean 'units'?",
        f"{path}:3: error: `units` is ft; expected m (metres)",
        f"{path}:4: error: the number of anchors is 0; expected at least 3",
        f"{path}: 2 errors, 1 warning",
    ]


def test_a_missing_file_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.yaml"
    assert main([str(path)]) == 1
    assert f"{path}:1: error: the file cannot be read: " in capsys.readouterr().out


def test_a_missing_tag_height_is_told_with_the_flag_that_gives_it(
    with_heights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(with_heights)]) == 1
    assert "--tag-height" in capsys.readouterr().out
    assert main([str(with_heights), "--tag-height", "1.2"]) == 0


def test_the_tag_height_can_come_from_the_environment(with_heights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLAG_VARIABLE, "1.2")
    assert main([str(with_heights)]) == 0


def test_an_unknown_variable_of_the_environment_is_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEAM_RTLS_TAG_HEIGTH", "1.2")
    with pytest.raises(SystemExit) as exit_info:
        main([str(ROOT / "anchors/demo.yaml")])
    assert exit_info.value.code == 2
    assert "BEAM_RTLS_TAG_HEIGTH in the environment; did you mean BEAM_RTLS_TAG_HEIGHT?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [[], ["a.yaml", "b.yaml"], ["a.yaml", "--tag-height", "nan"], ["a.yaml", "--tag", "1"]]
)
def test_a_wrong_call_is_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2
    assert "usage: beam-rtls check" in capsys.readouterr().err


def test_the_example_in_the_help_is_a_good_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert EPILOG.strip() in capsys.readouterr().out
    _, yaml_example, _, csv_example, _ = EPILOG.split("\n\n")
    (tmp_path / "map.yaml").write_text(yaml_example, encoding="utf-8")
    csv_lines = [line.strip() for line in csv_example.splitlines()]
    (tmp_path / "map.csv").write_text("\n".join(csv_lines), encoding="utf-8")
    assert main([str(tmp_path / "map.yaml")]) == 0
    assert main([str(tmp_path / "map.csv"), "--tag-height", "1.2"]) == 0
