"""Readings as far as the tag watch looks at them, as columns and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.model import Reading


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

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Watched:
        """Return it of readings."""
        if not readings:
            return cls((), (), (), (), (), ())
        tag, anchor, _, measured_at_us, kafka_time_us, _, detached, battery_low, _, _ = zip(*readings, strict=True)
        return cls(tag, anchor, measured_at_us, kafka_time_us, detached, battery_low)

    def at(self, numbers: Sequence[int]) -> Watched:
        """Return it of some of the readings, in the order of the numbers."""
        return Watched(
            [self.tag[number] for number in numbers],
            [self.anchor[number] for number in numbers],
            [self.measured_at_us[number] for number in numbers],
            [self.kafka_time_us[number] for number in numbers],
            [self.detached[number] for number in numbers],
            [self.battery_low[number] for number in numbers],
        )

    def each(self) -> Iterator[Heard]:
        """Iterate over the readings."""
        return map(Heard, *self)
