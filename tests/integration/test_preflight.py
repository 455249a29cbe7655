"""What is settled with Kafka before a run."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError  # noqa: A004  (Python 3.10 has one of its own)

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from pipeline.commands.preflight import main
from pipeline.preflight import PreflightError, preflight, require_service
from pipeline.settings import KafkaSettings
from runners.direct.broker import Broker
from tests.integration.conftest import Topics


@pytest.fixture
def settings(broker: Broker, topics: Topics) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        output_bootstrap_servers=broker.bootstrap_servers,
        group_id=f"group-{topics.data}",
        data_topic=topics.data,
        alive_topic=topics.alive,
        positions_topic=topics.positions,
        rejected_topic=topics.rejected,
        out_alive_topic=topics.deaths,
        events_topic=topics.events,
    )


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that is bound, but where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def fill(settings: KafkaSettings, records: int) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for number in range(records):
        producer.produce(settings.data_topic, str(number))
    assert producer.flush(30) == 0


def committed(settings: KafkaSettings) -> int:
    consumer = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": settings.group_id})
    try:
        (partition,) = consumer.committed([TopicPartition(settings.data_topic, 0)], timeout=10)
        offset: int = partition.offset
        return offset
    finally:
        consumer.close()


def test_the_start_is_committed_once_and_kept(settings: KafkaSettings) -> None:
    fill(settings, 5)
    preflight(settings)
    assert committed(settings) == 5
    fill(settings, 5)
    preflight(dataclasses.replace(settings, offset="committed"))
    assert committed(settings) == 5
    preflight(dataclasses.replace(settings, offset="latest"))
    assert committed(settings) == 10
    preflight(dataclasses.replace(settings, offset="earliest"))
    assert committed(settings) == 0


def test_a_group_that_never_started_starts_at_the_end(settings: KafkaSettings) -> None:
    fill(settings, 3)
    preflight(dataclasses.replace(settings, offset="committed"))
    assert committed(settings) == 3


def test_a_missing_topic_is_named(settings: KafkaSettings) -> None:
    with pytest.raises(PreflightError, match="no topic 'elsewhere'"):
        preflight(dataclasses.replace(settings, positions_topic="elsewhere"))


def test_a_broker_out_of_reach_is_named(settings: KafkaSettings, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.preflight._TIMEOUT_S", 0.5)
    with pytest.raises(PreflightError, match=f"no Kafka broker answers at {nobody}"):
        preflight(dataclasses.replace(settings, bootstrap_servers=nobody))


def test_an_expansion_service_out_of_reach_is_named(nobody: str) -> None:
    with pytest.raises(PreflightError, match=f"no expansion service answers at {nobody}: .*refused"):
        require_service(nobody)


def test_a_run_that_resumes_has_its_own_start_and_commits_none(settings: KafkaSettings) -> None:
    fill(settings, 3)
    preflight(settings, resumes=True)
    assert committed(settings) == OFFSET_INVALID
    preflight(dataclasses.replace(settings, offset="earliest"))
    fill(settings, 3)
    preflight(settings, resumes=True)
    assert committed(settings) == 0


def test_a_run_that_resumes_is_checked_all_the_same(settings: KafkaSettings) -> None:
    with pytest.raises(PreflightError, match="no topic 'elsewhere'"):
        preflight(dataclasses.replace(settings, positions_topic="elsewhere"), resumes=True)
    with pytest.raises(PreflightError, match="expected LogAppendTime"):
        preflight(dataclasses.replace(settings, data_topic=create_time_topic(settings)), resumes=True)


def command(settings: KafkaSettings, *more: str) -> int:
    return main(
        [
            f"--bootstrap-servers={settings.bootstrap_servers}",
            f"--group-id={settings.group_id}",
            f"--data-topic={settings.data_topic}",
            f"--positions-topic={settings.positions_topic}",
            f"--rejected-topic={settings.rejected_topic}",
            f"--alive-topic={settings.alive_topic}",
            f"--out-alive-topic={settings.out_alive_topic}",
            f"--events-topic={settings.events_topic}",
            *more,
        ]
    )


def test_the_command_commits_where_a_first_start_reads_from(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(settings, 4)
    assert command(settings) == 0
    assert committed(settings) == 4
    fill(settings, 4)
    assert command(settings, "--offset=committed") == 0
    assert committed(settings) == 4
    assert command(settings, "--offset=earliest") == 0
    assert committed(settings) == 0
    assert capsys.readouterr().out == ""


def test_the_command_tells_what_is_wrong_and_commits_nothing(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(settings, "--rejected-topic=elsewhere") == 1
    assert "beam-rtls preflight: no topic 'elsewhere' at" in capsys.readouterr().err
    assert command(settings, "--kafka-property=ssl.truststore.location=store.jks") == 1
    assert "beam-rtls preflight: ssl.truststore.location is a JKS store" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        command(settings, "--offset=newest")
    assert end.value.code == 2
    assert committed(settings) == OFFSET_INVALID


def test_the_command_waits_for_a_topic_that_is_still_to_come(broker: Broker, settings: KafkaSettings) -> None:
    later = dataclasses.replace(settings, positions_topic=f"{settings.positions_topic}-later")
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(command, later, "--start-wait=60")
        with pytest.raises(TimeoutError):
            done.result(0.5)
        broker.create_topics([later.positions_topic])
        assert done.result(60) == 0


def create_time_topic(settings: KafkaSettings) -> str:
    name = f"{settings.data_topic}-create-time"
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    topic = NewTopic(name, 1, 1, config={"message.timestamp.type": "CreateTime"})
    admin.create_topics([topic], operation_timeout=10)[name].result(10)
    return name


def test_a_topic_with_create_time_is_refused_with_the_remedy(settings: KafkaSettings) -> None:
    name = create_time_topic(settings)
    with pytest.raises(PreflightError, match=r"has message.timestamp.type=CreateTime; expected LogAppendTime.*--alter"):
        preflight(dataclasses.replace(settings, data_topic=name))


def test_records_from_before_the_topic_was_set_right_are_refused_with_the_remedy(settings: KafkaSettings) -> None:
    altered = dataclasses.replace(settings, data_topic=create_time_topic(settings))
    fill(altered, 3)
    set_append_time(altered)
    with pytest.raises(PreflightError, match=r"partition 0 offset 0 was written before.*start with --offset latest"):
        preflight(dataclasses.replace(altered, offset="earliest"))
    preflight(dataclasses.replace(altered, offset="latest"))
    assert committed(altered) == 3


def set_append_time(settings: KafkaSettings) -> None:
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, settings.data_topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    admin.incremental_alter_configs([topic])[topic].result(10)
