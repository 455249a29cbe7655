"""How the readings come to Kafka: all at once, for a backlog, or so many a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Producer

from benchmarks.workload import KEY, Workload

_TICK_S = 0.005
_FLUSH_S = 60.0


class FeedError(RuntimeError):
    """Kafka did not take the readings, or not at the rate asked for."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Where readings go: tags are dealt to the partitions in turn."""

    bootstrap_servers: str
    name: str
    partitions: int = 1
    lasts: bool = False
    """Whether it is read more than once."""


def fill(topic: Topic, workload: Workload, blinks: int | None = None) -> None:
    """Produce the first blinks, or all, as fast as can be, as if they had been measured up to now.

    Raises:
        FeedError: Kafka did not take them all.
    """
    producer = _producer(topic, linger_ms=20)
    blinks = workload.blinks if blinks is None else blinks
    begin_us = time.time_ns() // 1000 - blinks * workload.interval_us
    for blink in range(blinks):
        for tag, value in workload.records(blink, begin_us + blink * workload.interval_us):
            _produce(producer, topic, tag, value)
    _flush(producer)


def pace(topic: Topic, workload: Workload, first: int, check: Callable[[], None]) -> float:
    """Produce all blinks from the first on at the rate that their times tell, and return what came of it (readings/s).

    The tags blink one after the other, evenly spread over the interval. ``check`` is called now and then.

    Raises:
        FeedError: Kafka did not take them all. Whatever ``check`` raises.
    """
    producer = _producer(topic, linger_ms=0)
    each_s = workload.interval_us / 1e6 / (workload.tags * workload.anchors)
    begin_us, began_s, sent = time.time_ns() // 1000, time.monotonic(), 0
    for blink in range(first, workload.blinks):
        for tag, value in workload.records(blink, begin_us + (blink - first) * workload.interval_us):
            while sent * each_s > time.monotonic() - began_s:
                producer.poll(0)
                check()
                time.sleep(_TICK_S)
            _produce(producer, topic, tag, value)
            sent += 1
    took_s = time.monotonic() - began_s
    _flush(producer)
    return sent / took_s


def _producer(topic: Topic, *, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": topic.bootstrap_servers,
            "linger.ms": linger_ms,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 1_000_000,
            "acks": "all",
            "enable.idempotence": True,  # nothing twice, and nothing out of order
            "log_level": 3,
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
