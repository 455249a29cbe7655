"""Publishing, against the broker that librdkafka brings along for tests: it speaks Kafka's protocol over a socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline.commands import main, simulate_kafka
from pipeline.wire.message_pb2 import AnchorAlive, AnchorData
from runners.processes import wait_until

DEMO_FILE = Path(__file__).parent.parent / "anchors" / "demo.yaml"


@pytest.fixture
def site() -> str:
    return str(DEMO_FILE)


@pytest.fixture
def broker() -> Iterator[str]:
    owner = Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": "1", "log_level": "0"})
    (found,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{found.host}:{found.port}"
    owner.flush(0)


def new_consumer(broker: str) -> Consumer:
    return Consumer({"bootstrap.servers": broker, "group.id": "test", "auto.offset.reset": "earliest"})


def places_of(consumer: Consumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic).topics[topic].partitions]


def held(consumer: Consumer, places: list[TopicPartition]) -> int:
    return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)


def await_records(broker: str, topic: str) -> None:
    """Wait until the topic holds something."""
    consumer = new_consumer(broker)
    try:
        wait_until(lambda: held(consumer, places_of(consumer, topic)) > 0, 30.0, f"records in {topic}", lambda: None)
    finally:
        consumer.close()


def consume(broker: str, topic: str) -> list[Any]:
    consumer = new_consumer(broker)
    try:
        places = places_of(consumer, topic)
        expected = held(consumer, places)
        consumer.assign(places)
        messages: list[Any] = []
        while len(messages) < expected:
            got = consumer.consume(num_messages=expected - len(messages), timeout=5)
            assert got, f"{len(messages)} of {expected} records read from {topic}"
            messages.extend(got)
        return messages
    finally:
        consumer.close()


def test_everything_counted_is_in_kafka_and_the_truth_names_its_place(
    site: str,
    broker: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = ("--duration", "5", "--speedup", "0", "--truth-topic", "truth", "--tags-per-record", "many")
    assert main(["simulate", "--anchors", site, "--bootstrap-servers", broker, *options]) == 0
    totals = json.loads(capfd.readouterr().out)

    data, alive, truth = (consume(broker, topic) for topic in ("packet_data", "packet_alive", "truth"))
    assert (len(data), len(alive), len(truth)) == (totals["records"], totals["heartbeats"], totals["readings"])
    assert {message.key() for message in data + alive} == {b"protobuf"}
    assert {AnchorAlive.FromString(message.value()).anchor_id for message in alive} == {"A0", "A1", "A2"}

    told = {
        (t["partition"], t["offset"], t["anchorid"], t["tagid"]) for t in map(json.loads, (m.value() for m in truth))
    }
    sent: set[tuple[int, int, str, str]] = set()
    for message in data:
        record = AnchorData.FromString(message.value())
        sent.update((message.partition(), message.offset(), record.anchor_id, tag) for tag in record.tags)
    assert told == sent
    assert all(json.loads(message.value())["tagid"].encode() == message.key() for message in truth)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_with_everything_flushed(site: str, broker: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "pipeline", "simulate", "--anchors", site, "--bootstrap-servers", broker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "Ctrl-C ends it" in process.stderr.readline()
        await_records(broker, "packet_data")
        assert process.poll() is None
        process.send_signal(number)
        printed, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert complaints == ""
    totals = json.loads(printed)
    assert len(consume(broker, "packet_data")) == totals["records"] > 0


def test_no_kafka_is_a_clear_error(
    site: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(simulate_kafka, "REACH_KAFKA_S", 0.3)
    assert main(["simulate", "--anchors", site, "--bootstrap-servers", "localhost:1"]) == 1
    printed = capsys.readouterr()
    assert "no Kafka at localhost:1" in printed.err
    assert not printed.out


def test_a_store_that_this_client_cannot_read_is_refused(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--kafka-property", "ssl.truststore.location=store.jks")
    with pytest.raises(SystemExit) as end:
        main(["simulate", "--anchors", site, "--bootstrap-servers", "localhost:1", *options])
    assert end.value.code == 2
    assert "--kafka-property: ssl.truststore.location is a JKS store" in capsys.readouterr().err


def test_a_value_that_the_client_refuses_is_a_clear_error(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--kafka-property", "security.protocol=carrier-pigeon")
    assert main(["simulate", "--anchors", site, "--bootstrap-servers", "localhost:1", *options]) == 1
    told = capsys.readouterr().err
    assert "the Kafka client cannot be made: " in told
    assert "carrier-pigeon" in told
