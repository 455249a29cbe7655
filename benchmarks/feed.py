"""How the readings come to Kafka: all at once, for a backlog, or so many a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from benchmarks.workload import KEY, Workload

if TYPE_CHECKING:
    from typing_extensions import Self

_TICK_S = 0.005
_FLUSH_S = 60.0
_AT_ONCE, _ROOM = 10_000, 1_000_000
"""Records handed to Kafka's client in one call, and how many it may hold."""


class FeedError(RuntimeError):
    """The readings did not reach Kafka, or not as fast as they should."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Where readings go: tags are dealt to the partitions in turn."""

    bootstrap_servers: str
    name: str
    partitions: int = 1
    lasts: bool = False
    """Whether it is read more than once."""


def fill(topic: Topic, workload: Workload) -> None:
    """Produce all blinks as fast as can be, as if they had been measured up to now.

    Raises:
        FeedError: Kafka did not take them all.
    """
    producer = _producer(topic, linger_ms=20)
    begin_us = time.time_ns() // 1000 - workload.blinks * workload.interval_us
    for blink in range(workload.blinks):
        records = workload.records(blink, begin_us + blink * workload.interval_us)
        while some := [
            {"value": value, "key": KEY, "partition": tag % topic.partitions}
            for tag, value in islice(records, _AT_ONCE)
        ]:
            while len(producer) > _ROOM - _AT_ONCE:
                producer.poll(0.05)
            queued = producer.produce_batch(topic.name, some)
            if queued < len(some):
                raise FeedError(f"Kafka's client took {queued} of {len(some)} readings")
    _flush(producer)


class Stream:
    """Readings that come at the rate that a workload's times tell, beside whatever is done within the ``with``.

    The tags blink one after the other, evenly spread over the interval. It ends with the workload or the ``with``.
    """

    def __init__(self, topic: Topic, workload: Workload) -> None:
        self.sent = 0
        """How many readings were handed to Kafka's client."""
        self._topic = topic
        self._workload = workload
        self._done = threading.Event()
        self._error: FeedError | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            producer = _producer(self._topic, linger_ms=0)
            for tag, value in self._paced():
                producer.poll(0)
                _produce(producer, self._topic, tag, value)
                self.sent += 1
            _flush(producer)
        except FeedError as error:
            self._error = error

    def _paced(self) -> Iterator[tuple[int, bytes]]:
        """Give each record when its time has come."""
        workload = self._workload
        each_s = workload.interval_us / 1e6 / (workload.tags * workload.anchors)
        begin_us, began_s = time.time_ns() // 1000, time.monotonic()
        for blink in range(workload.blinks):
            for tag, value in workload.records(blink, begin_us + blink * workload.interval_us):
                while self.sent * each_s > time.monotonic() - began_s and not self._done.is_set():
                    self._done.wait(_TICK_S)
                if self._done.is_set():
                    return
                yield tag, value


def _producer(topic: Topic, *, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": topic.bootstrap_servers,
            "linger.ms": linger_ms,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": _ROOM,
            "acks": "all",
            "enable.idempotence": True,  # nothing twice, and nothing out of order
            "log_level": 0,
        }
    )


def _produce(producer: Producer, topic: Topic, tag: int, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic.name, value, KEY, tag % topic.partitions)
        except BufferError:
            producer.poll(0.05)
        else:
            return


def _flush(producer: Producer) -> None:
    left = producer.flush(_FLUSH_S)
    if left:
        raise FeedError(f"{left} readings did not reach Kafka within {_FLUSH_S:g} s")
