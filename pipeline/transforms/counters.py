"""Beam counters, made once per DoFn rather than looked up per element."""

from __future__ import annotations

from apache_beam.metrics import Metrics

from pipeline.model import Stage

NAMESPACE = "beam_rtls"


class Counters:
    """Counters of one stage, named ``stage.what``."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage.value
        self._made: dict[str, Metrics.DelegatingCounter] = {}

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter."""
        counter = self._made.get(name)
        if counter is None:
            counter = self._made[name] = Metrics.counter(NAMESPACE, f"{self._stage}.{name}")
        counter.inc(count)

    def rejected(self, reason: str) -> None:
        """Count a rejection under its reason. ``rejected.internal_error`` is the one to alarm on."""
        self.add(f"rejected.{reason}")
