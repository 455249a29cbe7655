"""Of the readings that leave together, those without which the tag watch would tell something else.

Those are:

- *What can change a flag.* A reading does only if it says other than the flag, and is new enough: by its time and its
  stamp (see :class:`~pipeline.positioning.tag_flags.Taken`), measured by what changed the flag last and by the tag's
  newest stamp, which the tag watch alone knows. But let an earlier reading of the tag be as new by time and by stamp,
  with no reading between that has other flags. Either it has changed the flag already; or it was not new enough, and
  then this one is not either, for nothing has changed meanwhile but the newest stamp, which rises. So of readings with
  the same flags on end only those count that are newer than each of those before. They are few, for stamps are whole
  seconds, and one blink has one. All that is left out is no newer, so the newest stamp stays what it is.
- *When the tag was heard*: of spans of Kafka's time no longer than ``tag_timeout`` the first reading, and each anchor's
  last. The readings of a span are of one run. Its ends are kept; no gap within it is over ``tag_timeout``, for the
  span is not; and from one span to the next the gaps are what they were. Of an anchor's times in a run the newest alone
  counts, and that is the last of its span.
- *That an anchor is heard again*: of spans no longer than the anchor watch takes to tell of a death, the first reading
  of each anchor by a tag of the group. A silence of which it told is longer, so what ends it is never in a span with
  what came before. Without an anchor watch there are no silences.

Two bounds: a batch that reaches back to before its tag was found away, which after the watermark nothing does, lets the
tag return with the first of its readings that is kept, later by ``tag_timeout`` at most. And an anchor whose death and
return are told at once is back when its return is told.
"""

from __future__ import annotations

import numpy as np

from pipeline.columns import Booleans, Integers, changes
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.watched import ByTag

_MOST = 2**62
"""What is put together of numbers stays below."""


def needed(readings: ByTag, settings: TagWatchSettings) -> Integers:
    """Return the numbers of those readings that the tag watch needs, rising."""
    size = len(readings.tag)
    if size <= 1:
        return np.arange(size)
    stamped_us = np.minimum(readings.measured_at_us, readings.kafka_time_us)
    if (int(readings.kafka_time_us.max()) - int(stamped_us.min()) + 1) * size >= _MOST:
        return np.arange(size)  # of years apart, with which nobody has to be quick
    is_needed = _may_change_a_flag(readings, stamped_us, settings.flag_tolerance_us)
    is_needed[_heard(readings, settings)] = True
    return is_needed.nonzero()[0]


def _may_change_a_flag(readings: ByTag, stamped_us: Integers, tolerance_us: int) -> Booleans:
    """Return which readings no reading before is as new as; see :class:`~pipeline.positioning.tag_flags.Taken`.

    Each is held to two of those before with the same flags on end: one of the newest stamp, and one of the newest time.
    """
    begins = changes(readings.tag) | changes(readings.flags)
    run, came_us = begins.cumsum(), readings.kafka_time_us
    at_us = np.where(came_us - stamped_us <= tolerance_us, stamped_us, came_us)
    earliest_us = stamped_us.min()
    above = run * (came_us.max() - earliest_us + 1)  # a run's times are above all those of the runs before
    is_new = np.ones(len(run), bool)
    for times_us in (stamped_us, at_us):
        newest = _newest_so_far(times_us - earliest_us + above)[:-1]
        is_new[1:] &= (stamped_us[1:] > stamped_us[newest]) | (at_us[1:] > at_us[newest])
        if times_us is stamped_us and np.array_equal(stamped_us, at_us):
            break
    return is_new | begins


def _newest_so_far(times: Integers) -> Integers:
    """Return of each time the number of the greatest up to it, itself among them."""
    is_newest = times == np.maximum.accumulate(times)
    numbers: Integers = is_newest * np.arange(len(times))
    np.maximum.accumulate(numbers, out=numbers)
    return numbers


def _heard(readings: ByTag, settings: TagWatchSettings) -> Integers:
    """Return which readings tell when tags were heard and, where there is an anchor watch, that anchors were."""
    at_most_us = min(settings.tag_timeout_us, settings.told_after_us or settings.tag_timeout_us)
    came_us = readings.kafka_time_us
    begins = changes(readings.tag)
    order = np.arange(len(begins))
    if ((came_us[1:] < came_us[:-1]) & ~begins[1:]).any():  # records of more than one partition
        order = np.lexsort((came_us, begins.cumsum()))
    span = ((came_us - came_us.min()) // at_most_us)[order]
    begins |= changes(span)
    anchor = readings.anchor[order]
    of_anchor = begins.cumsum() * (int(anchor.max()) + 1) + anchor
    by_anchor = of_anchor.argsort(kind="stable")
    is_first = changes(of_anchor[by_anchor])
    firsts, lasts = by_anchor[is_first], by_anchor[np.append(is_first[1:], True)]
    found = [begins.nonzero()[0], lasts]
    if settings.told_after_us:
        columns = came_us[order[firsts]], anchor[firsts], readings.group[order[firsts]], span[firsts]
        earliest_first = np.lexsort(columns)
        is_first = np.logical_or.reduce([changes(column[earliest_first]) for column in columns[1:]])
        found.append(firsts[earliest_first[is_first]])
    numbers: Integers = order[np.concatenate(found)]
    return numbers
