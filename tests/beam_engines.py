"""The engines that stage tests name, and ends of the graph that need no Kafka."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that
from apache_beam.utils.timestamp import Timestamp

import pipeline.transforms.coders  # noqa: F401  (registers the row coders)
from pipeline.graph import Ends, build
from pipeline.model import KafkaRecord
from pipeline.replay.engine import at_kafka_time, batch
from pipeline.settings import GraphSettings
from pipeline.site import Site
from pipeline.wire.kafka_records import unpack_produced
from tests.readings import DEMO, us

FN_API = "FnApiRunner"
"""Bounded input, as a batch: the watermark goes from the beginning to the end of time at once."""
BUNDLE_BASED = "BundleBasedDirectRunner"
"""The engine on which TestStream moves the watermark step by step."""


def engine(name: str) -> TestPipeline:
    """Return a pipeline on the engine of that name; TestStream needs a streaming one."""
    options = PipelineOptions([])
    if name == FN_API:
        return TestPipeline(runner=FnApiRunner(), options=options)
    options.view_as(StandardOptions).streaming = True
    return TestPipeline(runner=BundleBasedDirectRunner(), options=options)


def stream(*steps: KafkaRecord | float | Iterable[KafkaRecord]) -> TestStream:
    """Return records, one bundle a step, and between them the watermark's moves (a number: seconds after the start)."""
    test_stream = TestStream(coder=beam.coders.registry.get_coder(bytes), output_tags=None)
    for step in steps:
        if isinstance(step, (int, float)):
            test_stream.advance_watermark_to(Timestamp(micros=us(step)))
        else:
            records = [step] if isinstance(step, KafkaRecord) else list(step)
            test_stream.add_elements([at_kafka_time(record) for record in records])
    # Timers fire before the end of time, at which this engine drops what they give.
    return test_stream.advance_watermark_to(Timestamp(micros=us(3600))).advance_watermark_to_infinity()


class Check(beam.PTransform):
    """A sink that hands the parsed JSON values to a check."""

    def __init__(self, check: Callable[[list[dict[str, Any]]], None]) -> None:
        super().__init__()
        self._check = check

    def expand(self, packed: beam.PCollection[bytes]) -> None:
        check = self._check

        def parsed(elements: list[bytes]) -> None:
            check([json.loads(value) for element in elements for _, value in unpack_produced(element)])

        assert_that(packed, parsed)


def anything(_: list[dict[str, Any]]) -> None:
    """Nothing is expected of what comes out."""


def nothing(values: list[dict[str, Any]]) -> None:
    assert values == []


@dataclass(frozen=True)
class Told:
    """What the graph has to tell besides positions, as checks of the parsed values."""

    deaths: Callable[[list[dict[str, Any]]], None] = nothing
    events: Callable[[list[dict[str, Any]]], None] = nothing
    locations: Callable[[list[dict[str, Any]]], None] | None = None
    fence_events: Callable[[list[dict[str, Any]]], None] | None = None
    """None: nobody takes them."""


NOT_ASKED = Told(anything, anything)


def ends(
    source: beam.PTransform,
    positions: Callable[[list[dict[str, Any]]], None],
    rejected: Callable[[list[dict[str, Any]]], None],
    told: Told = NOT_ASKED,
    heartbeats: beam.PTransform | None = None,
) -> Ends:
    """Return ends that hand what comes out to checks; no heartbeats unless given."""
    return Ends(
        readings=source,
        heartbeats=heartbeats or batch(()),
        positions=Check(positions),
        rejected=Check(rejected),
        deaths=Check(told.deaths),
        events=Check(told.events),
        locations=told.locations and Check(told.locations),
        fence_events=told.fence_events and Check(told.fence_events),
    )


def run_graph(
    name: str,
    source: beam.PTransform,
    *,
    positions: Callable[[list[dict[str, Any]]], None],
    rejected: Callable[[list[dict[str, Any]]], None],
    settings: GraphSettings | None = None,
    site: Site = DEMO,
    told: Told = NOT_ASKED,
    heartbeats: beam.PTransform | None = None,
) -> beam.runners.runner.PipelineResult:
    """Run the whole graph on an engine and hand what comes out to the checks; strict unless told otherwise."""
    pipeline = engine(name)
    settings = settings or GraphSettings(strict=True)
    sources_and_sinks = ends(source, positions, rejected, told, heartbeats)
    build(pipeline, sources_and_sinks, lambda: site, replace(settings, bounded=name == FN_API))
    result = pipeline.run()
    result.wait_until_finish()
    return result
