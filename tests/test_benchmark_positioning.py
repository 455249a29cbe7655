"""The benchmark of the science runs, and says what it measured. How fast anything is, is not tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.positioning import PARTS, REFERENCE, main, three_circles
from benchmarks.readings import ring_site, walk_readings
from benchmarks.spread import Spread


def test_it_measures_every_part_for_every_number_of_anchors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--anchors", "3", "5", "--readings", "60", "--repeats", "2", "--json", str(tmp_path / "speed.json")])
    document = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert {name: document[name] for name in ("readings", "repeats")} == {"readings": 60, "repeats": 2}
    assert document.keys() == {"readings", "repeats", "python", "machine", "rows"}
    parts = (*PARTS, "all", REFERENCE)
    assert [(row["anchors"], row["part"]) for row in document["rows"]] == [(n, part) for n in (3, 5) for part in parts]
    for row in document["rows"]:
        assert row.keys() == {"anchors", "part", "us", "ratio"}
        for spread in (row["us"], row["ratio"]):
            assert 0.0 < spread["low"] <= spread["median"] <= spread["high"]
        if row["part"] == REFERENCE:
            assert row["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert "us a reading" in head
    assert [line.split()[:2] for line in lines] == [[str(n), part] for n in (3, 5) for part in parts]


@pytest.mark.parametrize("wrong", [["--anchors", "2"], ["--repeats", "0"], ["--readings", "many"]])
def test_a_wrong_number_is_refused_by_name(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert f"argument {wrong[0]}: '{wrong[1]}'; expected a whole number of at least" in capsys.readouterr().err


def test_the_help_tells_what_the_parts_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"  {part} " in told for part in (*PARTS, "all", REFERENCE))


def test_the_readings_are_the_same_each_time() -> None:
    site = ring_site(4)
    readings = walk_readings(site, 10)
    assert readings == walk_readings(ring_site(4), 10)
    assert [reading.anchor for reading in readings] == list(site.anchors) * 10


def test_the_yardstick_is_right() -> None:
    x, y = three_circles(4.0)
    assert (x - 4.0) ** 2 + (y - 1.0) ** 2 == pytest.approx(x * x + y * y)
    assert (x + 1.0) ** 2 + (y - 6.0) ** 2 == pytest.approx(x * x + y * y)


def test_a_spread_is_the_middle_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
