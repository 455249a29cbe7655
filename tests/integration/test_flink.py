"""The job on a real Flink cluster: submitted, stopped with a savepoint, resumed otherwise, upgraded."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

from confluent_kafka import Message

from pipeline.flink_rest import ENTRY_CLASS, Flink
from pipeline.settings import GraphSettings
from pipeline.site import load_site
from runners.direct.broker import Broker
from runners.faults.reference import reference
from runners.processes import Child, wait_until
from runners.trial.tap import kafka_record
from tests.integration.conftest import (
    DEMO,
    HAND_MADE,
    ROOT,
    TAG,
    ReadTopic,
    RunOnFlink,
    Topics,
    publish,
    start_worker_pool,
)
from tests.integration.test_pipeline import caused, fixes_by_id, parsed, simulate


def values(messages: list[Message]) -> Counter[bytes]:
    return Counter(message.value() for message in messages)


def test_stopped_with_a_savepoint_and_resumed_wider_loses_and_doubles_nothing(
    broker: Broker,
    topics: Topics,
    run_on_flink: RunOnFlink,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    simulator = simulate(broker, topics, tmp_path, "--tags=20", "--duration=40", "--lost-share=0.1")
    run_on_flink.children.start(simulator)
    run = run_on_flink(DEMO, "--parallelism=1")
    read_topic(topics.positions, lambda found: len(found) >= 60, 90, check=run.check)

    stopped = run_on_flink.command("stop", "--with-savepoint")
    savepoint = stopped["savepoint"]
    assert run.wait(30) == 0
    resumed = run_on_flink.command("resume", f"--from={savepoint}", "--parallelism=2")["job_id"]
    assert simulator.wait(90) == 0

    data = read_topic(topics.data, lambda found: len(found) >= caused(simulator)["records"], 30)
    settings = GraphSettings(data_topic=topics.data, strict=True)
    records = [kafka_record(message) for message in data]
    expected_positions, expected_rejected = reference(records, load_site(DEMO), settings, tmp_path)
    positions = read_topic(topics.positions, lambda found: len(found) >= len(expected_positions), 90, settle_s=3)
    rejected = read_topic(topics.rejected, lambda found: len(found) >= len(expected_rejected), 90, settle_s=1)
    assert values(positions) == Counter(expected_positions)
    assert values(rejected) == Counter(expected_rejected)
    before, after = (run_on_flink.flink.vertices(job) for job in (stopped["job_id"], resumed))
    assert {vertex["parallelism"] for vertex in after} == {2}
    assert {vertex["id"] for vertex in after} == {vertex["id"] for vertex in before}  # by these it finds its state


def test_resumed_with_changed_code_outside_the_stateful_stage(
    broker: Broker,
    topics: Topics,
    run_on_flink: RunOnFlink,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    """Two readings before the upgrade and one after it make one position, which the new code has written."""
    publish(broker, topics.data, [*HAND_MADE[:2]])
    patient = ("--mode=three", "--max-reading-age=300", "--tag-expiry=600")
    old = run_on_flink(DEMO, *patient)
    wait_until_running(run_on_flink.flink, run_on_flink.job_name, old)
    wait_until_read(run_on_flink.flink, run_on_flink.job_name, old)
    savepoint = run_on_flink.command("stop", "--with-savepoint")["savepoint"]

    code = tmp_path / "code"
    shutil.copytree(ROOT / "pipeline", code / "pipeline")
    replace(code / "pipeline/wire/encode.py", '"fix_id":', '"code": "new",\n        "fix_id":')
    replace(
        code / "pipeline/graph.py",
        '| "WritePositions"',
        '| "AddedStage" >> beam.Map(lambda packed: packed).with_output_types(bytes) | "WritePositions"',
    )
    _, pool = start_worker_pool(run_on_flink.children, tmp_path, code)
    new = run_on_flink(DEMO, *patient, f"--savepoint={savepoint}", f"--worker-pool={pool}", code=code)
    publish(broker, topics.data, [HAND_MADE[2]])
    (message,) = read_topic(topics.positions, lambda found: len(found) >= 1, 180, settle_s=2, check=new.check)
    position = json.loads(message.value())
    assert position["records"] == [[0, 0], [0, 1], [0, 2]]
    assert position["code"] == "new"


def test_a_first_start_honours_latest(
    broker: Broker, topics: Topics, run_on_flink: RunOnFlink, read_topic: ReadTopic
) -> None:
    publish(broker, topics.data, [*HAND_MADE])
    run = run_on_flink(DEMO, offset="latest")
    wait_until_running(run_on_flink.flink, run_on_flink.job_name, run)
    publish(broker, topics.data, [*HAND_MADE])
    (message,) = read_topic(topics.positions, lambda found: len(found) >= 1, 180, settle_s=2, check=run.check)
    assert json.loads(message.value())["records"] == [[0, 3], [0, 4], [0, 5]]


def test_a_failure_before_the_first_checkpoint_starts_again_where_the_run_was_started(
    broker: Broker, topics: Topics, run_on_flink: RunOnFlink, read_topic: ReadTopic, tmp_path: Path
) -> None:
    """On three partitions, of which two never see a record."""
    wide = dataclasses.replace(topics, data=f"{topics.data}-wide")
    broker.create_topics([wide.data], partitions=3)
    publish(broker, wide.data, [*HAND_MADE])  # before the start, so not for us
    pool, address = start_worker_pool(run_on_flink.children, tmp_path)
    start = dataclasses.replace(run_on_flink, topics=wide)
    run = start(DEMO, "--checkpoint-interval=3600", f"--worker-pool={address}", offset="latest")
    wait_until_running(start.flink, start.job_name, run)
    first, second = (
        [value.replace(TAG.encode(), tag.encode()) for value in HAND_MADE]
        for tag in ("0003FF0000010000", "0003FF0000020000")
    )
    publish(broker, wide.data, [*first])
    read_topic(wide.positions, lambda found: len(found) >= 1, 180, check=run.check)

    for worker in pool.followers():
        os.kill(worker, signal.SIGKILL)
    publish(broker, wide.data, [*second])
    messages = read_topic(wide.positions, lambda found: len({one.key() for one in found}) >= 2, 180, check=run.check)
    fixes = fixes_by_id(parsed(messages))
    assert {fix["tagid"] for fix in fixes.values()} == {"0003FF0000010000", "0003FF0000020000"}
    assert len(fixes) == 2
    assert len(messages) >= 3  # the first came again
    start.flink.cancel(start.flink.job(start.job_name).id)


def test_a_portable_jar_runs_where_it_is_submitted(
    broker: Broker, topics: Topics, run_on_flink: RunOnFlink, read_topic: ReadTopic, tmp_path: Path
) -> None:
    """As Kubernetes runs it: built without Kafka, Flink or the site map in sight."""
    jar, site = tmp_path / "job.jar", tmp_path / "mounted" / "site.yaml"
    built = run_on_flink(site, f"--output-jar={jar}")
    assert built.wait(120) == 0
    site.parent.mkdir()
    shutil.copy(DEMO, site)
    publish(broker, topics.data, [*HAND_MADE])

    flink = run_on_flink.flink
    job_id = flink.submit(flink.upload(jar, "built.jar"), ENTRY_CLASS, parallelism=1, savepoint=None)
    (message,) = read_topic(topics.positions, lambda found: len(found) >= 1, 180, settle_s=2)
    assert message.key() == TAG.encode()
    assert flink.job(run_on_flink.job_name).id == job_id


def test_ctrl_c_cancels_the_job(run_on_flink: RunOnFlink) -> None:
    run = run_on_flink(DEMO)
    job = wait_until_running(run_on_flink.flink, run_on_flink.job_name, run)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGINT)
    assert run.wait(60) == 0
    assert run_on_flink.flink.state(job) == "CANCELED"
    assert "Traceback" not in run.log.read_text(encoding="utf-8")


def wait_until_running(flink: Flink, job_name: str, run: Child) -> str:
    """Wait until all tasks of the job run and return its id."""

    def running() -> bool:
        jobs = flink.running(job_name)
        return bool(jobs) and flink.is_at_work(jobs[0].id)

    wait_until(running, 180, "the job runs", run.check)
    return flink.job(job_name).id


def wait_until_read(flink: Flink, job_name: str, run: Child) -> None:
    """Wait for two checkpoints that began after now: the second knows what was published before."""
    job = flink.job(job_name).id
    completed = flink.checkpoints(job)["counts"]["completed"]
    wait_until(lambda: flink.checkpoints(job)["counts"]["completed"] >= completed + 2, 120, "checkpoints", run.check)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
