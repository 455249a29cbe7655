"""The watch of a tag, and what it knows of anchors, as bytes and back. The bytes outlive the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct, pack, unpack_from

import numpy as np

from pipeline.positioning.anchor_names import names_from_bytes, names_to_bytes
from pipeline.positioning.known_anchors import EVER_US, AnchorChange, KnownAnchors
from pipeline.positioning.runs import Run
from pipeline.positioning.tag_flags import Flag
from pipeline.positioning.tag_watch import TagWatch, TagWatchSettings
from pipeline.positioning.watched import ByTag, Watched
from pipeline.transforms.anchor_watch_state import flat, runs
from pipeline.wire.batch_decoder import TaggedRows
from pipeline.wire.readings import Runs, numbered_anew
from pipeline.wire.state_pb2 import AnchorChange as PackedChange
from pipeline.wire.state_pb2 import AnchorsKnown, TagWatchInput
from pipeline.wire.tag_codes import BATTERY_LOW, DETACHED, tag_groups_of

VERSION = 4
"""States of before there was one begin with their flags, 0 to 3."""
_HEAD = Struct("<BB7q2I")
"""Version; flags, one a bit; when last heard, when found away, newest time of measurement; of each flag when it
changed, by the stamp and as near as can be told; how many runs, and how many times of anchors follow.

After that come, eight bytes a number, the runs' ends and the times of anchors; and the anchors' names, one for each of
the times, one again for a later run: see anchor_names.py. All as :class:`TagWatch` has it. Not protobuf, which takes
longer by far, for each tag's state is read and written with every bundle.
"""


def to_bytes(watch: TagWatch) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    detached, low = watch.detached, watch.battery_low
    anchors = sorted(watch.heard_by)
    numbers = [at_us for anchor in anchors for at_us in watch.heard_by[anchor]]
    times = len(numbers)
    if times > len(anchors):
        anchors = [anchor for anchor in anchors for _ in watch.heard_by[anchor]]
    if watch.runs:
        numbers = flat(watch.runs) + numbers
    head = _HEAD.pack(
        VERSION,
        DETACHED * detached.value + BATTERY_LOW * low.value,
        watch.last_us,
        watch.away_us,
        watch.newest_us,
        detached.changed_us,
        detached.changed_at_us,
        low.changed_us,
        low.changed_at_us,
        len(watch.runs),
        times,
    )
    return head + pack(f"<{len(numbers)}q", *numbers) + names_to_bytes(tuple(anchors))


def from_bytes(data: bytes) -> TagWatch | None:
    """Return the state that :func:`to_bytes` wrote; None for one of another version."""
    if data[0] != VERSION:
        return None
    _, said, last_us, away_us, newest_us, changed_us, changed_at_us, low_us, low_at_us, runs_, times = (
        _HEAD.unpack_from(data)
    )
    count = 2 * runs_ + times
    numbers = unpack_from(f"<{count}q", data, _HEAD.size)
    names, _ = names_from_bytes(data, _HEAD.size + 8 * count, times)
    heard_by: dict[str, list[int]] = {}
    for anchor, at_us in zip(names, numbers[2 * runs_ :], strict=True):
        if anchor in heard_by:
            heard_by[anchor].append(at_us)
        else:
            heard_by[anchor] = [at_us]
    return TagWatch(
        last_us,
        away_us,
        runs(numbers[: 2 * runs_]) if runs_ else [],
        heard_by,
        newest_us,
        Flag(bool(said & DETACHED), changed_us, changed_at_us),
        Flag(bool(said & BATTERY_LOW), low_us, low_at_us),
    )


def gone_on(data: bytes, readings: Watched, settings: TagWatchSettings) -> tuple[bytes, int] | None:
    """Take readings of a tag in, as nearly all come, that tell no more than that it is still heard.

    They say of flags what is known, their times are in order and near the last one, and who hears the tag has heard it
    before, and not long ago. From bytes to bytes, for to make an object of a state takes longer than this.

    Returns:
        The state, and the Kafka time at which something of the tag is next due, where no anchor is silent. None, where
        there is more to do: :meth:`TagWatch.take` does it.
    """
    version, said, last_us, away_us, newest_us, *changed_us, runs_, times = _HEAD.unpack_from(data)
    times_us, timeout_us = readings.kafka_time_us, settings.tag_timeout_us
    if version != VERSION or runs_ or away_us or not last_us or sorted(times_us) != list(times_us):
        return None
    if times_us[0] < last_us - timeout_us or times_us[-1] > last_us + timeout_us:
        return None
    if (not said & DETACHED) in readings.detached or (not said & BATTERY_LOW) in readings.battery_low:
        return None
    names_at = _HEAD.size + 8 * times
    place_of = _places(names_from_bytes(data, names_at, times)[0]).get
    heard_us = list(unpack_from(f"<{times}q", data, _HEAD.size))
    for anchor, at_us in zip(readings.anchor, times_us, strict=True):
        place = place_of(anchor)
        if place is None:
            return None
        heard_us[place] = max(heard_us[place], at_us)
    last_us = max(last_us, times_us[-1])
    if min(heard_us) < last_us - timeout_us or max(heard_us) > last_us:
        return None
    newest_us = max(newest_us, *map(min, readings.measured_at_us, times_us))
    head = _HEAD.pack(VERSION, said, last_us, away_us, newest_us, *changed_us, runs_, times)
    state = head + pack(f"<{times}q", *heard_us) + data[names_at:]
    return state, last_us + timeout_us + 1 + settings.told_after_us


@lru_cache(maxsize=4096)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Return where each name stands; nothing where one stands twice, for an anchor that heard in more than one run."""
    places = {name: place for place, name in enumerate(names)}
    return places if len(places) == len(names) else {}


def anchors_to_bytes(anchors: KnownAnchors) -> bytes:
    """Return what is known of the anchors as bytes; equal states give equal bytes."""
    silences = [(anchor, silence) for anchor in sorted(anchors.silences) for silence in anchors.silences[anchor]]
    state = AnchorsKnown(
        silent=[anchor for anchor, _ in silences],
        silent_from_us=[silence.first_us for _, silence in silences],
        silent_to_us=[silence.last_us if silence.last_us < EVER_US else 0 for _, silence in silences],
    )
    return state.SerializeToString()


def anchors_from_bytes(data: bytes) -> KnownAnchors:
    """Return what :func:`anchors_to_bytes` wrote; no bytes are anchors of which nothing was told."""
    state = AnchorsKnown.FromString(data)
    silences: dict[str, list[Run]] = {}
    for anchor, from_us, to_us in zip(state.silent, state.silent_from_us, state.silent_to_us, strict=True):
        silences.setdefault(anchor, []).append(Run(from_us, to_us or EVER_US))
    return KnownAnchors(silences)


def columns(readings: TaggedRows) -> ByTag:
    """Return readings, tag by tag, as they are thinned and packed."""
    keys, rows = readings
    return ByTag(
        tag_groups_of(keys),
        keys,
        rows["anchor"].astype(np.int64),
        rows["measured_at_us"].astype(np.int64),
        rows["kafka_time_us"].astype(np.int64),
        rows["detached"] * DETACHED + rows["battery_low"] * BATTERY_LOW,
    )


def pack_readings(tags: Runs, anchors: Sequence[str], readings: ByTag) -> bytes:
    """Return readings of a tag group as what flows into the tag watch.

    Args:
        tags: of each run of readings of one tag the tag, and how many they are.
        anchors: the names of the anchors, by number; those that no reading has are left out.
        readings: the readings. Flags are ``DETACHED`` and ``BATTERY_LOW``, together.
    """
    names, heard_by = numbered_anew(readings.anchor, anchors)
    packed = TagWatchInput(
        tag=[tag for tag, _ in tags],
        readings=pack(f"<{len(tags)}I", *[count for _, count in tags]),
        anchor=names,
        heard_by=heard_by.astype("<u4").tobytes(),
        measured_at_us=readings.measured_at_us.astype("<i8").tobytes(),
        kafka_time_us=readings.kafka_time_us.astype("<i8").tobytes(),
        flags=readings.flags.astype("u1").tobytes(),
    )
    return packed.SerializeToString()


def pack_changes(changes: Iterable[AnchorChange]) -> bytes:
    """Return changes of anchors as what flows into the tag watch."""
    packed = [PackedChange(anchor=anchor, heard=heard, at_us=at_us) for anchor, heard, at_us in changes]
    return TagWatchInput(changes=packed).SerializeToString()


def unpack(data: bytes) -> tuple[list[tuple[str, Watched]], list[AnchorChange]]:
    """Return the readings that flowed in, tag by tag, and the changes."""
    packed = TagWatchInput.FromString(data)
    changes = [AnchorChange(one.anchor, one.heard, one.at_us) for one in packed.changes]
    return list(_of_tags(packed)), changes


def _of_tags(packed: TagWatchInput) -> Iterator[tuple[str, Watched]]:
    flags, count = packed.flags, len(packed.flags)
    anchors = list(packed.anchor)
    anchor = [anchors[number] for number in unpack_from(f"<{count}I", packed.heard_by)]
    measured_at_us = unpack_from(f"<{count}q", packed.measured_at_us)
    kafka_time_us = unpack_from(f"<{count}q", packed.kafka_time_us)
    detached, low = [one & DETACHED > 0 for one in flags], [one & BATTERY_LOW > 0 for one in flags]
    tags = list(packed.tag)
    first = 0
    for tag, readings in zip(tags, unpack_from(f"<{len(tags)}I", packed.readings), strict=True):
        here = slice(first, first + readings)
        of_tag = [tag] * readings
        yield tag, Watched(of_tag, anchor[here], measured_at_us[here], kafka_time_us[here], detached[here], low[here])
        first += readings
