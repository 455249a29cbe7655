"""What Beam stages to workers: a source distribution with the generated protobuf modules in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_source_distribution_carries_the_generated_modules(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".*", "*.egg-info", "target", "build", "dist", "node_modules", "__pycache__"),
    )
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", "out"], check=True, cwd=source, capture_output=True
    )
    (archive,) = (source / "out").iterdir()
    with tarfile.open(archive) as packed:
        names = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
    assert {
        "pipeline/wire/message_pb2.py",
        "pipeline/wire/state_pb2.py",
        "proto/message.proto",
        "proto/state.proto",
        "anchors/demo.yaml",
        "setup.py",
    } <= names
    assert not [name for name in names if name.startswith("tests")]


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
