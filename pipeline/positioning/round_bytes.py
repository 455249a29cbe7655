"""Whole rounds taken into states as they are written: see ``whole_rounds``. Compiled.

The rules are those of :class:`pipeline.positioning.rounds.Rounds` and :class:`pipeline.positioning.seen.Seen`, for
rounds with which nothing is the matter. The bytes are those of :mod:`pipeline.positioning.round_state`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.columns import Booleans, Integers
from pipeline.positioning.anchor_names import NAME_BYTES
from pipeline.positioning.compiled import compiled_in_place
from pipeline.positioning.round_state import (
    ANCHORS_AT,
    CLOCK_AT,
    EARLIER_AT,
    EARLIER_NEWEST_AT,
    HEAD,
    LAST_AT,
    LAST_TIME_AT,
    NEWEST_AT,
    OPENED_AT,
    ROUNDS_AT,
    UNHEARD,
    VERSION,
)
from pipeline.positioning.rounds import FORGET_AFTER_ROUNDS, NEW_FOR_ROUNDS
from pipeline.positioning.seen import (
    ANCHORS_A_PAGE,
    BLOCK_HEAD,
    GROWTH,
    MOST_OF_A_BLOCK,
    NEARLY_FULL,
    RECORD_SIZE,
    TIME_SIZE,
    WRAP_US,
)
from pipeline.site import MIN_ANCHORS

Bytes = NDArray[np.uint8]

OF_TAG = 5
"""Numbers that are found of a tag: readings taken, of a round, whether in order, clock, and bytes of the state."""


class Bounds(NamedTuple):
    """See :class:`pipeline.positioning.rounds.GroupingSettings`."""

    is_three: bool
    round_wait_us: int
    max_reading_age_us: int
    max_lateness_us: int
    tag_expiry_us: int


class Columns(NamedTuple):
    """Readings (n): the anchor's number, distance (m, of 32 bits, seen as a whole number), times, and whether replaced.

    See :class:`pipeline.model.Reading`. ``names`` are the anchors' names by number, as numbers whose order is theirs.
    """

    anchor: Integers
    distance: NDArray[np.uint32]
    measured_at_us: Integers
    kafka_time_us: Integers
    time_replaced: Booleans
    names: NDArray[np.uint64]


class Known(NamedTuple):
    """What is known of tags (t).

    Attributes:
        data: their states, one after the other.
        states: where each begins, and the last ends (t + 1).
        readings: which of the readings is each tag's first, and which the first behind its last (2, t).
    """

    data: Bytes
    states: Integers
    readings: Integers


class Found(NamedTuple):
    """Room for what comes of it: states, one after the other; numbers (t, ``OF_TAG``); and a round's anchors."""

    data: Bytes
    tags: Integers
    numbers: Integers


class State(NamedTuple):
    """A state at hand. Where its parts begin, and what of its head matters; times in microseconds."""

    silent: int
    earlier: int
    last: int
    end: int
    names: int
    anchors: int
    rounds: int
    clock_us: int
    newest_us: int
    earlier_us: int
    last_us: int


@compiled_in_place
def take_all(known: Known, columns: Columns, bounds: Bounds, found: Found) -> None:
    """Take the readings of all tags in, each tag's up to the first that is not of a whole round."""
    to = 0
    for tag in range(len(known.states) - 1):
        said = found.tags[tag]
        said[:] = 0
        begin, end = known.states[tag], known.states[tag + 1]
        if begin == end:
            continue
        size = size_of(known.data, begin, bounds)
        if size == 0:
            continue
        state = opened(known.data, begin, found.data, to)
        first, behind = known.readings[0, tag], known.readings[1, tag]
        is_sorted, taken = True, 0
        while first + taken + size <= behind:
            clock_us = whole(state, found, first + taken, size, known, columns, bounds, begin)
            if clock_us < 0:
                break
            is_sorted = is_sorted and ordered(columns, first + taken, size)
            state = remember(state, found, first + taken, size, columns, clock_us)
            taken += size
        if taken == 0:
            continue
        forgotten = forget(state, found.data, state.newest_us - bounds.max_lateness_us)
        length = closed(state, forgotten, known.data, begin, end, found.data, to)
        said[0], said[1], said[2], said[3], said[4] = taken, size, is_sorted, state.clock_us, length
        to += length


@compiled_in_place
def signed(value: Any) -> int:
    """Return a number in the 64 bits that all are reckoned in: with others, those of no sign would give floats."""
    return np.int64(value)  # type: ignore[return-value]


@compiled_in_place
def number(data: Bytes, at: int, size: int) -> int:
    """Return the number of so many bytes at a place, little-endian."""
    value = 0
    for place in range(size):
        value |= signed(data[at + place]) << (8 * place)
    return value


@compiled_in_place
def put(data: Bytes, at: int, size: int, value: int) -> None:
    """Write a number."""
    for place in range(size):
        data[at + place] = (value >> (8 * place)) & 255


@compiled_in_place
def copied(data: Bytes, begin: int, end: int, to: Bytes, at: int) -> None:
    """Copy bytes, to a place before them if it is in the same ones."""
    for place in range(end - begin):
        to[at + place] = data[begin + place]


@compiled_in_place
def size_of(data: Bytes, at: int, bounds: Bounds) -> int:
    """Return how many readings a whole round has; 0 where one is open, or that is not known."""
    if data[at] != VERSION or number(data, at + OPENED_AT, 2) != 0:
        return 0
    if bounds.is_three:
        return MIN_ANCHORS
    heard = 0
    for place in range(number(data, at + ANCHORS_AT, 2)):
        heard += data[at + HEAD + place] != UNHEARD
    return heard if heard >= MIN_ANCHORS and data[at + ROUNDS_AT] >= NEW_FOR_ROUNDS else 0


@compiled_in_place
def opened(data: Bytes, at: int, to: Bytes, begin: int) -> State:
    """Copy a state up to what has been seen, so that more can follow; what comes behind that stays where it is."""
    anchors = number(data, at + ANCHORS_AT, 2)
    earlier, last = number(data, at + EARLIER_AT, 4), number(data, at + LAST_AT, 4)
    names = HEAD + anchors + earlier + last
    copied(data, at, at + names, to, begin)
    seen = begin + HEAD + anchors
    return State(
        begin + HEAD,
        seen,
        seen + earlier,
        seen + earlier + last,
        names,
        anchors,
        signed(data[at + ROUNDS_AT]),
        number(data, at + CLOCK_AT, 8),
        number(data, at + NEWEST_AT, 8),
        number(data, at + EARLIER_NEWEST_AT, 8),
        number(data, at + LAST_TIME_AT, 8),
    )


@compiled_in_place
def closed(  # noqa: PLR0917
    state: State, forgotten: int, data: Bytes, at: int, end: int, to: Bytes, begin: int
) -> int:
    """Complete a state of which so many bytes are forgotten; return its length."""
    to[begin + ROUNDS_AT] = state.rounds
    put(to, begin + EARLIER_AT, 4, state.last - state.earlier - forgotten)
    put(to, begin + LAST_AT, 4, state.end - state.last)
    put(to, begin + CLOCK_AT, 8, state.clock_us)
    put(to, begin + NEWEST_AT, 8, state.newest_us)
    put(to, begin + EARLIER_NEWEST_AT, 8, state.earlier_us)
    put(to, begin + LAST_TIME_AT, 8, state.last_us)
    names = state.end - forgotten
    copied(data, at + state.names, end, to, names)
    return names + end - at - state.names - begin


@compiled_in_place
def whole(  # noqa: PLR0917
    state: State, found: Found, first: int, size: int, known: Known, columns: Columns, bounds: Bounds, at: int
) -> int:
    """Return the latest Kafka time seen with the next so many readings, where they are a whole round; else -1.

    They are where the round is over before anything of it is due, they go together, and none is late or known.
    """
    names = at + state.names
    if known.data[names] != 1 or state.end - state.earlier + size * GROWTH > NEARLY_FULL:
        return -1
    times_us, came_us = columns.measured_at_us, columns.kafka_time_us
    clock_us, newest_us = max(state.clock_us, came_us[first]), state.newest_us
    if clock_us >= state.clock_us + bounds.tag_expiry_us:
        return -1
    began_us, oldest_us, latest_us = clock_us, times_us[first], times_us[first]
    for row in range(first, first + size):
        anchor = number_of(known.data, names + 1, state.anchors, signed(columns.names[columns.anchor[row]]))
        is_late = newest_us - times_us[row] > bounds.max_lateness_us
        if is_late or columns.time_replaced[row] or not is_expected(anchor, state, found, row - first, bounds):
            return -1
        if is_seen(state, found.data, times_us[row], anchor, columns.distance[row]):
            return -1
        found.numbers[row - first] = anchor
        clock_us, newest_us = max(clock_us, came_us[row]), max(newest_us, min(times_us[row], came_us[row]))
        oldest_us, latest_us = min(oldest_us, times_us[row]), max(latest_us, times_us[row])
        if bounds.is_three:
            began_us = min(began_us, came_us[row])
    waited_us = bounds.max_reading_age_us if bounds.is_three else bounds.round_wait_us - 1
    return clock_us if latest_us - oldest_us <= bounds.max_reading_age_us and clock_us - began_us <= waited_us else -1


@compiled_in_place
def is_expected(anchor: int, state: State, found: Found, before: int, bounds: Bounds) -> bool:
    """Whether an anchor has a number, is waited for, and is none of so many before."""
    if anchor < 0 or anchor >= ANCHORS_A_PAGE or (not bounds.is_three and found.data[state.silent + anchor] == UNHEARD):
        return False
    for other in range(before):  # noqa: SIM110  (a kernel has no generators)
        if found.numbers[other] == anchor:
            return False
    return True


@compiled_in_place
def number_of(data: Bytes, names: int, anchors: int, name: int) -> int:
    """Return the number that an anchor has in a state, whose names begin at a place; -1: it has none."""
    for candidate in range(anchors):
        at = names + NAME_BYTES * candidate
        value = 0
        for place in range(NAME_BYTES):
            value = value << 8 | signed(data[at + place])
        if value == name:
            return candidate
    return -1


@compiled_in_place
def is_seen(state: State, data: Bytes, at_us: int, anchor: int, distance: int) -> bool:
    """Whether a reading is among those seen."""
    time = at_us % WRAP_US
    if state.last < state.end and holds(data, state.last, time, anchor, distance):
        return True
    if at_us <= state.earlier_us:
        block = state.earlier
        while block < state.last:
            if holds(data, block, time, anchor, distance):
                return True
            block += size_of_block(data, block)
    return False


@compiled_in_place
def holds(data: Bytes, block: int, time: int, anchor: int, distance: int) -> bool:
    """Whether a block is of a time, and has a reading."""
    if number(data, block, TIME_SIZE) != time:
        return False
    for record in range(block + BLOCK_HEAD, block + size_of_block(data, block), RECORD_SIZE):
        if data[record] == anchor and number(data, record + 1, RECORD_SIZE - 1) == distance:
            return True
    return False


@compiled_in_place
def size_of_block(data: Bytes, block: int) -> int:
    """Return the bytes of a block."""
    return BLOCK_HEAD + signed(data[block + TIME_SIZE]) * RECORD_SIZE


@compiled_in_place
def ordered(columns: Columns, first: int, size: int) -> bool:
    """Whether readings stand in the order of a group: by time, Kafka time, and anchor."""
    names, anchor = columns.names, columns.anchor
    for row in range(first + 1, first + size):
        later_us = columns.measured_at_us[row] - columns.measured_at_us[row - 1]
        came_later_us = columns.kafka_time_us[row] - columns.kafka_time_us[row - 1]
        if later_us < 0 or (later_us == 0 and came_later_us < 0):
            return False
        if later_us == 0 and came_later_us == 0 and names[anchor[row]] < names[anchor[row - 1]]:
            return False
    return True


@compiled_in_place
def remember(  # noqa: PLR0917
    state: State, found: Found, first: int, size: int, columns: Columns, clock_us: int
) -> State:
    """Take a whole round into a state, and return where its parts are now."""
    data, last, end = found.data, state.last, state.end
    newest_us, earlier_us, last_us = state.newest_us, state.earlier_us, state.last_us
    for place in range(state.anchors):
        silent = state.silent + place
        if data[silent] != UNHEARD:
            data[silent] = data[silent] + 1 if data[silent] + 1 < FORGET_AFTER_ROUNDS else UNHEARD
    for place in range(size):
        row, anchor = first + place, found.numbers[place]
        at_us = columns.measured_at_us[row]
        newest_us = max(newest_us, min(at_us, columns.kafka_time_us[row]))
        data[state.silent + anchor] = 0
        time = at_us % WRAP_US
        count = data[last + TIME_SIZE] if last < end else 0
        if count in (0, MOST_OF_A_BLOCK) or number(data, last, TIME_SIZE) != time:
            if count:
                earlier_us = max(earlier_us, last_us)
            last, last_us, count = end, at_us, 0
            put(data, last, TIME_SIZE, time)
            end += BLOCK_HEAD
        data[last + TIME_SIZE] = count + 1
        data[end] = anchor
        put(data, end + 1, RECORD_SIZE - 1, columns.distance[row])
        end += RECORD_SIZE
    return State(
        state.silent,
        state.earlier,
        last,
        end,
        state.names,
        state.anchors,
        min(state.rounds + 1, NEW_FOR_ROUNDS),
        clock_us,
        newest_us,
        earlier_us,
        last_us,
    )


@compiled_in_place
def forget(state: State, data: Bytes, time_us: int) -> int:
    """Forget what was seen from before a time, and return how many bytes that was.

    See :meth:`pipeline.positioning.seen.Seen.forget_before`. The last block is never from before: it is of a reading
    that was not late.
    """
    kept = state.earlier
    while kept < state.last and 0 < (time_us - number(data, kept, TIME_SIZE)) % WRAP_US < WRAP_US // 2:
        kept += size_of_block(data, kept)
    copied(data, kept, state.end, data, state.earlier)
    return kept - state.earlier
