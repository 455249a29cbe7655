from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.replay.log import Truth
from pipeline.replay.plots import PlotError, plot, require_matplotlib
from pipeline.replay.replay import Estimate
from pipeline.replay.scoring import Window
from tests.readings import DEMO

TRUTH = {"T": np.array([[0.0, 1.0, 1.0], [10.0, 2.0, 2.0]])}
ESTIMATES = [
    Estimate("T", 1_000_000 * second, 1.0 + 0.1 * second, 1.1 + 0.1 * second, None, None, 0, frozenset())
    for second in range(10)
]


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    plot(path, "demo", "readings  3", site=DEMO, estimates=ESTIMATES, truth=TRUTH, window=Window(2.0, 8.0))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_page_has_the_picture_and_the_table_and_needs_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    plot(path, "a < b", "readings  3", site=DEMO, estimates=ESTIMATES, truth=TRUTH)
    page = path.read_text(encoding="utf-8")
    assert "<title>a &lt; b</title>" in page
    assert "<pre>readings  3</pre>" in page
    assert page.count("<svg") == 1
    for title in ("Track", "Horizontal error over time", "Distribution of the horizontal error"):
        assert f"<!-- {title} -->" in page
    assert "<script" not in page
    plot(tmp_path / "again.html", "a < b", "readings  3", site=DEMO, estimates=ESTIMATES, truth=TRUTH)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_without_a_truth_there_is_the_track_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    plot(path, "demo", "", site=DEMO, estimates=ESTIMATES, truth={})
    page = path.read_text(encoding="utf-8")
    assert "<!-- Track -->" in page
    assert "over time" not in page


@pytest.mark.parametrize("truth", [TRUTH, {}])
def test_no_positions_are_no_fault(truth: Truth, tmp_path: Path) -> None:
    plot(tmp_path / "out.png", "demo", "", site=DEMO, estimates=[], truth=truth)
    assert (tmp_path / "out.png").exists()


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match=r"out.gif ends in '.gif'; expected .png or .html"):
        plot(tmp_path / "out.gif", "demo", "", site=DEMO, estimates=ESTIMATES, truth=TRUTH)


def test_what_is_missing_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PlotError, match=r"expected the extra: pip install 'beam-rtls\[plot\]'"):
        require_matplotlib()
