"""What the stages count, and when Beam is told of it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager

import apache_beam as beam
import pytest
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.utils.counters import CounterFactory

from pipeline import transforms
from pipeline.transforms.encode import EncodePositions
from pipeline.transforms.metric_names import COUNTERS, GAUGES, LATENCY_MS, QUANTITIES, RESIDUAL_MM, all_names
from pipeline.transforms.metrics import EachFn, MeteredFn, StageMetrics, set_gauge
from tests.beam_engines import FN_API, engine
from tests.test_wire_encode import TRACKED

MODULES = [
    importlib.import_module(f"pipeline.transforms.{one.name}") for one in pkgutil.iter_modules(transforms.__path__)
]
METERED = sorted(
    {
        found
        for module in MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, MeteredFn)
    },
    key=lambda fn: fn.__name__,
)


@contextmanager
def told() -> Iterator[MetricsContainer]:
    """What Beam is told meanwhile, as within a bundle."""
    container = MetricsContainer("step")
    sampler = StateSampler("", CounterFactory())
    sampler.start()
    try:
        with sampler.scoped_state("step", "process", metrics_container=container):
            yield container
    finally:
        sampler.stop()


def counts(container: MetricsContainer) -> dict[str, int]:
    return {key.metric.name: count for key, count in container.get_cumulative().counters.items()}


def test_beam_is_told_at_the_end_of_a_bundle_and_once() -> None:
    metrics = StageMetrics("decode")
    with told() as container:
        metrics.begin()
        metrics.add("in", 3)
        metrics.rejected("late")
        assert counts(container) == {}
        metrics.tell()
        metrics.tell()
    assert counts(container) == {"decode.in": 3, "decode.out": 0, "decode.internal_error": 0, "decode.rejected.late": 1}


def test_a_bundle_that_fails_counts_for_nothing() -> None:
    metrics = StageMetrics("encode")
    with told() as container:
        for _ in range(2):  # the first never comes to its end
            metrics.begin()
            metrics.add("out")
            metrics.observe(LATENCY_MS, 120)
        metrics.tell()
    assert counts(container)["encode.out"] == 1
    assert counts(container)["encode.latency_ms.le_inf"] == 1


def test_buckets_hold_all_up_to_their_bound() -> None:
    metrics = StageMetrics("encode")
    with told() as container:
        metrics.begin()
        for value in (-5, 20, 21, 1000, 1001):
            metrics.observe(RESIDUAL_MM, value)
        metrics.tell()
    found = counts(container)
    expected = {"20": 2, "50": 3, "100": 3, "200": 3, "500": 3, "1000": 4, "inf": 5}
    assert {name: count for name, count in found.items() if ".le_" in name} == {
        f"encode.residual_mm.le_{bound}": count for bound, count in expected.items()
    }
    assert found["encode.residual_mm.sum"] == 20 + 21 + 1000 + 1001
    assert not any(name.startswith("encode.latency_ms") for name in found)  # of which nothing was seen


def test_a_value_may_be_taken_many_times_at_once() -> None:
    metrics = StageMetrics("encode")
    with told() as container:
        metrics.begin()
        metrics.observe(RESIDUAL_MM, 21, 3)
        metrics.observe(RESIDUAL_MM, 10, 0)
        metrics.tell()
    found = counts(container)
    assert (found["encode.residual_mm.le_20"], found["encode.residual_mm.le_50"]) == (0, 3)
    assert found["encode.residual_mm.sum"] == 63


def test_only_names_of_the_list_are_told() -> None:
    metrics = StageMetrics("decode")
    with told() as container:
        metrics.add("tag_0003FF0000010000")
        with pytest.raises(ValueError, match=r"decode\.tag_0003FF0000010000 is not in the list"):
            metrics.tell()
        with pytest.raises(ValueError, match=r"site\.tags is not in the list"):
            set_gauge("site.tags", 1)
        set_gauge("site.map_anchors", 12)
    assert [(key.metric.name, value.value) for key, value in container.get_cumulative().gauges.items()] == [
        ("site.map_anchors", 12)
    ]


def test_names_are_few_and_fit_for_prometheus() -> None:
    names = list(all_names())
    assert len(names) == len(set(names)) < 500
    for name in names:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+(\.[a-z0-9_]+)?", name)
    flat = [name.replace(".", "_") for name in names]
    assert len(flat) == len(set(flat))
    assert QUANTITIES.keys() <= COUNTERS.keys()
    assert all(list(one.bounds) == sorted(set(one.bounds)) for some in QUANTITIES.values() for one in some)
    assert all(gauge.startswith("site.") for gauge in GAUGES)


@pytest.mark.parametrize("fn", METERED)
def test_every_stage_begins_and_ends_its_metrics_with_the_bundle(fn: type[MeteredFn]) -> None:
    """Whoever has a start_bundle or finish_bundle of its own has to call the one it stands in for."""
    for method in ("start_bundle", "finish_bundle"):
        own = vars(fn).get(method)
        if own is not None and fn is not MeteredFn:
            assert method in own.__code__.co_names
            assert "super" in own.__code__.co_names


def test_every_dofn_of_the_stages_is_metered() -> None:
    fns = {
        found
        for module in MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, beam.DoFn) and found.__module__.startswith("pipeline.")
    }
    assert {fn.__name__ for fn in fns - set(METERED)} == {
        "FollowFn",  # three stages in one, each metered
        "GatherFn",  # within a stage, before it
    }


def test_latency_is_counted_from_the_newest_reading() -> None:
    newest_us = max(reading.kafka_time_us for reading in TRACKED.readings)
    pipeline = engine(FN_API)
    encoding = EncodePositions(clock=lambda: newest_us + 130_000, strict=True)
    _ = pipeline | beam.Create([[TRACKED]]) | encoding
    result = pipeline.run()
    result.wait_until_finish()
    found = {metric.key.metric.name: metric.committed for metric in result.metrics().query()["counters"]}
    assert found["encode.latency_ms.le_100"] == 0
    assert found["encode.latency_ms.le_200"] == 1
    assert found["encode.latency_ms.sum"] == 130


def test_elements_are_counted_on_both_sides_of_a_function() -> None:
    each = EachFn("encode_deaths", lambda number: [number] * (number % 2))
    with told() as container:
        each.start_bundle()
        assert [one for number in range(5) for one in each.process(number)] == [1, 3]
        each.finish_bundle()
    assert counts(container) == {
        "encode_deaths.in": 5,
        "encode_deaths.out": 2,
        "encode_deaths.internal_error": 0,
    }
