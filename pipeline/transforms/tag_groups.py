"""Keying by a fixed number of tag groups, with each tag's state apart inside its group's.

On Flink a state write is a round trip that is waited for, once a key and bundle. Were every tag a key, a bundle would
cost as many round trips as it has tags; with tag groups it costs one a group. A group's state is a bag used as a log:
what changed is appended, and when the log has grown to twice what it says it is written anew. Number and hash are part
of the savepoint's contract.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from apache_beam.coders import BytesCoder, StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.utils.timestamp import Timestamp

TAG_GROUPS = 16
"""Groups over all tags: each costs a bundle its writes, and of few tasks none has much more of them than another."""

_SLACK = 16
"""Entries by which a log may outgrow twice its content before it is written anew."""

Entry = tuple[str, int, bytes]
"""A line of the log: tag, when it is next due (Kafka time, µs), its state; no state: the tag is forgotten."""

ENTRY_CODER = TupleCoder((StrUtf8Coder(), VarIntCoder(), BytesCoder()))


def tag_group(tag: str) -> int:
    """Return the group of a tag, the same in every process and version."""
    return zlib.crc32(tag.encode()) % TAG_GROUPS


class OfTag(Protocol):
    """Whatever is of one tag."""

    @property
    def tag(self) -> str:
        """The tag."""


Item = TypeVar("Item", bound=OfTag)


def by_tag(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return items by their tags, those of a tag in the order in which they came."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.tag, []).append(item)
    return found


def tag_states_spec(name: str) -> BagStateSpec:
    """Return the state cell of a stage keyed by tag groups."""
    return BagStateSpec(name, ENTRY_CODER)


class Bag(Protocol):
    """What of Beam's bag state is used."""

    def read(self) -> Iterator[Entry]:
        """Iterate over the entries."""

    def add(self, entry: Entry) -> None:
        """Append an entry."""

    def clear(self) -> None:
        """Remove all entries."""


class Timer(Protocol):
    """What of Beam's timers is used."""

    def set(self, timestamp: Timestamp) -> None:
        """Set the timer, which has one time only."""

    def clear(self) -> None:
        """Take it back."""


class TagStates:
    """The states of one group's tags: read once, changed in memory, written back by :meth:`commit`."""

    def __init__(self, bag: Bag) -> None:
        self._bag = bag
        self._entries: dict[str, Entry] = {}
        self._logged = 0
        for entry in bag.read():
            self._logged += 1
            self._entries[entry[0]] = entry
        self._changed: dict[str, Entry] = {}

    def get(self, tag: str) -> bytes:
        """Return a tag's state; empty where there is none."""
        entry = self._entries.get(tag)
        return entry[2] if entry else b""

    def put(self, tag: str, due_us: int, state: bytes) -> None:
        """Set a tag's state and when it is next due."""
        self._entries[tag] = self._changed[tag] = (tag, due_us, state)

    def forget(self, tag: str) -> None:
        """Remove a tag."""
        self.put(tag, 0, b"")

    def due(self, now_us: int) -> list[str]:
        """Return the tags that are due at a time, the longest due first."""
        found = [(due_us, tag) for tag, due_us, state in self._entries.values() if state and due_us <= now_us]
        return [tag for _, tag in sorted(found)]

    def next_due_us(self) -> int | None:
        """Return when the next tag is due; None where no tag has state."""
        return min((due_us for _, due_us, state in self._entries.values() if state), default=None)

    def commit(self, timer: Timer | None) -> None:
        """Write back what changed, and set the timer, if there is one, to when the next tag is due."""
        if timer is not None:
            due_us = self.next_due_us()
            if due_us is None:
                timer.clear()
            else:
                timer.set(timer_at(due_us))
        if not self._changed:
            return
        kept = [entry for entry in self._entries.values() if entry[2]]
        if self._logged + len(self._changed) <= 2 * len(kept) + _SLACK:
            written = list(self._changed.values())
        else:
            self._bag.clear()
            written = kept
        for entry in written:
            self._bag.add(entry)


def timer_at(due_us: int) -> Timestamp:
    """Return the time to set a timer to: runners keep milliseconds, and a timer must not fire early."""
    return Timestamp(micros=-(-due_us // 1000) * 1000)
