"""What topics hold: how much, which positions, and when Kafka appended each record."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError  # noqa: A004  (of its own in Python 3.10)
from typing import NamedTuple

import orjson
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

_TIMEOUT_S = 20.0
_RETRY_S = 0.1
_BATCH = 10_000


class Position(NamedTuple):
    """A position as it stands in Kafka, and when it was appended there (ms since 1970)."""

    tag: str
    x_m: float
    y_m: float
    appended_ms: int
    newest: tuple[int, int] | None = None
    """Partition and offset of the last of the records that it was made of, where it names them."""


class TopicError(RuntimeError):
    """A topic does not hold what it should, or cannot be read."""


class Topics:
    """Reads topics of one broker that have one partition, from their beginning to where they end when asked."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._settings: dict[str, str | int | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 8_000_000,
            "log_level": 0,
        }
        self._looking = Consumer(self._settings)
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def close(self) -> None:
        """Let go of the broker."""
        self._looking.close()

    def delete(self, names: Sequence[str]) -> None:
        """Let go of topics, for the disk's sake; where that fails they stay."""
        for done in self._admin.delete_topics(list(names)).values() if names else ():
            with contextlib.suppress(KafkaException, TimeoutError):
                done.result(_TIMEOUT_S)

    def length(self, name: str) -> int:
        """Return how many records a topic has taken. One just created may not be known yet everywhere: that passes."""
        try:
            for attempt in _attempts():
                with attempt:
                    _, end = self._looking.get_watermark_offsets(TopicPartition(name, 0), _TIMEOUT_S, cached=False)
        except KafkaException as error:
            raise TopicError(f"the end of {name!r} cannot be found: {error}") from error
        return int(end)

    def positions(self, name: str) -> list[Position]:
        """Return all positions, in order.

        Raises:
            TopicError: what is there is none, or not stamped by Kafka.
        """
        positions = []
        for message in self._messages(name):
            try:
                told = orjson.loads(message.value() or b"")
                newest = max(map(tuple, told.get("records", ())), default=None)
                positions.append(
                    Position(told["tagid"], float(told["x"]), float(told["y"]), _appended_ms(message), newest)
                )
            except (ValueError, KeyError, TypeError) as error:
                raise TopicError(f"{name!r} holds {message.value()!r}, which is no position: {error}") from error
        return positions

    def appended_ms(self, name: str) -> list[int]:
        """Return when each record was appended, in order."""
        return [_appended_ms(message) for message in self._messages(name)]

    def _messages(self, name: str) -> Iterator[Message]:
        end = self.length(name)
        consumer = Consumer(self._settings)
        try:
            consumer.assign([TopicPartition(name, 0, 0)])
            read = 0
            while read < end:
                messages = consumer.consume(min(_BATCH, end - read), timeout=_TIMEOUT_S)  # waits for so many
                if not messages:
                    raise TopicError(f"{name!r} gave nothing for {_TIMEOUT_S:g} s")
                for message in messages:
                    if message.error() is not None:
                        raise TopicError(f"{name!r} cannot be read: {message.error()}")
                    yield message
                    read = message.offset() + 1
        finally:
            consumer.close()


def _attempts() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(KafkaException),
        stop=stop_after_delay(_TIMEOUT_S),
        wait=wait_fixed(_RETRY_S),
        reraise=True,
    )


def _appended_ms(message: Message) -> int:
    kind, at_ms = message.timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        raise TopicError(f"{message.topic()!r} has records without the time of their append (LogAppendTime)")
    return int(at_ms)
