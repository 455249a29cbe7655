"""What one bundle heard of anchors as one element, for the shuffle costs per element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.events import Sighting
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.thinning import thinned
from pipeline.transforms.batches import at_earliest
from pipeline.wire.sightings import pack_sightings

SIGHTINGS = "sightings"
SITE = "site"
"""The one key of what is watched of the site as a whole, whatever its map calls it."""
MAX_SIGHTINGS = 1000
"""Sightings that leave together at the most, before they are thinned: bundles can be huge."""


class SightingBatches:
    """What one bundle heard of anchors: for a DoFn to gather, one or few elements a bundle."""

    def __init__(self, settings: AnchorWatchSettings) -> None:
        self._settings = settings
        self._sightings: list[Sighting] = []

    def add(self, sighting: Sighting) -> Iterable[WindowedValue]:
        """Take a sighting in; when there are many, they leave."""
        return self.add_all([sighting])

    def add_all(self, sightings: Iterable[Sighting]) -> Iterable[WindowedValue]:
        """Take sightings in; when there are many, they leave."""
        self._sightings += sightings
        return self.rest() if len(self._sightings) >= MAX_SIGHTINGS else ()

    def rest(self) -> Iterator[WindowedValue]:
        """Let all leave that is left: a pair of ``SITE`` and packed sightings, at the earliest time of them."""
        if not self._sightings:
            return
        earliest_us = min(one.kafka_time_us for one in self._sightings)
        packed = pack_sightings(thinned(self._sightings, self._settings))
        self._sightings = []
        yield at_earliest((SITE, packed), earliest_us)


def heard(batches: Iterable[WindowedValue]) -> Iterator[beam.pvalue.TaggedOutput]:
    """Return batches as a DoFn gives them beside its main output."""
    for batch in batches:
        yield beam.pvalue.TaggedOutput(SIGHTINGS, batch)
