"""The whole pipeline on real Kafka, through Prism: bytes in, JSON out, read by clients that are not ours."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Message

from pipeline.wire.message_pb2 import AnchorData, TagData
from runners.direct.broker import Broker
from runners.processes import Child, wait_until
from tests.integration.conftest import DEMO, HAND_MADE, SIMULATED_REASONS, TAG, ReadTopic, RunPipeline, Topics, publish


def parsed(messages: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(message.value()) for message in messages]


def test_three_hand_made_records_among_noise_give_one_position(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    dice = random.Random(1)
    noise = [dice.randbytes(dice.randrange(1, 80)) for _ in range(10_000)]
    values: list[bytes | None] = [*noise[:4000], HAND_MADE[0], *noise[4000:5000], HAND_MADE[1], *noise[5000:6000]]
    # What is refused for its size, or swells when it is written down, does not stop the job either.
    bloated = AnchorData(anchor_id="\x01" * 110_000, tags={TAG: TagData(distance=1.0)}).SerializeToString()
    values += [HAND_MADE[2], *noise[6000:], None, b"\xff" * 900_000, bloated]
    publish(broker, topics.data, values)
    child = run_pipeline(DEMO)

    rejected = parsed(read_topic(topics.rejected, lambda found: len(found) >= 10_003, 120, check=child.check))
    positions = read_topic(topics.positions, lambda found: len(found) >= 1, 60, settle_s=5, check=child.check)

    (message,) = positions
    assert message.key() == TAG.encode()
    position = json.loads(message.value())
    assert list(position)[:5] == ["tagid", "x", "y", "detached", "battery_low"]
    assert position["tagid"] == TAG
    assert math.dist((position["x"], position["y"]), (1.0, 1.0)) < 1e-5
    assert (position["detached"], position["battery_low"]) == (False, False)
    assert position["timestamp_generated"] == "2024-04-16T20:40:00.000Z"
    assert position["records"] == [[0, 4000], [0, 5001], [0, 6002]]
    assert len(rejected) == 10_003
    assert {value["reason"] for value in rejected} <= {"undecodable", "no_tags", "bad_anchor_id"}
    assert len({value["offset"] for value in rejected}) == 10_003


def simulate(broker: Broker, topics: Topics, tmp_path: Path, *flags: str) -> Child:
    arguments = [
        f"--anchors={DEMO}",
        f"--bootstrap-servers={broker.bootstrap_servers}",
        f"--data-topic={topics.data}",
        f"--alive-topic={topics.alive}",
        f"--truth-topic={topics.truth}",
        *flags,
    ]
    argv = [sys.executable, "-m", "pipeline", "simulate", *arguments]
    return Child("beam-rtls simulate", argv, tmp_path / "simulate.log", may_end=True)


def caused(simulator: Child) -> dict[str, int]:
    """What the simulator says it has done: the last line that it printed."""
    result: dict[str, int] = json.loads(simulator.log.read_text(encoding="utf-8").splitlines()[-1])
    return result


def ended(positions: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> Counter[tuple[int, str]]:
    """How often each reading, by offset and tag, was named by a fix or a rejection; repeats of either count once."""
    fixes = {position["fix_id"]: position for position in positions}
    names = Counter((offset, fix["tagid"]) for fix in fixes.values() for _, offset in fix["records"])
    names.update({(value["offset"], value["tagid"]) for value in rejected})
    return names


def wait_until_all_ended(
    read_topic: ReadTopic,
    topics: Topics,
    readings: int,
    pipeline: Child,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return positions and rejections once they name so many readings."""
    found: list[list[dict[str, Any]]] = []

    def all_ended() -> bool:
        found[:] = [
            parsed(read_topic(topic, lambda _: True, 60, settle_s=0.7, check=pipeline.check))
            for topic in (topics.positions, topics.rejected)
        ]
        return len(ended(*found)) >= readings

    wait_until(all_ended, 120, "every reading has ended", pipeline.check)
    return found[0], found[1]


def test_a_simulated_site_is_positioned_truly_and_every_reading_is_accounted_for(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    pipeline = run_pipeline(DEMO)
    simulator = simulate(broker, topics, tmp_path, "--tags=8", "--duration=25")
    run_pipeline.children.start(simulator)
    assert simulator.wait(90) == 0
    readings = caused(simulator)["readings"]

    positions, rejected = wait_until_all_ended(read_topic, topics, readings, pipeline)
    names = ended(positions, rejected)
    assert len(names) == readings
    assert set(names.values()) == {1}
    assert {value["reason"] for value in rejected} <= SIMULATED_REASONS

    truths = {
        (truth["offset"], truth["tagid"]): truth
        for truth in parsed(read_topic(topics.truth, lambda found: len(found) >= readings, 60))
    }
    errors_m = []
    for position in positions:
        newest = max((truths[offset, position["tagid"]] for _, offset in position["records"]), key=lambda one: one["t"])
        errors_m.append(math.dist((position["x"], position["y"]), (newest["x"], newest["y"])))
    assert {position["tagid"] for position in positions} == {truth["tagid"] for truth in truths.values()}
    assert np.median(errors_m) < 0.30


def test_killed_and_restarted_gives_the_same_fixes(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    simulator = simulate(broker, topics, tmp_path, "--tags=8", "--duration=30", "--lost-share=0.1")
    first = run_pipeline(DEMO, group_id="interrupted", offset="earliest")
    run_pipeline.children.start(simulator)
    read_topic(topics.positions, lambda found: len(found) >= 20, 60, check=first.check)
    first.kill()
    assert simulator.wait(90) == 0
    readings = caused(simulator)["readings"]
    second = run_pipeline(DEMO, group_id="interrupted", offset="committed")
    broken = fixes_by_id(wait_until_all_ended(read_topic, topics, readings, second)[0])
    second.stop()

    whole = dataclasses.replace(topics, positions=f"{topics.positions}-whole", rejected=f"{topics.rejected}-whole")
    broker.create_topics([whole.positions, whole.rejected])
    third = dataclasses.replace(run_pipeline, topics=whole)(DEMO, group_id="whole", offset="earliest")
    unbroken = fixes_by_id(wait_until_all_ended(read_topic, whole, readings, third)[0])
    assert len(unbroken) > 50
    assert broken == unbroken


def fixes_by_id(positions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fixes, and see that repeats are the same."""
    fixes: dict[str, dict[str, Any]] = {}
    for position in positions:
        assert fixes.setdefault(position["fix_id"], position) == position
    return fixes


def test_an_idle_partition_holds_back_no_tag(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    """Three partitions, as a cluster may have by default: with a constant record key two never see a record."""
    wide = dataclasses.replace(topics, data=f"{topics.data}-wide")
    broker.create_topics([wide.data], partitions=3)
    publish(broker, wide.data, [*HAND_MADE])
    child = dataclasses.replace(run_pipeline, topics=wide)(DEMO)
    (message,) = read_topic(wide.positions, lambda found: len(found) >= 1, 60, check=child.check)
    assert message.key() == TAG.encode()


def test_a_kafkajs_consumer_reads_positions_as_the_bridge_does(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    publish(broker, topics.data, [*HAND_MADE])
    child = run_pipeline(DEMO)
    (message,) = read_topic(topics.positions, lambda found: len(found) >= 1, 90, check=child.check)
    bridge = subprocess.run(
        ["node", "bridge.mjs", broker.bootstrap_servers, topics.positions, "1", "40"],
        cwd=Path(__file__).parent / "bridge",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    emitted = json.loads(bridge.stdout.splitlines()[-1])
    assert emitted == {"event": TAG, "raw": message.value().decode()}


def test_ctrl_c_in_a_terminal_ends_the_run_cleanly(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    """A terminal's Ctrl-C reaches the whole process group, and with it the engine."""
    child = at_work(broker, topics, run_pipeline, read_topic)
    assert child.pid is not None
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(30) == 0
    assert "Traceback" not in child.log.read_text(encoding="utf-8")


def test_a_run_whose_engine_heeds_ctrl_c_first_ends_cleanly(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    """On a busy machine the engine is gone before the run's own handler has had its turn."""
    child = at_work(broker, topics, run_pipeline, read_topic)
    assert child.pid is not None
    engine = engine_of(child)
    os.kill(engine, signal.SIGINT)
    wait_until(lambda: engine not in child.followers(), 30, "the engine ends", child.check)
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(30) == 0
    assert "Traceback" not in child.log.read_text(encoding="utf-8")


def test_a_run_whose_engine_dies_fails_and_says_so(
    broker: Broker,
    topics: Topics,
    run_pipeline: RunPipeline,
    read_topic: ReadTopic,
) -> None:
    child = at_work(broker, topics, run_pipeline, read_topic)
    os.kill(engine_of(child), signal.SIGKILL)
    assert child.wait(30) == 1
    told = child.log.read_text(encoding="utf-8")
    assert "the job ended by itself" in told
    assert "Traceback" in told


def at_work(broker: Broker, topics: Topics, run_pipeline: RunPipeline, read_topic: ReadTopic) -> Child:
    """A run that has given its first position."""
    publish(broker, topics.data, [*HAND_MADE])
    child = run_pipeline(DEMO)
    read_topic(topics.positions, lambda found: len(found) >= 1, 90, check=child.check)
    return child


def engine_of(child: Child) -> int:
    """The process of the engine that a run has started."""
    (engine,) = [pid for pid in child.followers() if "prism" in Path(f"/proc/{pid}/cmdline").read_text("utf-8")]
    return engine
