"""The whole dataflow on one page. Source and sinks come in, so that tests, Prism and Flink run the same graph."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

import pipeline.transforms.coders  # noqa: F401  (registers the row coders)
from pipeline.settings import GraphSettings
from pipeline.site import SiteSource
from pipeline.transforms import decode, encode, group
from pipeline.transforms.outputs import POSITIONS, REJECTED
from pipeline.transforms.track import Memory, Tracked
from pipeline.transforms.trilaterate import Trilaterate
from pipeline.transforms.untracked import Untracked


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the graph begins and where it ends: a source of ``KafkaRecord``, and sinks of ``(key, value)`` bytes."""

    readings: beam.PTransform
    positions: beam.PTransform
    rejected: beam.PTransform


def build(pipeline: beam.Pipeline, ends: Ends, site: SiteSource, settings: GraphSettings) -> None:
    """Add the dataflow to a pipeline.

    The labels are an interface: a savepoint finds its state by them.
    """
    strict = settings.strict
    records = pipeline | "Readings" >> ends.readings

    decoded = records | "Decode" >> decode.Decode(site, strict=strict)
    grouped = decoded[decode.READINGS] | "Group" >> group.GroupReadings(settings.grouping, strict=strict)
    solved = grouped[group.GROUPS] | "Trilaterate" >> Trilaterate(site, settings.solver, strict=strict)
    if settings.track is None:
        placed = solved | "Untracked" >> Untracked()
    else:
        bounds = settings.grouping
        memory = Memory(
            bounds.tag_expiry_us, bounds.round_wait_us + bounds.max_reading_age_us, is_cleared=not settings.bounded
        )
        placed = solved | "Track" >> Tracked(site, settings.track, memory, strict=strict)

    encoded = placed[POSITIONS] | "Positions" >> encode.EncodePositions(strict=strict)
    _ = encoded[POSITIONS] | "WritePositions" >> ends.positions

    _ = (
        tuple(stage[REJECTED] for stage in (decoded, grouped, placed, encoded))
        | "AllRejected" >> beam.Flatten()
        | "Rejected" >> encode.EncodeRejected(settings.data_topic)
        | "WriteRejected" >> ends.rejected
    )
