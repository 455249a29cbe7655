"""What the topics of a run hold, read as it comes; a broker that is away is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from pipeline.model import KafkaRecord
from pipeline.tag_identity import TagIdentity
from runners.trial.ledger import DATA, Name, Outcome, Place, fix, names_of, rejection

if TYPE_CHECKING:
    from typing_extensions import Self

POSITIONS, REJECTED = "out_data", "out_rejected"
ALIVE, DEATHS, EVENTS = "packet_alive", "out_alive", "site_events"
_METADATA_TIMEOUT_S = 15.0
_BATCH = 5000
_POLL_S = 0.05


class Record(NamedTuple):
    """A record of another topic than those of which the account is made."""

    value: bytes
    appended_ms: int
    """When it came to Kafka, ms since 1970."""


class Tap:
    """The records of ``packet_data``, ``out_data``, ``out_rejected`` and, if asked for, others so far.

    Args:
        bootstrap_servers: where they are.
        identity: how the site's tag ids are read.
        others: more topics, whose records are kept in ``others`` as they are.
    """

    def __init__(
        self, bootstrap_servers: str, identity: TagIdentity = TagIdentity.WHOLE, others: Sequence[str] = ()
    ) -> None:
        self.records: list[KafkaRecord] = []
        self.fixes: list[Outcome] = []
        self.rejections: list[Outcome] = []
        self.others: dict[str, list[Record]] = {topic: [] for topic in others}
        self.readings = 0
        self._identity = identity
        self._times_ms: dict[Place, int] = {}
        self._unnamed: set[Name] = set()
        self._named: set[Name] = set()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "beam-rtls-trial",  # asked for, though nothing is ever committed
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        topics = self._consumer.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (DATA, POSITIONS, REJECTED, *self.others)
                for partition in topics[topic].partitions
            ]
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def poll(self) -> int:
        """Take what has come, and return how many records that is."""
        messages = self._consumer.consume(_BATCH, _POLL_S)
        for message in messages:
            if message.error() is None:
                self._take(message)
        return len(messages)

    @property
    def unnamed(self) -> int:
        """How many readings no fix and no rejection names yet."""
        return len(self._unnamed)

    def first_fresh_ms(self, start: int, read_after_ms: int, since_ms: int) -> int | None:
        """Return when the first position came, from ``since_ms`` on, of readings that all came after ``read_after_ms``.

        ``start`` is a number of fixes that need not be looked at.
        """
        for outcome in self.fixes[start:]:
            if outcome.appended_ms >= since_ms and self._oldest_ms(outcome) > read_after_ms:
                return outcome.appended_ms
        return None

    def fresh(self, start: int, read_after_ms: int) -> int:
        """Return how many fixes there are all of whose readings came after a time."""
        return sum(self._oldest_ms(outcome) > read_after_ms for outcome in self.fixes[start:])

    def _oldest_ms(self, outcome: Outcome) -> int:
        return min(self._times_ms.get(name[:2], 0) for name in outcome.names) if outcome.names else 0

    def _take(self, message: Message) -> None:
        appended_ms: int = message.timestamp()[1]
        value: bytes = message.value() or b""
        if message.topic() in self.others:
            self.others[message.topic()].append(Record(value, appended_ms))
            return
        if message.topic() == DATA:
            record = kafka_record(message)
            self.records.append(record)
            self._times_ms[record.partition, record.offset] = appended_ms
            names = names_of(record, self._identity)
            self.readings += len(names)
            self._unnamed.update(name for name in names if name not in self._named)
            return
        if message.topic() == POSITIONS:
            outcome = fix(value, appended_ms)
            self.fixes.append(outcome)
        else:
            outcome = rejection(value, appended_ms)
            self.rejections.append(outcome)
        self._named.update(outcome.names)
        self._unnamed.difference_update(outcome.names)


def kafka_record(message: Message) -> KafkaRecord:
    """Return a message as the pipeline reads it; one without a value has empty bytes."""
    return KafkaRecord(message.partition(), message.offset(), message.timestamp()[1] * 1000, message.value() or b"")
