"""What a stage counts, in plain integers while a bundle lasts; Beam is told once, at the bundle's end.

So a reading costs next to nothing, and a bundle that fails counts for nothing: it comes again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.events import Event
from pipeline.transforms.metric_names import (
    FLOW,
    GAUGES,
    INTERNAL_ERROR,
    NAMESPACE,
    QUANTITIES,
    Quantity,
    counters_of,
)


class StageMetrics:
    """The metrics of one stage; see :mod:`pipeline.transforms.metric_names`."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._known = frozenset(counters_of(stage))
        self._quantities = {quantity: _Observed(quantity) for quantity in QUANTITIES.get(stage, ())}
        self._counts: dict[str, int] = {}
        self._made: dict[str, Callable[[int], None]] = {}

    def begin(self) -> None:
        """Count a new bundle; what a failed one counted is forgotten."""
        self._counts = dict.fromkeys(FLOW, 0)
        for observed in self._quantities.values():
            observed.begin()

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter."""
        counts = self._counts
        counts[name] = counts.get(name, 0) + count

    def rejected(self, reason: str) -> None:
        """Count a rejection under its reason."""
        self.add(f"rejected.{reason}")

    def internal_error(self) -> None:
        """Count an unexpected error."""
        self.add(INTERNAL_ERROR)

    def told(self, events: Iterable[Event]) -> Iterator[Event]:
        """Count events by kind and pass them on."""
        for event in events:
            self.add("out")
            self.add(f"event.{event.kind}")
            yield event

    def observe(self, quantity: Quantity, value: int, count: int = 1) -> None:
        """Take a value of a quantity in, so many times; a negative one, which two clocks can give, counts as 0."""
        self._quantities[quantity].take(value, count)

    def observe_all(self, quantity: Quantity, values: Iterable[int]) -> None:
        """Take values of a quantity in, as :meth:`observe` does."""
        self._quantities[quantity].take_all(values)

    def tell(self) -> None:
        """Tell Beam what the bundle came to. Only within a bundle does Beam listen."""
        for observed in self._quantities.values():
            self._counts.update(observed.counts())
        for name, count in self._counts.items():
            self._counter(name)(count)
        self.begin()

    def _counter(self, name: str) -> Callable[[int], None]:
        counter = self._made.get(name)
        if counter is None:
            if name not in self._known:
                raise ValueError(f"{self._stage}.{name} is not in the list of metrics")
            counter = self._made[name] = Metrics.counter(NAMESPACE, f"{self._stage}.{name}").inc
        return counter


class _Observed:
    """What a bundle has seen of a quantity: how many values in each bucket, those of lower ones not counted."""

    def __init__(self, quantity: Quantity) -> None:
        self._bounds = quantity.bounds
        self._names = quantity.counters
        self.begin()

    def begin(self) -> None:
        self._in_bucket = [0] * (len(self._bounds) + 1)
        self._sum = 0

    def take(self, value: int, count: int) -> None:
        self._in_bucket[bisect_left(self._bounds, value)] += count
        if value > 0:
            self._sum += value * count

    def take_all(self, values: Iterable[int]) -> None:
        ordered = sorted(values)
        ends = [bisect_right(ordered, bound) for bound in self._bounds]
        for bucket, (first, end) in enumerate(pairwise((0, *ends, len(ordered)))):
            self._in_bucket[bucket] += end - first
        self._sum += sum(ordered[bisect_right(ordered, 0) :])

    def counts(self) -> Iterator[tuple[str, int]]:
        """Iterate over counters and counts; without any value there are none."""
        up_to = list(accumulate(self._in_bucket))
        if up_to[-1]:
            yield from zip(self._names, (*up_to, self._sum), strict=True)


class MeteredFn(beam.DoFn):
    """A DoFn with metrics. Whoever has a ``start_bundle`` or ``finish_bundle`` of its own calls these as well."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._metrics = StageMetrics(stage)

    def start_bundle(self) -> None:
        """Begin to count."""
        self._metrics.begin()

    def finish_bundle(self) -> Any:
        """Tell what was counted."""
        self._metrics.tell()


class EachFn(MeteredFn):
    """Gives for each element what a function makes of it, and counts both. Errors are not for it: it stops the bundle.

    Args:
        stage: whose metrics these are.
        function: one element to those that come of it.
    """

    def __init__(self, stage: str, function: Callable[[Any], Iterable[Any]]) -> None:
        super().__init__(stage)
        self._function = function

    def process(self, element: Any) -> Iterator[Any]:
        """Take one element."""
        self._metrics.add("in")
        for passed in self._function(element):
            self._metrics.add("out")
            yield passed


def set_gauge(name: str, value: int) -> None:
    """Tell a value as it is, under one of the names in ``GAUGES``.

    Only within a bundle, be it in ``start_bundle``, does Beam listen: what ``setup`` tells is lost.
    """
    if name not in GAUGES:
        raise ValueError(f"{name} is not in the list of metrics")
    Metrics.gauge(NAMESPACE, name).set(value)
