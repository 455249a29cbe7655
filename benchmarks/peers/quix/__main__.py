"""Quix Streams: readings are grouped by tag over a topic of its own, kept in its state, met in closed form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from message_pb2 import AnchorData
from quixstreams import Application, State

from benchmarks.peers.three_circles import GROUP, Heard, Places, intersection, parse


def main() -> None:
    """Run until killed."""
    told = parse("quix")
    application = Application(
        broker_address=told.bootstrap_servers,
        consumer_group=told.positions_topic,  # another for each run: a group goes on where it left off
        auto_offset_reset="earliest",
        state_dir=Path(os.environ["BENCHMARK_DIRECTORY"]) / "state",
        loglevel="WARNING",
    )
    readings = application.dataframe(application.topic(told.data_topic, value_deserializer="bytes"))
    positions = (
        readings.apply(readings_of, expand=True)
        .group_by("tag")
        .apply(Group(told.places), stateful=True)
        .filter(lambda position: position is not None)
    )
    positions.to_topic(application.topic(told.positions_topic, value_serializer="string"))
    application.run()


def readings_of(value: bytes) -> Iterator[dict[str, object]]:
    """Give the readings of a record, in the form that goes over the topic in between."""
    data = AnchorData.FromString(value)
    for tag, heard in data.tags.items():
        yield Heard(tag, data.anchor_id, heard.distance, heard.detached, heard.battery_low)._asdict()


class Group:
    """Waits for three anchors of a tag."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def __call__(self, reading: dict[str, object], state: State) -> str | None:
        """Take a reading; return the position as JSON once there are three."""
        group = state.get("group", default={})
        group[reading["anchor"]] = reading
        if len(group) < GROUP:
            state.set("group", group)
            return None
        state.delete("group")
        return intersection([Heard(**heard) for heard in group.values()], self._places)


if __name__ == "__main__":
    main()
