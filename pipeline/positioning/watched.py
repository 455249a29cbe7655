"""Readings as far as the tag watch looks at them, as columns and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.columns import Integers


class Heard(NamedTuple):
    """What the tag watch looks at of one reading; see :class:`pipeline.model.Reading`."""

    tag: str
    anchor: str
    measured_at_us: int
    kafka_time_us: int
    detached: bool
    battery_low: bool


class Watched(NamedTuple):
    """The same of readings in the order in which they came: columns of equal length."""

    tag: Sequence[str]
    anchor: Sequence[str]
    measured_at_us: Sequence[int]
    kafka_time_us: Sequence[int]
    detached: Sequence[bool]
    battery_low: Sequence[bool]

    def each(self) -> Iterator[Heard]:
        """Iterate over the readings."""
        return map(Heard, *self)


class ByTag(NamedTuple):
    """Readings tag by tag, those of a tag in the order in which they came: columns of equal length."""

    group: Integers
    """The tag group; those of a group are together."""
    tag: Integers
    """A number for each tag."""
    anchor: Integers
    """A number for each anchor, from 0, at most 32 bits."""
    measured_at_us: Integers
    kafka_time_us: Integers
    flags: Integers
    """A number for what the tag says of itself."""

    def at(self, numbers: Integers | slice) -> ByTag:
        """Return some of the readings."""
        return ByTag(*[column[numbers] for column in self])
