"""What one bundle holds of a tag group as one element, for the shuffle costs per element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeAlias, TypeVar

from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

MAX_BATCH = 4000
"""Items of one tag group that leave together at the most: bundles can be huge."""

_EVERYWHEN = (GlobalWindow(),)

Item = TypeVar("Item")
Batched: TypeAlias = WindowedValue
"""A pair of tag group and packed items, at the earliest time of them."""


class Batches(Generic[Item]):
    """The items of one bundle by tag group, in the order in which they came."""

    def __init__(self, pack: Callable[[list[Item]], object]) -> None:
        self._pack = pack
        self._items: dict[int, list[Item]] = {}
        self._earliest_us: dict[int, int] = {}

    def add(self, tag_group: int, item: Item, at_us: int) -> Batched | None:
        """Take an item of a Kafka time in; return the batch before it, if it has no room in that."""
        full = self._batch(tag_group) if len(self._items.get(tag_group, ())) >= MAX_BATCH else None
        self._items.setdefault(tag_group, []).append(item)
        self._earliest_us[tag_group] = min(at_us, self._earliest_us.get(tag_group, at_us))
        return full

    def rest(self) -> Iterator[Batched]:
        """Let all leave that is left."""
        for tag_group in list(self._items):
            yield self._batch(tag_group)

    def _batch(self, tag_group: int) -> Batched:
        packed = self._pack(self._items.pop(tag_group))
        return at_earliest((tag_group, packed), self._earliest_us.pop(tag_group))


def at_earliest(element: object, earliest_us: int) -> WindowedValue:
    """Return what has been gathered as it leaves: at the earliest Kafka time of what is in it."""
    return WindowedValue(element, Timestamp(micros=earliest_us), _EVERYWHEN)
