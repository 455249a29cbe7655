"""What is built of a clean clone: a source distribution and a wheel, with the generated protobuf modules in both."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


GENERATED = {f"pipeline/wire/{name}_pb2.{ending}" for name in ("message", "state") for ending in ("py", "pyi")}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the tree as a clean clone has it: nothing is generated yet."""
    unwanted = (".*", "*_pb2.py*", "*.egg-info", "target", "build", "dist", "node_modules", "__pycache__")
    return Path(shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(*unwanted)))


def run_module(source: Path, *arguments: str) -> None:
    """Run a module of Python that builds the source, in an environment of the build's own."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=source, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_source_distribution_carries_the_generated_modules(source: Path, tmp_path: Path) -> None:
    run_module(source, "build", "--sdist", "--outdir", str(tmp_path / "out"))
    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as packed:
        names = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
    assert {"proto/message.proto", "proto/state.proto", "anchors/demo.yaml", "setup.py", *GENERATED} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_carries_the_generated_modules(source: Path, tmp_path: Path) -> None:
    run_module(source, "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path / "out"), ".")
    (archive,) = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
    assert {"pipeline/py.typed", *GENERATED} <= names
    assert {name.split("/")[0] for name in names if not name.startswith("beam_rtls-")} == {"pipeline"}


def test_beam_is_pinned_in_one_place() -> None:
    """The Java side and Prism take Beam's version from setup.py, so no other file of ours names one."""
    (version,) = re.findall(r"apache-beam==([\d.]+)", (ROOT / "setup.py").read_text(encoding="utf-8"))
    places = [
        path.name
        for pattern in ("Makefile", "*.toml", "runners/**/*.py", "runners/**/pom.xml", "pipeline/**/*.py", ".ci/run")
        for path in ROOT.glob(pattern)
        if re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.])", path.read_text(encoding="utf-8"))
    ]
    assert places == []
