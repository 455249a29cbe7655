"""What is settled before a run: that Kafka is there and set up right, and at which offsets reading starts.

The offsets are resolved once and committed for the consumer group, so that a failure before the first checkpoint starts
again where the run was first started, and loses nothing.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaException, TopicPartition
from confluent_kafka import KafkaError as KafkaErrorCode
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from pipeline.kafka_client import client_config
from pipeline.settings import KafkaSettings

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 10.0
_RETRY_S = 15.0
_POLL_S = 0.2
_PASSING = frozenset(
    {
        KafkaErrorCode.NOT_COORDINATOR,
        KafkaErrorCode.COORDINATOR_NOT_AVAILABLE,
        KafkaErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaErrorCode.LEADER_NOT_AVAILABLE,
        KafkaErrorCode.NOT_LEADER_FOR_PARTITION,
        KafkaErrorCode._WAIT_COORD,  # noqa: SLF001  (librdkafka's public name for it)
    },
)
_Result = TypeVar("_Result")


class PreflightError(RuntimeError):
    """Kafka is not as the run needs it; the message says what was expected and how to mend it."""


def preflight(settings: KafkaSettings, wait_s: float = 0.0, *, resumes: bool = False) -> None:
    """Check both clusters and commit the offsets to start from; a run that resumes from a savepoint knows its own.

    Of heartbeats it may not: a savepoint of a version that read none has no place in them, and where the group has none
    either, it gets one.

    Brokers and topics that are not there yet are waited for.

    Raises:
        PreflightError: a broker out of reach, a topic missing or without ``LogAppendTime``, a group in use.
        pipeline.kafka_client.UnsupportedPropertyError: a property that these checks cannot follow.
    """
    source = client_config(settings.bootstrap_servers, settings.properties)
    sink = client_config(settings.output_bootstrap_servers, settings.output_properties)
    _await_topics(wait_s, source, *settings.inputs)
    _await_topics(wait_s, sink, *settings.outputs)
    for topic in settings.inputs:
        _require_append_time(source, topic)
    for topic in (settings.alive_topic,) if resumes else settings.inputs:
        try:
            _commit_offsets(source, settings, topic, only_new=resumes)
        except KafkaException as error:
            raise PreflightError(f"cannot find out where to start in {topic!r}: {_text(error)}") from error


def require_service(address: str, wait_s: float = 0.0) -> None:
    """See that the expansion service answers.

    Raises:
        PreflightError: it does not, within the time to wait.
    """
    host, _, port = address.rpartition(":")
    try:
        for attempt in _attempts(wait_s, lambda error: isinstance(error, OSError)):
            with attempt, socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S):
                pass
    except OSError as error:
        raise PreflightError(f"no expansion service answers at {address}: {error}") from error


def _await_topics(wait_s: float, config: dict[str, str], *topics: str) -> None:
    for attempt in _attempts(wait_s, lambda error: isinstance(error, PreflightError)):
        with attempt:
            _require_topics(config, *topics)


def _attempts(wait_s: float, passes: Callable[[BaseException], bool]) -> Retrying:
    """Return attempts over what may pass by itself, for so long; the last error is then raised as it is."""
    return Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_delay(wait_s),
        wait=wait_fixed(_POLL_S),
        reraise=True,
    )


def _require_topics(config: dict[str, str], *topics: str) -> None:
    servers = config["bootstrap.servers"]
    try:
        known = AdminClient(_quiet(config)).list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise PreflightError(f"no Kafka broker answers at {servers} within {_TIMEOUT_S:g} s: {_text(error)}") from error
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise PreflightError(f"no topic {', '.join(map(repr, missing))} at {servers}; create it, or name another")


def _require_append_time(config: dict[str, str], topic: str) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient(_quiet(config))
    try:
        entries = admin.describe_configs([resource])[resource].result(_TIMEOUT_S)
    except KafkaException as error:
        _LOG.warning("cannot see how topic %r is configured (%s); it needs LogAppendTime", topic, _text(error))
        return
    found = entries["message.timestamp.type"].value
    if found != "LogAppendTime":
        raise PreflightError(
            f"topic {topic!r} has message.timestamp.type={found}; expected LogAppendTime, for waiting is counted in "
            f"Kafka's own time. Set it: kafka-configs.sh --bootstrap-server {config['bootstrap.servers']} --alter "
            f"--topic {topic} --add-config message.timestamp.type=LogAppendTime",
        )


def _commit_offsets(config: dict[str, str], settings: KafkaSettings, topic: str, *, only_new: bool) -> None:
    consumer = Consumer({**_quiet(config), "group.id": settings.group_id, "enable.auto.commit": False})
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.list_topics(topic).topics[topic].partitions]
        committed = _patiently(lambda: consumer.committed(partitions, timeout=_TIMEOUT_S))
        if only_new:
            committed = [one for one in committed if one.offset < 0]
        if not committed:
            return
        starts = [_start(consumer, partition, settings.offset) for partition in committed]
        try:
            _patiently(lambda: consumer.commit(offsets=starts, asynchronous=False))
        except KafkaException as error:
            raise PreflightError(
                f"cannot set where consumer group {settings.group_id!r} starts ({_text(error)}); "
                "stop whoever else uses the group, or choose another with --group-id",
            ) from error
        for start in starts:
            _LOG.info("reading %s partition %d from offset %d", topic, start.partition, start.offset)
            _require_appended(consumer, start)
    finally:
        consumer.close()


def _start(consumer: Consumer, committed: TopicPartition, offset: str) -> TopicPartition:
    low, high = consumer.get_watermark_offsets(committed, timeout=_TIMEOUT_S)
    chosen = low if offset == "earliest" else high
    if offset == "committed":
        if 0 <= committed.offset <= high:
            chosen = max(low, committed.offset)
        if chosen != committed.offset:
            _LOG.warning(
                "%s partition %d: committed is %s, but Kafka has %d to %d; starting from %d",
                committed.topic,
                committed.partition,
                committed.offset if committed.offset >= 0 else "nothing",
                low,
                high,
                chosen,
            )
    return TopicPartition(committed.topic, committed.partition, chosen)


def _require_appended(consumer: Consumer, start: TopicPartition) -> None:
    """Refuse records from before the topic was set to LogAppendTime: KafkaIO would stop at the first."""
    _, high = consumer.get_watermark_offsets(start, timeout=_TIMEOUT_S)
    if start.offset >= high:
        return
    consumer.assign([start])
    try:
        message = consumer.poll(_TIMEOUT_S)
    finally:
        consumer.unassign()
    if message is not None and not message.error() and message.timestamp()[0] != TIMESTAMP_LOG_APPEND_TIME:
        raise PreflightError(
            f"{start.topic} partition {start.partition} offset {start.offset} was written before the topic had "
            "message.timestamp.type=LogAppendTime; start with --offset latest",
        )


def _patiently(call: Callable[[], _Result]) -> _Result:
    """Make a call over what passes by itself, as while a broker has just started."""
    return _attempts(_RETRY_S, _passes)(call)


def _passes(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _PASSING


def _quiet(config: dict[str, str]) -> dict[str, Any]:
    return {**config, "log_level": 2}


def _text(error: KafkaException) -> str:
    return str(error.args[0].str() or error.args[0].name())
