"""Publishing a play to Kafka, at the pace of the play, with the truth behind each data record where asked for."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import orjson
from confluent_kafka import KafkaException, Producer
from tqdm import tqdm

from pipeline.commands.simulate_arguments import KafkaTarget
from pipeline.kafka_client import client_config
from pipeline.simulation.events import AnchorRecord, Heartbeat
from pipeline.simulation.pacing import Pace
from pipeline.simulation.scene import Event, Scene
from pipeline.simulation.totals import Totals
from pipeline.wire.anchor_data import encode_anchor_alive, encode_anchor_data

RECORD_KEY = b"protobuf"
REACH_KAFKA_S = 10.0
FLUSH_S = 30.0
LONGEST_WAIT_S = 0.2


class SimulationError(Exception):
    """Kafka failed while publishing."""


def tell(text: str) -> None:
    """Say something on standard error, above the progress bar if there is one."""
    tqdm.write(f"beam-rtls simulate: {text}", file=sys.stderr)


def publish(
    target: KafkaTarget,
    scene: Scene,
    events: Iterable[Event],
    totals: Totals,
    is_stopped: Callable[[], bool],
) -> None:
    """Publish the events when they are due and count them; returns early, but flushed, where it is stopped.

    Raises:
        SimulationError: Kafka is not there, or failed.
        UnsupportedPropertyError: a Kafka property that this client does not know.
    """
    publisher = Publisher(target, is_stopped)
    tell(f"{totals.tags} tags to {target.data_topic} at {target.bootstrap_servers}; Ctrl-C ends it")
    pace = Pace(target.speedup)
    began_s = time.monotonic()
    for event in events:
        simulated_s = (event.sent_at_us - scene.start_us) / 1e6
        elapsed_s = time.monotonic() - began_s
        complaint = pace.complaint(pace.wait_s(simulated_s, elapsed_s), elapsed_s)
        if complaint is not None:
            tell(complaint)
        while not is_stopped() and (wait_s := pace.wait_s(simulated_s, time.monotonic() - began_s)) > 0:
            publisher.serve(min(wait_s, LONGEST_WAIT_S))
        if is_stopped():
            break
        if publisher.publish(event):
            totals.add(event)
    publisher.close()


class Publisher:
    """Publishes events; the truth follows each data record once Kafka has told where it lies."""

    def __init__(self, target: KafkaTarget, is_stopped: Callable[[], bool]) -> None:
        """Connect.

        Raises:
            SimulationError: no broker answers, or a property has a value that the client refuses.
            UnsupportedPropertyError: a Kafka property that this client does not know.
        """
        self._target = target
        self._is_stopped = is_stopped
        self._delivered: deque[tuple[AnchorRecord, int, int, int]] = deque()
        self._failure: str | None = None
        self._complaints: set[str] = set()
        config = client_config(target.bootstrap_servers, target.properties)
        config.update({"acks": "all", "enable.idempotence": "true", "linger.ms": "5", "log_level": "0"})
        try:
            self._producer = Producer(config, error_cb=self._complain)
        except KafkaException as error:
            raise SimulationError(f"the Kafka client cannot be made: {error.args[0].str()}") from error
        try:
            self._producer.list_topics(timeout=REACH_KAFKA_S)
        except KafkaException as error:
            raise SimulationError(f"no Kafka at {target.bootstrap_servers}: {error.args[0].str()}") from error

    def publish(self, event: Event) -> bool:
        """Publish one event, waiting while the client's queue is full; False where it was not for being stopped."""
        if isinstance(event, Heartbeat):
            value = encode_anchor_alive(event.anchor_id, event.stamped_us)
            return self._produce(self._target.alive_topic, value, self._note)
        tags = {reading.tag_id: reading for reading in event.readings}
        value = encode_anchor_data(event.anchor_id, event.stamped_us, tags)
        note = self._note if self._target.truth_topic is None else partial(self._note, record=event)
        return self._produce(self._target.data_topic, value, note)

    def serve(self, wait_s: float) -> None:
        """Let the client work for some time, and publish the truth of what has arrived.

        Raises:
            SimulationError: Kafka refused a record, or did not take it in time.
        """
        self._producer.poll(wait_s)
        if self._failure is not None:
            raise SimulationError(self._failure)
        while self._delivered and self._target.truth_topic is not None:
            for key, value in encode_truth(*self._delivered.popleft()):
                while not self._has_taken(self._target.truth_topic, key, value, self._note):
                    self._producer.poll(LONGEST_WAIT_S)

    def close(self) -> None:
        """Wait until everything has arrived.

        Raises:
            SimulationError: something has not.
        """
        deadline_s = time.monotonic() + FLUSH_S
        self.serve(0)
        while (waiting := self._producer.flush(LONGEST_WAIT_S)) or self._delivered:
            self.serve(0)
            if time.monotonic() > deadline_s:
                raise SimulationError(f"{waiting} records have not reached Kafka within {FLUSH_S:g} s")
        self.serve(0)

    def _produce(self, topic: str, value: bytes, note: Callable[..., None]) -> bool:
        while not self._has_taken(topic, RECORD_KEY, value, note):
            if self._is_stopped():
                return False
            self.serve(LONGEST_WAIT_S)
        self.serve(0)
        return True

    def _has_taken(self, topic: str, key: bytes, value: bytes, note: Callable[..., None]) -> bool:
        """Hand a record to the client; False where its queue is full."""
        try:
            self._producer.produce(topic, value, key, on_delivery=note)
        except BufferError:
            return False
        except KafkaException as error:
            raise SimulationError(f"a record for {topic} was not taken: {error.args[0].str()}") from error
        return True

    def _complain(self, error: Any) -> None:
        if error.str() not in self._complaints:  # it comes again with every attempt to connect
            self._complaints.add(error.str())
            tell(error.str())

    def _note(self, error: Any, message: Any, record: AnchorRecord | None = None) -> None:
        if error is not None:
            self._failure = self._failure or f"a record for {message.topic()} was not taken: {error.str()}"
        elif record is not None:
            self._delivered.append((record, message.partition(), message.offset(), message.timestamp()[1]))


def encode_truth(
    record: AnchorRecord,
    partition: int,
    offset: int,
    kafka_time_ms: int,
) -> Iterator[tuple[bytes, bytes]]:
    """Return key (the tag id as on the wire) and JSON for each tag of a data record that lies at this place in Kafka.

    ``t`` is the true instant of the ranging in seconds since 1970; x, y and z are metres.
    """
    for reading in record.readings:
        value = {
            "tagid": reading.tag_id,
            "anchorid": record.anchor_id,
            "partition": partition,
            "offset": offset,
            "kafka_time_ms": kafka_time_ms,
            "t": reading.measured_at_us / 1e6,
            "x": reading.x_m,
            "y": reading.y_m,
            "z": reading.z_m,
        }
        yield reading.tag_id.encode(), orjson.dumps(value)
