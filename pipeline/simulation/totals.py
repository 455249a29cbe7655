"""What a play has caused."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.simulation.events import AnchorRecord, Heartbeat


@dataclass(slots=True)
class Totals:
    """Counts of what was published or written, of rangings lost, and of simulated ``seconds``."""

    records: int = 0
    readings: int = 0
    heartbeats: int = 0
    tags: int = 0
    lost: int = 0
    outliers: int = 0
    seconds: float = 0.0

    def add(self, event: AnchorRecord | Heartbeat) -> None:
        """Count one event that has been published or written."""
        if isinstance(event, Heartbeat):
            self.heartbeats += 1
            return
        self.records += 1
        self.readings += len(event.readings)
        self.outliers += sum(reading.is_outlier for reading in event.readings)
