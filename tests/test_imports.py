"""The rooms of the house: imports point downwards only, and the science needs no engine."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import COMMANDS

ROOT = Path(__file__).parent.parent

HOUSES = ("pipeline", "runners", "benchmarks")

# What measures one thing on the benchmark's platform, and all that do.
PART = {
    *("benchmarks.feed", "benchmarks.figures", "benchmarks.platform", "benchmarks.systems", "benchmarks.workload"),
    *("flink_rest", "runners.processes"),
}
MEASURED = {f"benchmarks.{part}" for part in ("backlog", "live", "state", "outage")}

# What each room may import of ours. A room is a folder, or a file at the top, of a house.
MAY_IMPORT = {
    "__init__": set(),
    "columns": set(),
    "model": set(),
    "map_files": set(),
    "site_draft": set(),
    "site_file": {"map_files", "site_draft"},
    "site_geometry": set(),
    "site_values": {"site_draft"},
    "zones": set(),
    "tag_identity": set(),
    "site_polygons": {"map_files", "zones"},
    "site_zones": {"map_files", "site_draft", "site_values", "site_polygons", "tag_identity", "zones"},
    "site": {
        "map_files",
        "site_draft",
        "site_file",
        "site_geometry",
        "site_values",
        "site_zones",
        "tag_identity",
        "zones",
    },
    "site_writer": set(),
    "events": set(),
    "map_changes": {"events"},
    "map_copy": {"map_files"},
    "live_site": {"map_changes", "map_copy", "map_files", "site"},
    "wire": {"columns", "map_changes", "model", "site", "events", "tag_identity", "zones"},
    "positioning": {"columns", "model", "site", "events", "zones"},
    "simulation": {"site"},
    "transforms": {"columns", "map_changes", "model", "site", "wire", "positioning", "events", "zones"},
    "kafka_client": set(),
    "settings": {"positioning"},
    "graph": {"events", "live_site", "model", "site", "settings", "transforms"},
    "replay": {"model", "site", "wire", "positioning", "settings", "transforms", "graph"},
    "kafka": {"model", "settings", "graph", "wire"},
    "preflight": {"settings", "kafka_client"},
    "prism": {"site", "settings", "graph", "kafka"},
    "stable_ids": set(),
    "portable_jar": {"site", "settings", "graph", "kafka", "stable_ids"},
    "flink_rest": set(),
    "flink": {"flink_rest"},
    "worker_pool": set(),
    "worker_tuning": set(),
    "worker": {"graph", "worker_pool", "worker_tuning"},
    "commands": {
        *("live_site", "map_files", "site", "wire", "positioning", "simulation", "kafka_client", "settings"),
        *("preflight", "prism", "flink", "flink_rest", "portable_jar", "worker_pool", "replay", "site_writer"),
    },
    "__main__": {"commands"},
    "runners.__init__": set(),
    "runners.processes": set(),
    "runners.java": set(),
    "runners.live": {"kafka_client", "wire"},
    "runners.session": {"runners.processes", "runners.java", "runners.live", "runners.variables", "commands.arguments"},
    "runners.variables": {"commands.arguments"},
    "runners.direct": {
        *("runners.processes", "runners.java", "runners.live", "runners.session", "runners.variables"),
        "commands.arguments",
    },
    "runners.flink": {
        *("runners.processes", "runners.live", "runners.session", "runners.variables", "runners.direct"),
        *("runners.java", "commands.arguments", "settings", "flink_rest"),
    },
    "runners.trial": {
        *("runners.processes", "runners.session", "runners.direct", "runners.flink"),
        *("flink_rest", "model", "tag_identity", "wire"),
    },
    "runners.faults": {
        *("runners.processes", "runners.session", "runners.variables", "runners.flink", "runners.trial"),
        *("commands.arguments", "flink_rest", "model", "site", "settings", "replay"),
    },
    "runners.scenario": {
        *("runners.processes", "runners.session", "runners.variables", "runners.flink", "runners.trial"),
        *("commands.arguments", "commands.simulate_arguments", "commands.simulate_kafka", "kafka_client"),
        *("flink_rest", "model", "events", "site", "tag_identity", "simulation"),
    },
    "benchmarks.__init__": set(),
    "benchmarks.spread": set(),
    "benchmarks.readings": {"model", "site"},
    "benchmarks.stages": {
        *("benchmarks.readings", "benchmarks.spread", "model", "site", "positioning", "transforms", "wire"),
    },
    "benchmarks.positioning": {
        *("benchmarks.readings", "benchmarks.spread", "model", "site", "positioning", "transforms"),
    },
    "benchmarks.workload": set(),
    "benchmarks.feed": {"benchmarks.workload"},
    "benchmarks.topics": set(),
    "benchmarks.memory": set(),
    "benchmarks.peers": set(),
    "benchmarks.figures": {"benchmarks.topics", "benchmarks.workload"},
    "benchmarks.systems": {
        *("benchmarks.figures", "flink_rest"),
        *("runners.processes", "runners.session", "runners.direct", "runners.flink"),
    },
    "benchmarks.platform": {
        *("benchmarks.feed", "benchmarks.memory", "benchmarks.systems", "benchmarks.topics", "benchmarks.workload"),
        *("flink_rest", "runners.processes", "runners.session", "runners.direct"),
    },
    **{f"benchmarks.{part}": PART for part in ("backlog", "live", "state")},
    "benchmarks.outage": {*PART, "benchmarks.live", "benchmarks.topics"},
    "benchmarks.plan": {"benchmarks.systems", "benchmarks.workload"},
    "benchmarks.results": {"benchmarks.spread", *MEASURED},
    "benchmarks.suite": {
        *("benchmarks.feed", "benchmarks.plan", "benchmarks.platform", "benchmarks.results", "benchmarks.systems"),
        *("benchmarks.topics", "benchmarks.workload", "flink_rest", "runners.processes", *MEASURED),
    },
    "benchmarks.thresholds": {"benchmarks.plan", "benchmarks.results", "benchmarks.spread"},
    "benchmarks.report": {"benchmarks.plan", "benchmarks.results", "benchmarks.spread", "benchmarks.thresholds"},
    "benchmarks.document": {"benchmarks.plan", "benchmarks.results", "benchmarks.thresholds"},
    "benchmarks.__main__": {
        *("benchmarks.document", "benchmarks.plan", "benchmarks.platform", "benchmarks.report", "benchmarks.results"),
        *("benchmarks.suite", "benchmarks.systems", "benchmarks.thresholds"),
        *("runners.processes", "runners.session", "runners.trial"),
    },
}


def room_of(path: Path) -> str:
    house, first, *_ = path.relative_to(ROOT).parts
    return f"{house}.{first}".removeprefix("pipeline.").removesuffix(".py")


def imported(path: Path) -> set[str]:
    """What a file imports of ours, as the table has it: ``wire.decode.decode``, ``runners.live.summary.Summary``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix("pipeline.") for name in names if name.partition(".")[0] in HOUSES}


FILES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py") if not path.name.endswith("_pb2.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    allowed = tuple(f"{other}." for other in MAY_IMPORT[room] | {room})
    assert [name for name in imported(path) if not f"{name}.".startswith(allowed)] == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


@pytest.mark.parametrize(
    "room",
    [
        "positioning.rounds",
        "positioning.trilateration",
        "positioning.zone_watch",
        "wire.decode",
        "site",
        "simulation.scene",
        "replay.scoring",
    ],
)
def test_the_science_loads_without_an_engine(room: str) -> None:
    program = f"import sys, pipeline.{room}; sys.exit('apache_beam' in sys.modules or 'confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_without_an_engine(command: str) -> None:
    program = (
        "import sys, contextlib\n"
        "from pipeline.commands import main\n"
        f"with contextlib.suppress(SystemExit): main([{command!r}, '--help'])\n"
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0
