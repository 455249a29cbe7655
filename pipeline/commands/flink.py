"""``beam-rtls flink``: the life of a job on Flink."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from pipeline.commands.flink_arguments import FlinkArguments, parse
from pipeline.flink_rest import ENTRY_CLASS, Flink, FlinkError, jar_name


def main(argv: Sequence[str]) -> int:
    """Do what was asked. Exit code 0 done, 1 failed or Flink is out of reach, 2 called wrongly."""
    arguments = parse(argv)
    cluster = Flink(arguments.master)
    try:
        _ACTIONS[arguments.action](cluster, arguments)
    except FlinkError as error:
        print(f"beam-rtls flink: {error}", file=sys.stderr)
        return 1
    return 0


def _status(cluster: Flink, arguments: FlinkArguments) -> None:
    overview = cluster.overview()
    print(
        f"Flink {overview['flink-version']} at {cluster.address}: {overview['taskmanagers']} TaskManagers, "
        f"{overview['slots-available']} of {overview['slots-total']} slots free"
    )
    job = cluster.job(arguments.job_name, arguments.job_id)
    print(f"job {job.id} ({job.name}): {job.state} for {job.duration_ms / 1000:.0f} s")
    for vertex in cluster.vertices(job.id):
        print(f"  {vertex['status']:<10} parallelism {vertex['parallelism']}  {vertex['name']:.90}")
    checkpoints = cluster.checkpoints(job.id)
    counts, latest = checkpoints["counts"], checkpoints["latest"]
    print(
        f"checkpoints: {counts['completed']} completed, {counts['failed']} failed, {counts['restored']} restored from"
    )
    for kind in ("completed", "savepoint", "restored", "failed"):
        found = latest.get(kind)
        if found:
            path = found.get("external_path") or found.get("failure_message") or ""
            took = f", took {found['end_to_end_duration']} ms" if "end_to_end_duration" in found else ""
            print(f"  last {kind}: number {found['id']}{took}  {path}")
    cause = cluster.root_cause(job.id)
    if cause:
        print(f"last failure: {cause.splitlines()[0]}")


def _savepoint(cluster: Flink, arguments: FlinkArguments) -> None:
    job = cluster.job(arguments.job_name, arguments.job_id)
    _tell(job_id=job.id, savepoint=cluster.savepoint(job.id, arguments.savepoint_dir, arguments.timeout_s))


def _stop(cluster: Flink, arguments: FlinkArguments) -> None:
    job = cluster.job(arguments.job_name, arguments.job_id)
    if arguments.with_savepoint:
        _tell(job_id=job.id, savepoint=cluster.stop(job.id, arguments.savepoint_dir, arguments.timeout_s))
    else:
        cluster.cancel(job.id)
        _tell(job_id=job.id)
    cluster.await_end(job.id, arguments.timeout_s)  # until then nothing can be resumed


def _resume(cluster: Flink, arguments: FlinkArguments) -> None:
    cluster.require_none(arguments.job_name)
    jar_id = cluster.uploaded(jar_name(arguments.job_name))
    _tell(
        job_id=cluster.submit(jar_id, ENTRY_CLASS, parallelism=arguments.parallelism, savepoint=arguments.resume_from)
    )


def _tell(**facts: str) -> None:
    print(json.dumps(facts), flush=True)


_ACTIONS = {"status": _status, "savepoint": _savepoint, "stop": _stop, "resume": _resume}
