"""The rooms of the house: imports point downwards only, and the science needs no engine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import COMMANDS

PIPELINE = Path(__file__).parent.parent / "pipeline"

# What each room may import of ours. A room is a folder, or a file at the top.
MAY_IMPORT = {
    "__init__": set(),
    "model": set(),
    "site_file": set(),
    "site": {"site_file"},
    "wire": {"model", "site"},
    "positioning": {"model", "site"},
    "simulation": {"model", "site"},
    "transforms": {"model", "site", "wire", "positioning"},
    "kafka_client": set(),
    "settings": {"model", "positioning"},
    "graph": {"site", "settings", "transforms"},
    "kafka": {"model", "settings", "graph"},
    "preflight": {"settings", "kafka_client"},
    "execute": {"site", "settings", "graph", "kafka"},
    "commands": {"site", "wire", "positioning", "simulation", "kafka_client", "settings", "preflight", "execute"},
    "__main__": {"commands"},
}


def room_of(path: Path) -> str:
    return path.relative_to(PIPELINE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        rooms |= {module.split(".")[1] for module in modules if module.startswith("pipeline.")}
    return rooms


FILES = sorted(path for path in PIPELINE.rglob("*.py") if not path.name.endswith("_pb2.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PIPELINE)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


def test_no_two_rooms_import_each_other() -> None:
    for room, below in MAY_IMPORT.items():
        for other in below:
            assert room not in MAY_IMPORT[other]


@pytest.mark.parametrize(
    "room", ["positioning.rounds", "positioning.trilateration", "wire.decode", "site", "simulation.scene"]
)
def test_the_science_loads_without_an_engine(room: str) -> None:
    program = f"import sys, pipeline.{room}; sys.exit('apache_beam' in sys.modules or 'confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=PIPELINE.parent).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_without_an_engine(command: str) -> None:
    program = (
        "import sys, contextlib\n"
        "from pipeline.commands import main\n"
        f"with contextlib.suppress(SystemExit): main([{command!r}, '--help'])\n"
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=PIPELINE.parent).returncode == 0
