"""Groups of many tags, each taken into the track of its tag, in one call. Compiled.

One tag knows nothing of another. What has a name outside, an anchor or a tag, has a number here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.positioning.compiled import compiled_in_place
from pipeline.positioning.track_filter import advance
from pipeline.positioning.track_motion import (
    BIASES,
    IS_STILL,
    OFFSET,
    REST,
    STOP_XX,
    STOP_XY,
    STOP_YY,
    VX,
    VY,
    Floats,
    Indexes,
    Model,
    State,
    X,
    Y,
    Z,
    decay,
    settle,
)
from pipeline.positioning.track_numbers import (
    AT,
    CLOCK,
    KNOWN,
    MAX_BIASES,
    NO_TRACK,
    PARTED,
    Tag,
    Tracks,
    load,
    room_for_a_tag,
    room_for_tracks,
    store,
)
from pipeline.positioning.track_ranges import Ranges, refused_weight, room_for_ranges, take
from pipeline.positioning.track_ranges import Room as RangesRoom
from pipeline.site import MIN_ANCHORS

FOLLOWED, STARTED, UNANSWERED, LATE, INCONSISTENT, UNCERTAIN = range(6)
"""What became of a group: a position, the first of a track, or why there is none."""
NO_FIX, IS_REFUSED = -1, -2
"""Instead of how many ranges a fix was better without."""
UNKNOWN = -1
"""Instead of the row of an anchor that is not on the map."""

FIX_X, FIX_Y, FIX_Z, FIX_XX, FIX_XY, FIX_YY, FIX_ZZ, FIX_RESIDUAL, FIX_GDOP, OF_FIX = range(10)
AT_X, AT_Y, AT_Z, XX, XY, YY, ZZ, SPEED, COURSE, RESIDUAL, SQUARES, SIGMA, OF_PLACE = range(13)

MAX_LAG_US = 3_000_000
"""A range measured longer before the track's time says too little of the place now."""
_SECOND_US = 1_000_000
_START_SIGMA_M = 10.0
"""How far a first place may be from the fix that it is found from; the ranges narrow it down."""
_PLAUSIBLE_SIGMAS = 4.0
"""A learnt offset beyond so many of what is believed of it came of ranges that contradict each other."""
_UNKNOWN_SIGMA_M = 0.3
"""Standard deviation of a range for a fix without a covariance."""
_PART_SIGMAS = 3.5
"""A fix so far from the track, by the accuracy of both, speaks against the track."""
_PART_FIXES = 3.0
"""So many fixes in a row against it end a track, or twice as many that are less convincing."""
_UNIFORM = math.sqrt(12.0)
"""Width of a uniform distribution by its standard deviation."""
_REST_SPEED_M_S = 0.05
"""Under it a course would be that of the noise."""


class Hall(NamedTuple):
    """What is believed of a site, in numbers.

    Attributes:
        places_m: of the anchors (n, 3).
        biases_m: what they are calibrated to (n).
        bias_sigmas_m: what is believed of the biases that are left (n; standard deviation).
        height_m: of the tags, if known …
        lowest_m: … else within which bounds it is solved for, and not a number if known.
        highest_m: see there.
        max_sigma_m: a track known worse than this gives no position.
        expiry_us: a tag silent for so long begins a new track.
    """

    places_m: Floats
    biases_m: Floats
    bias_sigmas_m: Floats
    height_m: float
    lowest_m: float
    highest_m: float
    max_sigma_m: float
    expiry_us: int


class Given(NamedTuple):
    """Groups, tag by tag.

    Attributes:
        times_us: times (2, r) of the readings by the anchors' clocks and by Kafka's.
        distances_m: what they say (r).
        rows: which anchors they are of (r); of a group with one of an anchor ``UNKNOWN`` nothing is taken in.
        is_doubted: whether the fix of their group was better without them (r).
        groups: where the readings of a group begin, how many it has, and how many its fix was better without, or
            ``NO_FIX``, or ``IS_REFUSED`` (g, 3).
        fixes: the groups' fixes (g, ``OF_FIX``), in the order of :class:`pipeline.model.Fix`; not a number: not known.
        tags: where the groups of a tag begin, and at last their number (t + 1).
    """

    times_us: Indexes
    distances_m: Floats
    rows: Indexes
    is_doubted: NDArray[np.bool_]
    groups: Indexes
    fixes: Floats
    tags: Indexes


class Found(NamedTuple):
    """What came of groups and tracks.

    Attributes:
        verdicts: of each group (g, 3) what became of it; the time that the place is for, or for a late one by how much
            it is late (µs); and how many ranges were used.
        places: of each group (g, ``OF_PLACE``) what is said of the tag; a negative course: it is at rest.
        unused: of each group's readings (r) first those not used, by their number in the group, in order of time.
        tracks: as they are now.
    """

    verdicts: Indexes
    places: Floats
    unused: Indexes
    tracks: Tracks


class Group(NamedTuple):
    """The group at hand.

    Attributes:
        first: which of all readings is its first.
        size: how many it has.
        refused: see :class:`Given`.
        fix: likewise.
        order: its readings (n) by the times …
        at_us: … at which they were measured (n), as well as can be known.
        newest_us: the latest of these.
        clock_us: the latest by Kafka's clock.
    """

    first: int
    size: int
    refused: int
    fix: Floats
    order: Indexes
    at_us: Indexes
    newest_us: int
    clock_us: int


class Room(NamedTuple):
    """Room for what is at hand: a track, readings in order of time and their times, ranges, and what is found."""

    tag: Tag
    order: Indexes
    at_us: Indexes
    ranges: Ranges
    ways: RangesRoom


def room_for(readings: int) -> Room:
    """Return room for groups of so many readings."""
    order, at_us = np.zeros(readings, np.int64), np.zeros(readings, np.int64)
    return Room(room_for_a_tag(), order, at_us, *room_for_ranges(readings, MAX_BIASES))


def found_for(given: Given) -> Found:
    """Return room for what comes of groups."""
    count = len(given.groups)
    tracks = room_for_tracks(len(given.tags) - 1)
    return Found(
        np.zeros((count, 3), np.int64), np.zeros((count, OF_PLACE)), np.zeros(len(given.rows), np.int64), tracks
    )


@compiled_in_place
def take_all(hall: Hall, model: Model, given: Given, tracks: Tracks, room: Room, found: Found) -> None:  # noqa: PLR0917
    """Take all groups in, each into the track of its tag. Groups have one reading or more, and room has ``room``."""
    tag, least = room.tag, refused_weight(model)
    for index in range(len(given.tags) - 1):
        load(tag, tracks, index)
        for number in range(given.tags[index], given.tags[index + 1]):
            group, said = ordered(given, number, room.order, room.at_us), found.places[number]
            elapsed_us = max(group.newest_us - tag.whole[AT], 0)
            verdict = decided(tag, group, hall, model)
            found.verdicts[number, 0], found.verdicts[number, 1] = verdict, tag.whole[AT] - group.newest_us
            if verdict not in (STARTED, FOLLOWED):
                continue
            stale = stale_ones(group, verdict)
            ranges = filled(tag, group, hall, given, room.ranges, least, stale)
            state = state_of(tag)
            if verdict == STARTED:
                take(state, ranges, model, state.size, room.ways)
                settle(state)
            else:
                said[SQUARES], said[RESIDUAL] = advance(
                    state, ranges, elapsed_us / 1e6, conviction(group), model, room.ways
                )
            keep_height(tag, hall)
            found.verdicts[number, 1] = tag.whole[AT]
            if verdict == FOLLOWED:
                unused = list_unused(group, ranges, least, stale, found.unused)
                found.verdicts[number, 2] = group.size - unused
                if unused == group.size:
                    found.verdicts[number, 0] = UNANSWERED if group.refused == NO_FIX else INCONSISTENT
                    continue
            place(tag, said)
            if said[SIGMA] > hall.max_sigma_m:
                found.verdicts[number, 0] = UNCERTAIN
        store(tag, found.tracks, index)


@compiled_in_place
def ordered(given: Given, number: int, order: Indexes, at_us: Indexes) -> Group:
    """Return a group with its readings in order of time, those of one time as they are given."""
    first, count, refused = given.groups[number, 0], given.groups[number, 1], given.groups[number, 2]
    clock_us = given.times_us[1, first]
    for index in range(count):
        time_us = track_time_us(given.times_us[0, first + index], given.times_us[1, first + index])
        clock_us = max(clock_us, given.times_us[1, first + index])
        refused = refused if given.rows[first + index] >= 0 else IS_REFUSED
        at = index
        while at > 0 and at_us[at - 1] > time_us:
            at_us[at], order[at] = at_us[at - 1], order[at - 1]
            at -= 1
        at_us[at], order[at] = time_us, index
    return Group(first, count, refused, given.fixes[number], order, at_us, at_us[count - 1], clock_us)


@compiled_in_place
def track_time_us(measured_at_us: int, kafka_time_us: int) -> int:
    """Return when a range was measured, as well as can be known.

    It was no later than Kafka had it, whatever an anchor's clock says. A time in whole seconds tells no more than the
    second (the anchors of this system send nothing finer): then Kafka's time does, if it is no more than a second after
    that second.
    """
    if measured_at_us % _SECOND_US == 0 and kafka_time_us <= measured_at_us + 2 * _SECOND_US:
        return kafka_time_us
    return min(measured_at_us, kafka_time_us)


@compiled_in_place
def decided(tag: Tag, group: Group, hall: Hall, model: Model) -> int:
    """Decide what is to be done with a group, and set the track's times; begin a track anew if need be."""
    if tag.whole[KNOWN] != NO_TRACK and group.clock_us - tag.whole[CLOCK] >= hall.expiry_us:
        tag.whole[KNOWN] = NO_TRACK
    if group.refused == IS_REFUSED:
        return UNANSWERED
    if tag.whole[KNOWN] != NO_TRACK and fits(tag, hall):
        tag.rest[PARTED] = parted(tag, group, model)
        if tag.rest[PARTED] < _PART_FIXES:
            if group.newest_us < tag.whole[AT] - MAX_LAG_US:
                return LATE
            tag.whole[AT] = max(tag.whole[AT], group.newest_us)
            tag.whole[CLOCK] = max(tag.whole[CLOCK], group.clock_us)
            return FOLLOWED
    if group.refused == NO_FIX:
        return UNANSWERED
    begin(tag, group, hall, model)
    for index in range(group.size):  # a beginning takes readings in the order in which they were solved
        group.order[index] = index
    return STARTED


@compiled_in_place
def stale_ones(group: Group, verdict: int) -> int:
    """Return how many of a group's readings, the oldest, say too little of the place now."""
    stale = 0
    while verdict == FOLLOWED and group.at_us[stale] < group.newest_us - MAX_LAG_US:
        stale += 1
    return stale


@compiled_in_place
def state_of(tag: Tag) -> State:
    """Return the filter of a tag."""
    return State(tag.mean, tag.cov, tag.rest, BIASES + tag.whole[KNOWN])


@compiled_in_place
def fits(tag: Tag, hall: Hall) -> bool:
    """Whether the track was made for tags of the height that the site map now tells."""
    if math.isnan(hall.lowest_m):
        return bool(tag.cov[Z, Z] == 0.0 and tag.mean[Z] == hall.height_m)
    return bool(tag.cov[Z, Z] > 0.0)


@compiled_in_place
def conviction(group: Group) -> float:
    """Return how well a group's ranges agree with each other, from 0 to 1.

    It is 1 where they do so beyond what any three would, those refused being outvoted twice.
    """
    if group.refused == NO_FIX:
        return 0.3
    return 1.0 if group.size - 2 * group.refused > MIN_ANCHORS else 0.5


@compiled_in_place
def parted(tag: Tag, group: Group, model: Model) -> float:
    """Return how much the last fixes in a row speak against the track, with this one."""
    fix, mean, cov, ahead_us = group.fix, tag.mean, tag.cov, group.newest_us - tag.whole[AT]
    if group.refused == NO_FIX or ahead_us < 0:  # of the past, it says nothing of the place now
        return float(tag.rest[PARTED])
    ahead_s = min(ahead_us / 1e6, model.velocity_memory_s)
    dx_m, dy_m = fix[FIX_X] - mean[X] - ahead_s * mean[VX], fix[FIX_Y] - mean[Y] - ahead_s * mean[VY]
    xx, xy, yy = fix[FIX_XX], fix[FIX_XY], fix[FIX_YY]
    if math.isnan(xx) or math.isnan(xy) or math.isnan(yy):
        xx, xy, yy = (_UNKNOWN_SIGMA_M * fix[FIX_GDOP]) ** 2 / 2, 0.0, (_UNKNOWN_SIGMA_M * fix[FIX_GDOP]) ** 2 / 2
    moved_m2 = (model.turn_speed_m_s * ahead_us / 1e6) ** 2
    xx, xy, yy = xx + cov[X, X] + moved_m2, xy + cov[X, Y], yy + cov[Y, Y] + moved_m2
    distance = (dx_m * dx_m * yy - 2 * dx_m * dy_m * xy + dy_m * dy_m * xx) / (xx * yy - xy * xy)
    return tag.rest[PARTED] + conviction(group) if distance > _PART_SIGMAS**2 else 0.0


@compiled_in_place
def begin(tag: Tag, group: Group, hall: Hall, model: Model) -> None:
    """Begin a track somewhere about a fix, with what an older track has learnt of biases, if that can be."""
    mean, cov = tag.mean, tag.cov
    if tag.whole[KNOWN] == NO_TRACK or abs(mean[OFFSET]) > _PLAUSIBLE_SIGMAS * model.offset_sigma_m:
        tag.whole[KNOWN] = 0
        mean[OFFSET], cov[OFFSET, OFFSET] = 0.0, model.offset_sigma_m**2
    for row in range(OFFSET):
        mean[row] = 0.0
        for column in range(BIASES + tag.whole[KNOWN]):
            cov[row, column] = cov[column, row] = 0.0
    mean[X], mean[Y] = group.fix[FIX_X], group.fix[FIX_Y]
    mean[Z] = 0.0 if math.isnan(group.fix[FIX_Z]) else group.fix[FIX_Z]
    for axis in range(2):
        cov[X + axis, X + axis] = _START_SIGMA_M**2
        cov[VX + axis, VX + axis] = model.start_speed_m_s**2
    cov[Z, Z] = 0.0 if math.isnan(hall.lowest_m) else ((hall.highest_m - hall.lowest_m) / _UNIFORM) ** 2
    for number in range(REST + 1):
        tag.rest[number] = 0.0
    tag.whole[AT], tag.whole[CLOCK] = group.newest_us, group.clock_us


@compiled_in_place
def filled(  # noqa: PLR0917  (compiled: nothing is left out)
    tag: Tag, group: Group, hall: Hall, given: Given, ranges: Ranges, least: float, stale: int
) -> Ranges:
    """Return a group's readings but the stale ones as the filter takes them; those doubted have to convince it."""
    count = group.size - stale
    for index in range(count):
        reading = group.first + group.order[stale + index]
        row = given.rows[reading]
        ranges.slots[index] = slot_of(tag, group, given, stale, hall.bias_sigmas_m[row], row)
        time_us = track_time_us(given.times_us[0, reading], given.times_us[1, reading])
        ranges.lag_s[index] = (tag.whole[AT] - time_us) / 1e6
        for axis in range(3):
            ranges.anchors[index, axis] = hall.places_m[row, axis]
        ranges.ranges_m[index] = given.distances_m[reading] - hall.biases_m[row]
        ranges.weights[index] = least if given.is_doubted[reading] else 1.0
    for bias in range(tag.whole[KNOWN]):
        # An anchor that has left the map is believed to have no bias.
        ranges.bias_sigmas_m[bias] = hall.bias_sigmas_m[tag.rows[bias]] if tag.rows[bias] >= 0 else 0.0
    return Ranges(
        ranges.lag_s, ranges.anchors, ranges.ranges_m, ranges.slots, ranges.weights, ranges.bias_sigmas_m, count
    )


@compiled_in_place
def slot_of(tag: Tag, group: Group, given: Given, stale: int, sigma_m: float, anchor: int) -> int:  # noqa: PLR0917
    """Return where the bias of an anchor stands in the state, after making room for it if it is new.

    A full state gives up the bias that it knows least, but none of this group; -1 where all are.
    """
    known, slot = tag.whole[KNOWN], -1
    for bias in range(known):
        if tag.rows[bias] == anchor:
            return bias
    if known < MAX_BIASES:
        slot, size = known, BIASES + known
        tag.mean[size] = 0.0
        for index in range(size + 1):
            tag.cov[size, index] = tag.cov[index, size] = 0.0
        tag.whole[KNOWN] += 1
    else:
        for bias in range(known):
            is_worse = slot < 0 or tag.cov[BIASES + bias, BIASES + bias] > tag.cov[BIASES + slot, BIASES + slot]
            if is_worse and not is_of(tag.rows[bias], group, given, stale):
                slot = bias
    if slot >= 0:
        tag.rows[slot] = anchor
        decay(state_of(tag), BIASES + slot, 0.0, sigma_m)
    return slot


@compiled_in_place
def is_of(anchor: int, group: Group, given: Given, stale: int) -> bool:
    """Whether one of a group's readings but the oldest is of an anchor."""
    found = False
    for index in range(stale, group.size):
        found = found or given.rows[group.first + group.order[index]] == anchor
    return found


@compiled_in_place
def keep_height(tag: Tag, hall: Hall) -> None:
    """Turn a height that has passed a bound back: on either side of a ceiling its anchors see the same ranges."""
    if math.isnan(hall.lowest_m):
        return
    z_m = tag.mean[Z]
    if z_m < hall.lowest_m:
        z_m = 2.0 * hall.lowest_m - z_m
    elif z_m > hall.highest_m:
        z_m = 2.0 * hall.highest_m - z_m
    tag.mean[Z] = min(max(z_m, hall.lowest_m), hall.highest_m)


@compiled_in_place
def list_unused(group: Group, ranges: Ranges, least: float, stale: int, unused: Indexes) -> int:
    """List the readings of a group that were not used, where its own stand, and return how many they are."""
    count = 0
    for index in range(group.size):
        is_used = index >= stale and ranges.weights[index - stale] >= least
        if not is_used:
            unused[group.first + count] = group.order[index]
            count += 1
    return count


@compiled_in_place
def place(tag: Tag, said: Floats) -> None:
    """Set what is said of a tag.

    A tag at rest meets the same errors again and again: its place becomes steady, but no better known.
    """
    mean, cov, rest = tag.mean, tag.cov, tag.rest
    said[AT_X], said[AT_Y], said[AT_Z] = mean[X], mean[Y], mean[Z]
    said[XX], said[XY], said[YY], said[ZZ] = cov[X, X], cov[X, Y], cov[Y, Y], cov[Z, Z]
    if rest[IS_STILL] != 0.0:
        said[XX], said[XY], said[YY] = rest[STOP_XX], rest[STOP_XY], rest[STOP_YY]
    said[SIGMA] = math.sqrt((said[XX] + said[YY]) / 2)
    said[SPEED] = math.hypot(mean[VX], mean[VY])
    is_at_rest = not said[SPEED] > _REST_SPEED_M_S
    said[COURSE] = -1.0 if is_at_rest else math.degrees(math.atan2(mean[VX], mean[VY])) % 360.0
