"""Readings as far as the tag watch looks at them, as columns and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


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
