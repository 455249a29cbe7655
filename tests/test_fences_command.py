"""``beam-rtls fences``: what an omlox hub is given of a site map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import commands
from pipeline.wire.omlox import fence_id
from tests.test_wire_omlox import check

MAP = """\
site: hall
anchors:
  - {id: A0, x: 0, y: 0}
  - {id: A1, x: 9, y: 0}
  - {id: A2, x: 0, y: 9}
zones:
  - {id: dock, name: Loading dock, polygon: [[0, 0], [5, 0], [5, 5]], exit_tolerance: 0.5, tolerance_timeout: 2}
  - {id: store, polygon: [[5, 5], [9, 5], [9, 9]]}
"""


def test_the_zones_of_a_map_are_printed_as_fences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(MAP)
    assert commands.main(["fences", "--anchors", str(path)]) == 0
    fences = json.loads(capsys.readouterr().out)
    for fence in fences:
        check(fence, "Fence")
    assert [(fence["id"], fence["foreign_id"]) for fence in fences] == [
        (fence_id("hall", "dock"), "dock"),
        (fence_id("hall", "store"), "store"),
    ]


def test_a_map_that_cannot_be_used_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["fences", "--anchors", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml:1: the file cannot be read" in capsys.readouterr().err
