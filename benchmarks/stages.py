"""How long the stages with most to do take a reading, without an engine, on one core.

What an engine adds is not in it. :mod:`benchmarks.positioning` measures the science by itself; this has all that the
stages do about it: bytes in and out, state written and read with every bundle, metrics.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from benchmarks.readings import ring_site, walk_readings
from benchmarks.spread import Spread
from pipeline.model import KafkaRecord, Reading
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.warm_up import warm_up
from pipeline.site import Site
from pipeline.transforms.decode import Besides, DecodeFn
from pipeline.transforms.encode import EncodeFn
from pipeline.transforms.group import GroupFn
from pipeline.transforms.tag_groups import tag_group, timer_at
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.trilaterate import TrilaterateFn
from pipeline.transforms.watch_tags import WatchTagsFn
from pipeline.wire.kafka_records import pack_records, unpack_produced
from pipeline.wire.message_pb2 import AnchorData

STAGES = ("decode", "group", "trilaterate", "track", "encode", "watch tags")
TAGS = 100
READINGS, BLINKS_AT_LEAST = 18_000, 6
_EPILOG = """\
Tags walk within a ring of anchors and blink five times a second; all anchors hear every blink. The readings come in
bundles of so many: few as they are live, many as in a backlog. Of every stage the time of the processor is taken.

examples:
  python -m benchmarks.stages
  python -m benchmarks.stages --anchors 8 --bundle 300 --mode three
  python -m benchmarks.stages --tags 20000 --repeats 2
"""


class _Bag:
    def __init__(self) -> None:
        self._entries: list[Any] = []

    def read(self) -> Iterator[Any]:
        return iter(self._entries)

    def add(self, entry: object) -> None:
        self._entries.append(entry)

    def clear(self) -> None:
        self._entries = []


class _Timer:
    def set(self, timestamp: object) -> None:
        pass

    def clear(self) -> None:
        pass


class Stages:
    """The stages in a row, and what each has taken (seconds)."""

    def __init__(self, site: Site, mode: GroupingMode) -> None:
        bounds = GroupingSettings(mode=mode)
        memory = Memory(bounds.tag_expiry_us, bounds.round_wait_us + bounds.max_reading_age_us, is_cleared=True)
        watch = TagWatchSettings()
        self._decode = DecodeFn(lambda: site, Besides(tags=watch), strict=True)
        self._group = GroupFn(bounds, strict=True)
        self._trilaterate = TrilaterateFn(lambda: site, SolverSettings(), strict=True)
        self._track = TrackFn(lambda: site, TrackSettings(), memory, strict=True)
        self._encode = EncodeFn(lambda: 0, strict=True)
        self._watch = WatchTagsFn(watch, strict=True)
        self._rounds: defaultdict[int, _Bag] = defaultdict(_Bag)
        self._tracks: defaultdict[int, _Bag] = defaultdict(_Bag)
        self._watches: defaultdict[int, _Bag] = defaultdict(_Bag)
        self.taken_s = dict.fromkeys(STAGES, 0.0)
        for stage in (self._decode, self._group, self._trilaterate, self._track):
            stage.setup()

    def take(self, records: Sequence[KafkaRecord]) -> int:
        """Take a bundle of records, and return how many positions came of them."""
        timer = _Timer()
        batches, watched = self._timed("decode", self._decode, [pack_records(records)], self._decode.process)
        groups, _ = self._timed(
            "group", self._group, batches, lambda one: self._group.process(one, self._rounds[one[0]], timer)
        )
        solved, _ = self._timed("trilaterate", self._trilaterate, groups, self._trilaterate.process)
        positions, _ = self._timed(
            "track",
            self._track,
            solved,
            lambda some: [self._track.take(some, self._tracks[tag_group(some[0].tag)], timer)],
        )
        encoded, _ = self._timed("encode", self._encode, positions, self._encode.process)
        nothing, watermark = _Bag(), timer_at(records[-1].kafka_time_us)
        self._timed(
            "watch tags",
            self._watch,
            watched,
            lambda one: itertools.chain(
                self._watch.process(one, self._watches[one[0]], nothing, timer),
                self._watch.due(watermark, self._watches[one[0]], nothing, timer),
            ),
        )
        return sum(len(unpack_produced(some)) for some in encoded)

    def _timed(
        self, name: str, stage: Any, given: Iterable[Any], process: Callable[[Any], Iterable[Any]]
    ) -> tuple[list[Any], list[Any]]:
        """Return what a stage gives in the main, and what besides."""
        began_ns = time.thread_time_ns()
        stage.start_bundle()
        outcomes = [outcome for one in given for outcome in process(one)]
        outcomes += stage.finish_bundle() or ()
        self.taken_s[name] += (time.thread_time_ns() - began_ns) / 1e9
        besides = [_value(one.value) for one in outcomes if isinstance(one, TaggedOutput)]
        return [_value(one) for one in outcomes if not isinstance(one, TaggedOutput)], besides


def _value(one: Any) -> Any:
    return one.value if isinstance(one, WindowedValue) else one


def records(tags: int, anchors: int) -> Iterator[KafkaRecord]:
    """Give what the anchors send of all tags, one reading a record, blink by blink."""
    walk = walk_readings(ring_site(anchors), blinks(tags, anchors))
    offsets = itertools.count()
    for first in range(0, len(walk), anchors):
        blink = walk[first : first + anchors]
        for number in range(tags):
            tag = f"0003FF{number:06X}0000"
            yield from (_record(one, tag, next(offsets)) for one in blink)


def blinks(tags: int, anchors: int) -> int:
    """Return how often each tag blinks."""
    return max(READINGS // (tags * anchors), BLINKS_AT_LEAST)


def _record(reading: Reading, tag: str, offset: int) -> KafkaRecord:
    data = AnchorData(anchor_id=reading.anchor)
    data.timestamp.FromMicroseconds(reading.measured_at_us)
    data.tags[tag].distance = reading.distance_m
    return KafkaRecord(0, offset, reading.kafka_time_us, data.SerializeToString())


def measure(tags: int, anchors: int, bundle: int, mode: GroupingMode, repeats: int) -> dict[str, Spread]:
    """Return microseconds a reading by stage, and of all together."""
    warm_up()
    positions_due = tags * blinks(tags, anchors)
    found: dict[str, list[float]] = {name: [] for name in (*STAGES, "all")}
    for _ in range(repeats):
        stages = Stages(ring_site(anchors), mode)
        given, positions = records(tags, anchors), 0
        gc.collect()
        gc.disable()
        while some := list(itertools.islice(given, bundle)):
            positions += stages.take(some)
        gc.enable()
        if positions < positions_due // 2:
            raise RuntimeError(f"{positions} positions of {positions_due}: that is not what is to be measured")
        for name, taken_s in (*stages.taken_s.items(), ("all", sum(stages.taken_s.values()))):
            found[name].append(taken_s * 1e6 / (positions_due * anchors))
    return {name: Spread.of(values) for name, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and say what came out."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--tags", type=int, default=TAGS, help="how many tags there are (default: %(default)s)")
    parser.add_argument("--anchors", type=int, default=3, help="how many anchors hear a tag (default: %(default)s)")
    parser.add_argument("--bundle", type=int, default=3000, help="readings a bundle (default: %(default)s)")
    parser.add_argument("--mode", type=GroupingMode, default=GroupingMode.ROUND, help="round (default) or three")
    parser.add_argument("--repeats", type=int, default=5, help="how often to measure (default: %(default)s)")
    told = parser.parse_args(arguments)
    sys.stdout.write(f"{'us a reading':12}{'median':>8}{'low':>8}{'high':>8}\n")
    for name, spread in measure(told.tags, told.anchors, told.bundle, told.mode, told.repeats).items():
        sys.stdout.write(f"{name:12}" + "".join(f"{value:8.1f}" for value in spread) + "\n")


if __name__ == "__main__":
    main()
