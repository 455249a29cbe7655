"""``make run-flink`` as a person sees it: one command, a job in the web UI, a summary, and nothing left running."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import requests

from pipeline.flink_rest import Flink, FlinkError
from runners.processes import wait_until
from runners.session import command_environment
from tests.integration.conftest import ROOT, SIMULATED_REASONS, free_port_with_next, free_ports
from tests.integration.test_run_direct import linked_tools, mentioning


def test_one_command_runs_the_whole_and_ends_by_itself(tmp_path: Path) -> None:
    kafka, controller, web, rpc, pool = free_ports(5)
    metrics = free_port_with_next()
    out = tmp_path / "out.txt"
    argv = [
        *(sys.executable, "-m", "runners.flink", "--duration=25", "--tags=20", "--backend=rocksdb"),
        *(f"--tools={linked_tools(tmp_path)}", f"--kafka-port={kafka}", f"--kafka-controller-port={controller}"),
        *(f"--flink-port={web}", f"--flink-rpc-port={rpc}", f"--worker-pool-port={pool}"),
        f"--metrics-port={metrics}",
    ]
    environment = command_environment()
    with out.open("w") as stdout, (tmp_path / "err.txt").open("w") as stderr:
        run = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr)
        try:
            wait_until(lambda: completed_checkpoints(web) >= 1, 180, "a checkpoint is completed", still(run, tmp_path))
            for port in (metrics, metrics + 1):
                assert "flink_" in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            assert run.wait(180) == 0, (tmp_path / "err.txt").read_text()
        finally:
            run.terminate()
            run.wait(60)
    assert f"http://127.0.0.1:{metrics}/metrics" in (tmp_path / "err.txt").read_text()
    summary = json.loads(out.read_text().splitlines()[-1])
    assert summary["positions"] > 200
    assert summary["tags"] == summary["tags_positioned"] == 20
    assert summary["median_error_m"] < 0.30
    assert set(summary["rejected"]) <= SIMULATED_REASONS
    assert not mentioning(str(tmp_path))
    assert not mentioning(f"localhost:{pool}")


def completed_checkpoints(web_port: int) -> int:
    """How many checkpoints the web UI tells of a running job."""
    flink = Flink(f"http://127.0.0.1:{web_port}")
    try:
        running = [job for job in flink.jobs() if job.state == "RUNNING"]
        return int(flink.checkpoints(running[0].id)["counts"]["completed"]) if running else 0
    except FlinkError:
        return 0


def still(run: subprocess.Popen[bytes], directory: Path) -> Callable[[], None]:
    def check() -> None:
        assert run.poll() is None, (directory / "err.txt").read_text()

    return check
