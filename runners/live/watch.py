"""Follow the topics of a running pipeline, show them live, and return the summary."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, Message, TopicPartition
from google.protobuf.message import DecodeError

from pipeline.kafka_client import client_config
from pipeline.wire.message_pb2 import AnchorData
from runners.live.summary import Summary
from runners.live.table import live_display

LOOK_EVERY_S = 0.5
POLL_S = 0.1
BATCH = 1000
METADATA_TIMEOUT_S = 15.0
TRUTH_GRACE_S = 2.0

# The broker is away for a while; librdkafka keeps trying, and whoever started it is told by ``check``.
_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  (librdkafka's own names for its local errors)
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


class WatchError(RuntimeError):
    """The topics cannot be followed, or nothing comes, or what comes is not what it should be."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What to follow, and for how long.

    What the topics already hold is taken too, unless ``from_end``. ``duration_s`` counts from the first position; None
    goes on until stopped. The truth stands beside the data, where there is any.
    """

    bootstrap_servers: str
    output_bootstrap_servers: str
    data_topic: str = "packet_data"
    positions_topic: str = "out_data"
    rejected_topic: str = "out_rejected"
    truth_topic: str | None = "truth"
    duration_s: float | None = None
    first_position_timeout_s: float = 120.0
    from_end: bool = False


def watch(settings: WatchSettings, stopped: Callable[[], bool], check: Callable[[], None]) -> Summary:
    """Follow the topics until the duration is over or ``stopped()`` is true; return what was seen.

    At the end, positions whose truth is still on its way are given a moment.

    Args:
        settings: what to follow.
        stopped: asked about twice a second.
        check: called about twice a second; raises when a process that must run has died, and that ends the watch.

    Raises:
        WatchError: a topic does not exist, no position came in time, or a record cannot be read.
    """
    summary = Summary()
    with _consumers(settings) as consumers, live_display() as show:
        began_s = look_s = time.monotonic()
        first_s: float | None = None
        while True:
            for consumer in consumers:
                _take(consumer, settings, summary)
            now_s = time.monotonic()
            if first_s is None and summary.positions:
                first_s = now_s
            if now_s >= look_s:
                look_s = now_s + LOOK_EVERY_S
                show(summary)
                if stopped():
                    break
                check()
                if first_s is None and now_s >= began_s + settings.first_position_timeout_s:
                    raise WatchError(_nothing_came(settings, summary))
            if first_s is not None and settings.duration_s is not None and now_s >= first_s + settings.duration_s:
                break
        _await_truth(consumers, settings, summary)
        show(summary)
    return summary


@contextlib.contextmanager
def _consumers(settings: WatchSettings) -> Iterator[list[Consumer]]:
    """Open a consumer on each side, and close both whatever happens."""
    truth = () if settings.truth_topic is None else (settings.truth_topic,)
    sides = (
        (settings.bootstrap_servers, (settings.data_topic, *truth)),
        (settings.output_bootstrap_servers, (settings.positions_topic, settings.rejected_topic)),
    )
    offset = OFFSET_END if settings.from_end else OFFSET_BEGINNING
    with contextlib.ExitStack() as stack:
        consumers = []
        for servers, topics in sides:
            consumer = Consumer(
                {
                    **client_config(servers, {}),
                    "group.id": "beam-rtls-watch",  # asked for, though nothing is ever committed
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                }
            )
            stack.callback(consumer.close)
            known = consumer.list_topics(timeout=METADATA_TIMEOUT_S).topics
            missing = [topic for topic in topics if topic not in known]
            if missing:
                raise WatchError(f"no topic {', '.join(missing)} on {servers}")
            consumer.assign(
                [TopicPartition(topic, part, offset) for topic in topics for part in known[topic].partitions]
            )
            consumers.append(consumer)
        yield consumers


def _take(consumer: Consumer, settings: WatchSettings, summary: Summary) -> None:
    """Feed the summary with one batch."""
    for message in consumer.consume(BATCH, POLL_S):
        error = message.error()
        if error is None:
            _feed(message, settings, summary)
        elif error.code() not in _PASSING:
            raise WatchError(f"{message.topic()}: {error.str()}")


def _feed(message: Message, settings: WatchSettings, summary: Summary) -> None:
    topic, value = message.topic(), message.value()
    _, appended_ms = message.timestamp()
    if topic == settings.data_topic:
        summary.add_reading_record(_readings(value), appended_ms)
        return
    try:
        content = orjson.loads(value)
        if topic == settings.truth_topic:
            summary.add_truth(content)
        elif topic == settings.positions_topic:
            summary.add_position(content, appended_ms)
        else:
            summary.add_rejected(content)
    except (ValueError, KeyError, TypeError) as error:
        place = f"{topic}, partition {message.partition()}, offset {message.offset()}"
        raise WatchError(f"{place}: not what the topic should hold ({error!r}): {value!r:.500}") from error


def _readings(value: bytes | None) -> int:
    try:
        return len(AnchorData.FromString(value or b"").tags)
    except DecodeError:
        return 0  # the pipeline rejects it


def _await_truth(consumers: list[Consumer], settings: WatchSettings, summary: Summary) -> None:
    """Read on, but take only truth, until each position has its own or the grace is over."""
    if settings.truth_topic is None:
        return
    end_s = time.monotonic() + TRUTH_GRACE_S
    while summary.without_truth and time.monotonic() < end_s:
        for message in consumers[0].consume(BATCH, POLL_S):
            if message.error() is None and message.topic() == settings.truth_topic:
                _feed(message, settings, summary)


def _nothing_came(settings: WatchSettings, summary: Summary) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.rejected.most_common()) or "none"
    return (
        f"no position on {settings.positions_topic} within {settings.first_position_timeout_s:g} s; "
        f"readings on {settings.data_topic}: {summary.readings}, rejections: {reasons}"
    )
