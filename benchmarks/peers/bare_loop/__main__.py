"""One loop in one process: confluent-kafka, protobuf, a dict, closed form. What it holds is lost when it ends."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer
from message_pb2 import AnchorData

from benchmarks.peers.three_circles import GROUP, Heard, intersection, parse

_BATCH = 10_000
_WAIT_S = 0.01


def main() -> None:
    """Run until killed."""
    told = parse("bare_loop")
    consumer = Consumer(
        {
            "bootstrap.servers": told.bootstrap_servers,
            "group.id": told.positions_topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": told.bootstrap_servers, "linger.ms": 5})
    consumer.subscribe([told.data_topic])
    groups: dict[str, dict[str, Heard]] = {}
    while True:
        for message in consumer.consume(_BATCH, _WAIT_S):
            if message.error() is not None:
                continue
            data = AnchorData.FromString(message.value())
            for tag, heard in data.tags.items():
                group = groups.setdefault(tag, {})
                group[data.anchor_id] = Heard(tag, data.anchor_id, heard.distance, heard.detached, heard.battery_low)
                if len(group) == GROUP:
                    del groups[tag]
                    position = intersection(list(group.values()), told.places)
                    if position is not None:
                        produce(producer, told.positions_topic, tag, position)
        producer.poll(0)


def produce(producer: Producer, topic: str, tag: str, position: str) -> None:
    """Hand one position to the producer, which may have to send others first."""
    while True:
        try:
            producer.produce(topic, position, tag)
        except BufferError:
            producer.poll(0.05)
        else:
            return


if __name__ == "__main__":
    main()
