"""Of the readings of a tag group that leave together, those without which the tag watch would tell something else.

Those are:

- *What can change a flag.* A reading does only if it says other than the flag, and is new enough: by its time and its
  stamp (see :class:`~pipeline.positioning.tag_flags.Taken`), measured by what changed the flag last and by the tag's
  newest stamp, which the tag watch alone knows. But let an earlier reading of the tag be as new by time and by stamp,
  with no reading between that has other flags. Either it has changed the flag already; or it was not new enough, and
  then this one is not either, for nothing has changed meanwhile but the newest stamp, which rises. So of readings with
  the same flags on end only those count that are newer than those before. They are few, for stamps are whole seconds,
  and one blink has one. All that is left out is no newer, so the newest stamp stays what it is.
- *When the tag was heard*: of spans of Kafka's time no longer than ``tag_timeout`` the first reading, and each anchor's
  last. The readings of a span are of one run. Its ends are kept; no gap within it is over ``tag_timeout``, for the
  span is not; and from one span to the next the gaps are what they were. Of an anchor's times in a run the newest alone
  counts, and that is the last of its span.
- *That an anchor is heard again*: of spans no longer than the anchor watch takes to tell of a death, the first reading
  of each anchor. A silence of which it told is longer, so what ends it is never in a span with what came before.
  Without an anchor watch there are no silences.

Two bounds: a batch that reaches back to before its tag was found away, which after the watermark nothing does, lets the
tag return with the first of its readings that is kept, later by ``tag_timeout`` at most. And an anchor whose death and
return are told at once is back when its return is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from pipeline.positioning.tag_flags import Taken
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.watched import Watched

_NEVER_US = -(2**63)


def needed(watched: Watched, settings: TagWatchSettings) -> list[int]:
    """Return the numbers of those readings that the tag watch needs, rising."""
    came_us = list(watched.kafka_time_us)
    times_us = sorted(came_us)
    order: Sequence[int] = range(len(came_us))
    found: set[int] | None = None
    if times_us != came_us:  # records of more than one partition
        order = sorted(order, key=came_us.__getitem__)
    elif times_us and times_us[-1] - times_us[0] <= settings.tag_timeout_us:
        found = _of_an_ordinary_batch(watched, settings.flag_tolerance_us)
    if found is None:
        found = _of_flags(watched, settings.flag_tolerance_us)
        found.update(_of_tags(watched, order, times_us, settings.tag_timeout_us))
    if settings.told_after_us:
        found.update(_of_anchors(watched, order, times_us, settings.told_after_us))
    return sorted(found)


def _of_an_ordinary_batch(watched: Watched, tolerance_us: int) -> set[int] | None:
    """Return what flags and tags need of readings that came in order and are one span; all in one go.

    None: there are flags, or a clock that is not within the tolerance, for which this is too simple.
    """
    if True in watched.detached or True in watched.battery_low:
        return None
    newest_us: dict[str, int] = {}
    newest_of = newest_us.get
    last: dict[tuple[str, str], int] = {}
    found: list[int] = []
    number = 0
    for tag, anchor, stamped_us, kafka_time_us in zip(*watched[:4], strict=True):
        if not 0 <= kafka_time_us - stamped_us <= tolerance_us:
            return None
        last[tag, anchor] = number
        if stamped_us > newest_of(tag, _NEVER_US):
            newest_us[tag] = stamped_us
            found.append(number)
        number += 1  # noqa: SIM113  (a pair a reading less)
    return {*found, *last.values()}


def _of_flags(watched: Watched, tolerance_us: int) -> set[int]:
    """Return which readings may change a flag, the first of each tag among them."""
    newest: dict[str, tuple[int, int, bool, bool]] = {}
    newest_of = newest.get
    found: set[int] = set()
    for number, (tag, _, measured_at_us, kafka_time_us, detached, low) in enumerate(zip(*watched, strict=True)):
        stamped_us, at_us = Taken.of(measured_at_us, kafka_time_us, tolerance_us)
        before = newest_of(tag)
        if before is not None and before[2] == detached and before[3] == low:
            if stamped_us <= before[0] and at_us <= before[1]:
                continue
            found.add(number)
            if stamped_us < before[0] or at_us < before[1]:
                continue
        found.add(number)
        newest[tag] = stamped_us, at_us, detached, low
    return found


def _of_tags(watched: Watched, order: Sequence[int], times_us: Sequence[int], timeout_us: int) -> Iterator[int]:
    """Iterate over which readings tell when tags were heard; ``order`` is that of the times."""
    tags, anchors = [watched.tag[number] for number in order], [watched.anchor[number] for number in order]
    for first, end in _spans(times_us, timeout_us):
        of_span, numbers = tags[first:end], order[first:end]
        yield from dict(zip(zip(of_span, anchors[first:end], strict=True), numbers, strict=True)).values()
        yield from dict(zip(reversed(of_span), reversed(numbers), strict=True)).values()


def _of_anchors(watched: Watched, order: Sequence[int], times_us: Sequence[int], told_after_us: int) -> Iterator[int]:
    """Iterate over which readings tell that an anchor is heard; ``order`` is that of the times."""
    anchors = watched.anchor if isinstance(order, range) else [watched.anchor[number] for number in order]
    for first, end in _spans(times_us, told_after_us):
        of_span = anchors[first:end]
        yield from [order[first + of_span.index(anchor)] for anchor in set(of_span)]


def _spans(times_us: Sequence[int], at_most_us: int) -> Iterator[tuple[int, int]]:
    """Iterate over where spans of ordered times begin and end that are no longer than that."""
    first = 0
    while first < len(times_us):
        end = bisect_right(times_us, times_us[first] + at_most_us, first)
        yield first, end
        first = end
