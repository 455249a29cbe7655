"""How long the stages on the way of a position take a reading, without an engine, on one core.

What an engine adds is not in it. :mod:`benchmarks.positioning` measures the science by itself; this has all that the
stages do about it: bytes in and out, state written and read with every bundle, metrics.
"""

from __future__ import annotations

import argparse
import gc
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
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.trilateration import SolverSettings
from pipeline.positioning.warm_up import warm_up
from pipeline.site import Site
from pipeline.transforms.decode import Besides, DecodeFn
from pipeline.transforms.encode import EncodeFn
from pipeline.transforms.group import GroupFn
from pipeline.transforms.tag_groups import tag_group
from pipeline.transforms.tag_log import Chunk
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.trilaterate import TrilaterateFn
from pipeline.wire.kafka_records import pack_records, unpack_produced
from pipeline.wire.message_pb2 import AnchorData

STAGES = ("decode", "group", "trilaterate", "track", "encode")
TAGS = 100
BLINKS = 60
_EPILOG = """\
100 tags walk within a ring of anchors and blink five times a second; all anchors hear every blink. The readings come in
bundles of so many: few as they are live, many as in a backlog. Of every stage the time of the processor is taken.

examples:
  python -m benchmarks.stages
  python -m benchmarks.stages --anchors 8 --bundle 300 --mode three
"""


class _Bag:
    def __init__(self) -> None:
        self._entries: list[Chunk] = []

    def read(self) -> Iterator[Chunk]:
        return iter(self._entries)

    def add(self, entry: Chunk) -> None:
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
        self._decode = DecodeFn(lambda: site, Besides(), strict=True)
        self._group = GroupFn(bounds, strict=True)
        self._trilaterate = TrilaterateFn(lambda: site, SolverSettings(), strict=True)
        self._track = TrackFn(lambda: site, TrackSettings(), memory, strict=True)
        self._encode = EncodeFn(lambda: 0, strict=True)
        self._rounds: defaultdict[int, _Bag] = defaultdict(_Bag)
        self._tracks: defaultdict[int, _Bag] = defaultdict(_Bag)
        self.taken_s = dict.fromkeys(STAGES, 0.0)
        for stage in (self._decode, self._group, self._trilaterate, self._track):
            stage.setup()

    def take(self, records: Sequence[KafkaRecord]) -> int:
        """Take a bundle of records, and return how many positions came of them."""
        timer = _Timer()
        batches = self._timed("decode", self._decode, [pack_records(records)], self._decode.process)
        groups = self._timed(
            "group", self._group, batches, lambda one: self._group.process(one, self._rounds[one[0]], timer)
        )
        solved = self._timed("trilaterate", self._trilaterate, groups, self._trilaterate.process)
        positions = self._timed(
            "track",
            self._track,
            solved,
            lambda some: [self._track.take(some, self._tracks[tag_group(some[0].tag)], timer)],
        )
        encoded = self._timed("encode", self._encode, positions, self._encode.process)
        return sum(len(unpack_produced(some)) for some in encoded)

    def _timed(self, name: str, stage: Any, given: Iterable[Any], process: Callable[[Any], Iterable[Any]]) -> list[Any]:
        began_ns = time.thread_time_ns()
        stage.start_bundle()
        outcomes = [outcome for one in given for outcome in process(one)]
        outcomes += stage.finish_bundle() or ()
        self.taken_s[name] += (time.thread_time_ns() - began_ns) / 1e9
        values = (one.value if isinstance(one, WindowedValue) else one for one in outcomes)
        return [one for one in values if not isinstance(one, TaggedOutput)]


def records(anchors: int) -> list[KafkaRecord]:
    """Return what the anchors send of all tags, one reading a record, blink by blink."""
    walk = walk_readings(ring_site(anchors), BLINKS)
    blinks = [walk[first : first + anchors] for first in range(0, len(walk), anchors)]
    found: list[KafkaRecord] = []
    for blink in blinks:
        for number in range(TAGS):
            found.extend(_record(one, f"0003FF{number:06X}0000", len(found) + order) for order, one in enumerate(blink))
    return found


def _record(reading: Reading, tag: str, offset: int) -> KafkaRecord:
    data = AnchorData(anchor_id=reading.anchor)
    data.timestamp.FromMicroseconds(reading.measured_at_us)
    data.tags[tag].distance = reading.distance_m
    return KafkaRecord(0, offset, reading.kafka_time_us, data.SerializeToString())


def measure(anchors: int, bundle: int, mode: GroupingMode, repeats: int) -> dict[str, Spread]:
    """Return microseconds a reading by stage, and of all together."""
    warm_up()
    given = records(anchors)
    found: dict[str, list[float]] = {name: [] for name in (*STAGES, "all")}
    for _ in range(repeats):
        stages = Stages(ring_site(anchors), mode)
        gc.collect()
        gc.disable()
        positions = sum(stages.take(given[first : first + bundle]) for first in range(0, len(given), bundle))
        gc.enable()
        if positions < len(given) // anchors // 2:
            raise RuntimeError(f"{positions} positions of {len(given)} readings: that is not what is to be measured")
        for name, taken_s in stages.taken_s.items():
            found[name].append(taken_s * 1e6 / len(given))
        found["all"].append(sum(stages.taken_s.values()) * 1e6 / len(given))
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
    parser.add_argument("--anchors", type=int, default=3, help="how many anchors hear a tag (default: %(default)s)")
    parser.add_argument("--bundle", type=int, default=3000, help="readings a bundle (default: %(default)s)")
    parser.add_argument("--mode", type=GroupingMode, default=GroupingMode.ROUND, help="round (default) or three")
    parser.add_argument("--repeats", type=int, default=5, help="how often to measure (default: %(default)s)")
    told = parser.parse_args(arguments)
    sys.stdout.write(f"{'us a reading':12}{'median':>8}{'low':>8}{'high':>8}\n")
    for name, spread in measure(told.anchors, told.bundle, told.mode, told.repeats).items():
        sys.stdout.write(f"{name:12}" + "".join(f"{value:8.1f}" for value in spread) + "\n")


if __name__ == "__main__":
    main()
