"""Machine code is that of the text that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.positioning import compiled


@pytest.mark.parametrize("changed", ["positioning/round_bytes.py", "positioning/round_state.py", "site.py"])
def test_another_text_has_other_machine_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str) -> None:
    """Also where the file has no kernel in it: its constants are in those of others."""
    here = Path(compiled.__file__).parent
    shutil.copytree(here, tmp_path / "positioning", ignore=shutil.ignore_patterns("__pycache__"))
    for source in here.parent.glob("site*.py"):
        shutil.copy(source, tmp_path)
    monkeypatch.setattr(compiled, "_HERE", tmp_path / "positioning")
    before = compiled._digest()
    assert before == compiled._digest()
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    assert compiled._digest() != before
