"""What all systems are given: the readings of many tags that walk within a ring of anchors, the same each time.

Ranges have no noise and anchors hang at the tags' height, so that three circles in closed form and a fit to any number
of ranges give the same place. A record holds one reading, as anchors send them; the readings of one blink follow each
other, anchor by anchor. A tag blinks once a second, which is as often as an anchor tells of it. Records are put
together from ready pieces of protobuf, for the feed must not be what is measured.
"""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

Places = npt.NDArray[np.float64]

KEY = b"protobuf"
"""Of every record, as the bridge from MQTT gives it."""
RING_M = (12.0, 9.0)
"""Half axes of the ring on which the anchors are."""
CENTRES_M = 4.0
"""How far from the ring's middle the tags' walks lie, at the most."""
WALK_M, WALK_S = 1.0, 60.0
"""Radius of a tag's walk, and how long a round of it takes: a stroll of a tenth of a metre a second."""
_GOLDEN_TURN = math.pi * (3.0 - math.sqrt(5.0))
_ANCHOR, _STAMP, _TAGS, _TAG_NAME, _TAG_DATA = b"\x0a", b"\x12", b"\x1a", b"\x0a", b"\x12\x05\x1d"
_RANGE = struct.Struct("<f")


@dataclass(frozen=True, slots=True)
class Workload:
    """So many tags, each of which blinks so often, heard by all anchors."""

    tags: int
    blinks: int
    anchors: int = 3
    interval_us: int = 1_000_000
    """From one blink of a tag to its next, by the time in the payload."""

    @property
    def fixes(self) -> int:
        """How many positions there are where every blink gives one."""
        return self.tags * self.blinks

    @property
    def readings(self) -> int:
        """How many records there are."""
        return self.fixes * self.anchors

    def tag(self, number: int) -> str:
        """Return the id of a tag."""
        return f"0003FF{number:06X}0000"

    def anchor(self, number: int) -> str:
        """Return the id of an anchor."""
        return f"A1B2C3D3E4F5{number:04X}"

    def anchor_places(self) -> Places:
        """Return where the anchors are: x and y in metres, one a row."""
        turns = 2.0 * math.pi * np.arange(self.anchors) / self.anchors
        return np.stack([RING_M[0] * np.cos(turns), RING_M[1] * np.sin(turns)], axis=1).round(3)

    def of_partition(self, partition: int, partitions: int) -> int:
        """Return how many tags have their readings in a partition, where tags are dealt to partitions in turn."""
        return len(range(partition, self.tags, partitions))

    def places(self, blink: int) -> Places:
        """Return where all tags are when they blink for the n-th time: x and y in metres, one a row."""
        tags = np.arange(self.tags)
        away = CENTRES_M * np.sqrt((tags + 0.5) / self.tags)
        where = tags * _GOLDEN_TURN
        turn = where + 2.0 * math.pi * blink * self.interval_us / 1e6 / WALK_S
        return np.stack(
            [away * np.cos(where) + WALK_M * np.cos(turn), away * np.sin(where) + WALK_M * np.sin(turn)], axis=1
        )

    def site(self) -> str:
        """Return the site map, as YAML."""
        places = self.anchor_places().tolist()
        anchors = [{"id": self.anchor(number), "x": x, "y": y} for number, (x, y) in enumerate(places)]
        return json.dumps({"site": "bench", "units": "m", "anchors": anchors}, indent=1)  # JSON is YAML

    def records(self, blink: int, at_us: int) -> Iterator[tuple[int, bytes]]:
        """Give the records of all tags' n-th blink, measured at a time (microseconds since 1970): tag, and value."""
        anchors, tags = _pieces(self)
        stamp = Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1000).SerializeToString()
        heads = [head + _STAMP + bytes([len(stamp)]) + stamp + _TAGS for head in anchors]
        away = self.places(blink)[:, None, :] - self.anchor_places()[None, :, :]
        pack = _RANGE.pack
        for number, (tag, ranges_m) in enumerate(zip(tags, np.hypot(away[..., 0], away[..., 1]).tolist(), strict=True)):
            for head, range_m in zip(heads, ranges_m, strict=True):
                yield number, head + tag + pack(range_m)


@functools.lru_cache(maxsize=4)
def _pieces(workload: Workload) -> tuple[list[bytes], list[bytes]]:
    """Return what records begin with, an anchor each, and what their last part begins with, a tag each."""
    anchors = [_text(_ANCHOR, workload.anchor(number)) for number in range(workload.anchors)]
    names = [_text(_TAG_NAME, workload.tag(number)) for number in range(workload.tags)]
    return anchors, [bytes([len(name) + len(_TAG_DATA) + _RANGE.size]) + name + _TAG_DATA for name in names]


def _text(field: bytes, text: str) -> bytes:
    data = text.encode("ascii")
    return field + bytes([len(data)]) + data
