"""What is changed of Beam's worker does what it replaces."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.runners.worker import statecache
from apache_beam.runners.worker.bundle_processor import (
    BundleProcessor,
    FnApiUserStateContext,
    SynchronousBagRuntimeState,
)

from pipeline.transforms.tag_log import Chunk
from pipeline.worker_tuning import commit, told_metrics, weigh
from tests.beam_engines import FN_API, engine


class Answer:
    def __init__(self, told: list[Any], what: Any) -> None:
        self._told, self._what = told, what

    def get(self) -> None:
        self._told.append(("waited for", self._what))


class Handler:
    """Stands in for the connection to the runner: tells what it was sent, and what was waited for, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def clear(self, key: str) -> Answer:
        self.told.append(("clear", key))
        return Answer(self.told, ("clear", key))

    def extend(self, key: str, _coder: Any, elements: list[bytes]) -> Answer:
        self.told.append(("extend", key, list(elements)))
        return Answer(self.told, ("extend", key))


def context(handler: Handler) -> Any:
    """Three cells: one cleared and written, one written, one only read."""
    cells = [SynchronousBagRuntimeState(handler, key, BytesCoder()) for key in ("a", "b", "c")]
    cells[0].clear()
    cells[0].add(b"1")
    cells[1].add(b"2")
    found = FnApiUserStateContext.__new__(FnApiUserStateContext)
    found._all_states = {cell._state_key: cell for cell in cells}
    return found


def test_all_is_sent_before_any_is_waited_for() -> None:
    handler = Handler()
    commit(context(handler))
    sent = [("clear", "a"), ("extend", "a", [b"1"]), ("extend", "b", [b"2"])]
    assert handler.told == [*sent, ("waited for", ("extend", "a")), ("waited for", ("extend", "b"))]


def test_the_same_is_sent_and_waited_for_as_by_beam() -> None:
    ours, beams = Handler(), Handler()
    commit(context(ours))
    FnApiUserStateContext.commit(context(beams))
    assert sorted(map(repr, ours.told)) == sorted(map(repr, beams.told))


@pytest.mark.parametrize("entries", [1, 10, 100])
@pytest.mark.parametrize("size", [1, 100, 2000])
def test_a_log_is_weighed_as_beam_does(entries: int, size: int) -> None:
    log = [Chunk(bytes(size)) for _ in range(entries)]
    assert weigh(log) == pytest.approx(statecache.get_deep_size(log))
    data = [bytes([number]) * size for number in range(entries)]
    assert weigh(data) == pytest.approx(statecache.get_deep_size(data))


def test_a_log_that_begins_with_a_large_chunk_weighs_what_is_in_it() -> None:
    log = [Chunk(bytes(1_000_000)), *(Chunk(bytes(20)) for _ in range(1000))]
    assert weigh(log) == pytest.approx(statecache.get_deep_size(log), rel=0.01)


@pytest.mark.parametrize("value", [[], None, (), [b""]])
def test_whatever_is_cached_weighs_something(value: Any) -> None:
    assert weigh(value) > 0


def test_beam_takes_our_functions() -> None:
    """In a process of its own, for it stays changed: a cache that weighs as we do, and keeps to its bound."""
    program = """
from apache_beam.runners.worker import statecache
from apache_beam.runners.worker.bundle_processor import BundleProcessor, FnApiUserStateContext
from pipeline import worker_tuning
import gc
worker_tuning.tune()
assert FnApiUserStateContext.commit is worker_tuning.commit
assert BundleProcessor.monitoring_infos is worker_tuning.told_metrics
assert gc.get_freeze_count() > 10_000
cache = statecache.StateCache(10_000)
for number in range(100):
    cache.put(number, [bytes([number]) * 1000])
assert cache.peek(99) and not cache.peek(0)
assert 0 < cache._current_weight <= 10_000
"""
    subprocess.run([sys.executable, "-c", program], check=True)


class Counting(beam.DoFn):
    def __init__(self) -> None:
        self._seen = beam.metrics.Metrics.counter("test", "seen")

    def process(self, element: int) -> list[int]:
        self._seen.inc(element)
        return [element]


def test_what_stages_count_is_told_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def spy(processor: Any) -> list[Any]:
        infos = told_metrics(processor)
        told.extend(info.urn for info in infos)
        return infos

    monkeypatch.setattr(BundleProcessor, "monitoring_infos", spy)
    pipeline = engine(FN_API)
    _ = pipeline | beam.Create([1, 2, 3]) | beam.ParDo(Counting())
    result = pipeline.run()
    result.wait_until_finish()
    assert [counter.committed for counter in result.metrics().query()["counters"]] == [6]
    assert set(told) == {"beam:metric:user:sum_int64:v1"}
