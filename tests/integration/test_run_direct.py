"""``make run-direct`` as a person sees it: one command, a summary, and nothing left running."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from runners.session import command_environment
from tests.integration.conftest import ROOT, SIMULATED_REASONS, TOOLS, free_ports


def test_one_command_runs_the_whole_and_ends_by_itself(tmp_path: Path) -> None:
    kafka, controller, expansion = free_ports(3)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "runners.direct",
                "--duration=15",
                "--tags=5",
                f"--tools={linked_tools(tmp_path)}",
            ),
            *(f"--kafka-port={kafka}", f"--kafka-controller-port={controller}", f"--expansion-port={expansion}"),
        ],
        cwd=ROOT,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["positions"] > 30
    assert summary["tags"] == summary["tags_positioned"] == 5
    assert summary["median_error_m"] < 0.30
    assert set(summary["rejected"]) <= SIMULATED_REASONS
    assert summary["latency_p50_ms"] is None  # too short a run for a figure
    assert not mentioning(str(tmp_path))


def test_a_busy_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "runners.direct", f"--kafka-port={port}", f"--tools={linked_tools(tmp_path)}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "KAFKA_PORT" in done.stderr


def linked_tools(directory: Path) -> Path:
    """A folder of tools with logs and data of its own, so that tests and a run by hand do not meet."""
    tools = directory / "tools"
    tools.mkdir()
    for name in ("broker", "beam.jar", "flink", "prism"):
        if (TOOLS / name).exists():
            (tools / name).symlink_to((TOOLS / name).resolve())
    return tools


def mentioning(text: str) -> list[str]:
    """The processes with a text in their command line."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if process.name.isdigit() and text in command and int(process.name) != os.getpid():
            found.append(command)
    return found
