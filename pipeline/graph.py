"""The whole dataflow on one page. Source and sinks come in, so that tests, Prism and Flink run the same graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import apache_beam as beam

import pipeline.transforms.coders  # noqa: F401  (registers the row coders)
from pipeline.events import Event
from pipeline.live_site import LiveSite
from pipeline.model import Position, Rejected
from pipeline.settings import GraphSettings
from pipeline.site import SiteSource
from pipeline.transforms import decode, encode, group
from pipeline.transforms.decode_heartbeats import DecodeHeartbeats
from pipeline.transforms.encode_omlox import EncodeFenceEvents, EncodeLocations
from pipeline.transforms.events import EncodeDeaths, EncodeSiteEvents
from pipeline.transforms.follow import Follow
from pipeline.transforms.map_reports import MAP_REPORTS
from pipeline.transforms.outputs import POSITIONS, REJECTED
from pipeline.transforms.sightings import SIGHTINGS
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.trilaterate import Trilaterate, TrilaterateFn
from pipeline.transforms.untracked import Untracked
from pipeline.transforms.watch_anchors import WatchAnchors
from pipeline.transforms.watch_map import WatchMap
from pipeline.transforms.watch_tags import WatchTags
from pipeline.transforms.watch_zones import WatchZones


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the graph begins and ends: sources of packed ``KafkaRecords``, sinks of packed ``ProducedRecords``."""

    readings: beam.PTransform
    heartbeats: beam.PTransform
    positions: beam.PTransform
    rejected: beam.PTransform
    deaths: beam.PTransform
    events: beam.PTransform
    locations: beam.PTransform | None = None
    """For positions as omlox Locations; None: nobody takes them."""
    fence_events: beam.PTransform | None = None
    """For entries and exits as omlox FenceEvents; None: nobody takes them."""


def build(pipeline: beam.Pipeline, ends: Ends, site: SiteSource, settings: GraphSettings) -> None:
    """Add the dataflow to a pipeline.

    The labels are an interface: a savepoint finds its state by them. What flows into a stateful stage flows into
    nothing else: Beam tells stages with one input apart by a number, which changes from one submission to the next.
    """
    strict = settings.strict
    if settings.bounded:
        settings = replace(settings, anchor_watch=None, tag_watch=None)
    reports = site.report if isinstance(site, LiveSite) else None
    records = pipeline | "Readings" >> ends.readings

    given_besides = decode.Besides(settings.anchor_watch, reports, settings.tag_watch_with_anchors)
    decoded = records | "Decode" >> decode.Decode(site, given_besides, strict=strict)
    placed, refused_readings = _placed(decoded[decode.READINGS], site, settings)

    encoded = placed | "Positions" >> encode.EncodePositions(strict=strict)
    _ = encoded[POSITIONS] | "WritePositions" >> ends.positions
    if ends.locations is not None:
        _ = placed | "Locations" >> EncodeLocations(site, strict=strict) | "WriteLocations" >> ends.locations

    refused = [
        (decoded[REJECTED], *refused_readings, encoded[REJECTED])
        | "AllRejected" >> beam.Flatten()
        | "Rejected" >> encode.EncodeRejected(settings.data_topic)
    ]
    events: list[beam.PCollection[Event]] = []
    of_map = [decoded[MAP_REPORTS]]
    if settings.anchor_watch is not None:
        alive = (
            pipeline
            | "Heartbeats" >> ends.heartbeats
            | "DecodeHeartbeats" >> DecodeHeartbeats(site, settings.anchor_watch, reports, strict=strict)
        )
        refused.append(alive[REJECTED] | "RejectedHeartbeats" >> encode.EncodeRejected(settings.alive_topic))
        of_map.append(alive[MAP_REPORTS])
        sightings = (decoded[SIGHTINGS], alive[SIGHTINGS]) | "Sightings" >> beam.Flatten()
        of_anchors = sightings | "WatchAnchors" >> WatchAnchors(site, settings.anchor_watch, strict=strict)
        _ = of_anchors | "Deaths" >> EncodeDeaths() | "WriteDeaths" >> ends.deaths
        events.append(of_anchors)
    tag_watch = settings.tag_watch_with_anchors
    if tag_watch is not None:
        heard = (decoded[decode.WATCHED], *events)
        events.append(heard | "WatchTags" >> WatchTags(tag_watch, strict=strict))
    if settings.zones is not None:
        watching = WatchZones(site, settings.zones, bounded=settings.bounded, strict=strict)
        of_zones = placed | "WatchZones" >> watching
        events.append(of_zones)
        if ends.fence_events is not None:
            fence_events = of_zones | "FenceEvents" >> EncodeFenceEvents(site, strict=strict)
            _ = fence_events | "WriteFenceEvents" >> ends.fence_events
    if reports is not None:
        events.append(tuple(of_map) | "MapReports" >> beam.Flatten() | "WatchMap" >> WatchMap())
    if events:
        told = tuple(events) | "AllEvents" >> beam.Flatten()
        _ = told | "Events" >> EncodeSiteEvents() | "WriteEvents" >> ends.events
    _ = tuple(refused) | "RejectedOfAll" >> beam.Flatten() | "WriteRejected" >> ends.rejected


def _placed(
    readings: beam.PCollection[tuple[int, bytes]], site: SiteSource, settings: GraphSettings
) -> tuple[beam.PCollection[list[Position]], list[beam.PCollection[Rejected]]]:
    """Return positions, in lists, and what is rejected. Tags that are tracked go through one keyed stage."""
    strict, bounds = settings.strict, settings.grouping
    if settings.track is None:
        grouped = readings | "Group" >> group.GroupReadings(bounds, strict=strict)
        solved = grouped[group.GROUPS] | "Trilaterate" >> Trilaterate(site, settings.solver, strict=strict)
        placed = solved | "Untracked" >> Untracked()
        return placed[POSITIONS], [grouped[REJECTED], placed[REJECTED]]
    memory = Memory(
        bounds.tag_expiry_us, bounds.round_wait_us + bounds.max_reading_age_us, is_cleared=not settings.bounded
    )
    followed = readings | "Follow" >> Follow(
        group.GroupFn(bounds, strict=strict),
        TrilaterateFn(site, settings.solver, strict=strict),
        TrackFn(site, settings.track, memory, strict=strict),
    )
    return followed[POSITIONS], [followed[REJECTED]]
