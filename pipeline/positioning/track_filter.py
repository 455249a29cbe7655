"""The filter behind a track: one group of ranges after the other. Compiled.

A tag moves or stands still. Standing still begins when the place has been the same for some time, and ends when moving
explains the ranges so much better. Where most ranges of a group speak against a moving tag's track, the tag has turned
or was carried off, and the track gives way.

Sources, besides those of the modules ``track_motion`` and ``track_ranges``:
    * Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section
      11.3: manoeuvres by switching the level of noise.
    * E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954: evidence summed up, never below zero.
"""

from __future__ import annotations

import math

from pipeline.positioning.compiled import compiled_in_place
from pipeline.positioning.track_motion import (
    DOUBTS,
    EVIDENCE,
    IS_STILL,
    OFFSET,
    REST,
    SINCE,
    STOP_XX,
    STOP_XY,
    STOP_YY,
    VARIANCE,
    WHERE_X,
    WHERE_Y,
    Model,
    State,
    X,
    Y,
    assign,
    forget,
    limit_speed,
    loosen,
    move,
    settle,
    stand,
    stop,
)
from pipeline.positioning.track_ranges import Ranges, Room, keep, likelihood, residual, squares_of_used, take

_TRUST = 0.4
"""Share of its weight under which a group speaks against the track."""
_LEAST = 3
"""Ranges that can speak against a track; one or two alone may well be wrong."""
_GROUPS = 2.0
"""Groups in a row that have to, where one alone does not convince."""
_RADIUS_SIGMAS = 2.0


@compiled_in_place
def advance(  # noqa: PLR0917  (compiled: nothing is left out)
    state: State, ranges: Ranges, elapsed_s: float, conviction: float, model: Model, room: Room
) -> tuple[float, float]:
    """Take one group in.

    Args:
        state: the tag's, changed in place.
        ranges: the group's, their weights changed in place.
        elapsed_s: how long after the state's time the group's newest range was measured, 0 if before it.
        conviction: how well the ranges agree with each other, from 0 to 1. With 1 they speak against a track at once;
            with less, others have to say the same.
        model: what is believed.
        room: for what is found on the way.

    Returns:
        The sum of the normalised innovations squared, and the RMS (m) of what the new state leaves of the ranges, both
        over the ranges that were not refused.
    """
    if state.rest[IS_STILL] == 0.0:
        follow(state, ranges, elapsed_s, conviction, model, room)
        squares = squares_of_used(ranges, model, room)
        limit_speed(state, model)
        watch_rest(state, elapsed_s, model)
    else:
        squares = hold(state, ranges, elapsed_s, conviction, model, room)
    settle(state)
    return squares, residual(state.mean, ranges, model, room)


@compiled_in_place
def follow(state: State, ranges: Ranges, elapsed_s: float, conviction: float, model: Model, room: Room) -> None:  # noqa: PLR0917
    """Take in a group of a tag that moves."""
    forget(state, elapsed_s, ranges.bias_sigmas_m, model)
    move(state, elapsed_s, model)
    before, count = State(room.mean, room.cov, state.rest, state.size), ranges.size
    assign(before, state)
    keep(room.weights, ranges.weights, count)
    take(state, ranges, model, state.size, room)
    if count < _LEAST:
        return
    trust = 0.0
    for index in range(count):
        trust += ranges.weights[index]
    if trust > _TRUST * count:
        state.rest[DOUBTS] = 0.0
        return
    state.rest[DOUBTS] += 1.0
    if state.rest[DOUBTS] < _GROUPS and conviction < 1.0:
        return
    assign(state, before)
    keep(ranges.weights, room.weights, count)
    loosen(state, model.turn_m + model.turn_speed_m_s * elapsed_s, model.turn_speed_m_s)
    take(state, ranges, model, state.size, room)


@compiled_in_place
def hold(state: State, ranges: Ranges, elapsed_s: float, conviction: float, model: Model, room: Room) -> float:  # noqa: PLR0917
    """Take in a group of a tag that stood still, and see whether it still does; return as :func:`squares_of_used`.

    A tag at rest meets the same errors again and again: of offset and biases it learns nothing.
    """
    moving, count = State(room.mean, room.cov, state.rest, state.size), ranges.size
    assign(moving, state)
    keep(room.weights, ranges.weights, count)
    loosen(moving, model.still_radius_m, model.start_speed_m_s)
    forget(moving, elapsed_s, ranges.bias_sigmas_m, model)
    move(moving, elapsed_s, model)
    take(moving, ranges, model, moving.size, room)
    moving_likelihood = likelihood(ranges, model, room)
    moving_squares = squares_of_used(ranges, model, room)
    for index in range(count):
        room.weights[index], ranges.weights[index] = ranges.weights[index], room.weights[index]

    forget(state, elapsed_s, ranges.bias_sigmas_m, model)
    stand(state, elapsed_s, model)
    take(state, ranges, model, min(OFFSET, state.size), room)  # for a constant all would be compiled once more

    evidence = moving_likelihood - likelihood(ranges, model, room)
    if conviction < 1.0:
        evidence = min(evidence, conviction * model.moving_evidence)
    state.rest[EVIDENCE] = max(0.0, state.rest[EVIDENCE] + evidence)
    if state.rest[EVIDENCE] <= model.moving_evidence:
        return squares_of_used(ranges, model, room)
    assign(state, moving)
    keep(ranges.weights, room.weights, count)
    limit_speed(state, model)
    for number in range(REST):
        state.rest[number] = 0.0
    return moving_squares


@compiled_in_place
def watch_rest(state: State, elapsed_s: float, model: Model) -> None:
    """See whether a tag has come to rest: whether it has stayed where it was for ``still_after_s``."""
    mean, cov, rest = state.mean, state.cov, state.rest
    # An offset common to all ranges moves all places alike: it does not hide a rest.
    shared_m2 = (cov[X, OFFSET] ** 2 + cov[Y, OFFSET] ** 2) / cov[OFFSET, OFFSET]
    variance_m2 = (cov[X, X] + cov[Y, Y] - shared_m2) / 2.0
    radius_m = max(model.still_radius_m, _RADIUS_SIGMAS * math.sqrt(variance_m2 + rest[VARIANCE]))
    is_away = math.hypot(mean[X] - rest[WHERE_X], mean[Y] - rest[WHERE_Y]) > radius_m
    rest[SINCE] += elapsed_s
    if is_away or rest[VARIANCE] == 0.0 or radius_m > model.still_within_m:
        rest[WHERE_X], rest[WHERE_Y], rest[VARIANCE], rest[SINCE] = mean[X], mean[Y], variance_m2, 0.0
    elif rest[SINCE] >= model.still_after_s:
        rest[IS_STILL], rest[EVIDENCE] = 1.0, 0.0
        rest[STOP_XX], rest[STOP_XY], rest[STOP_YY] = cov[X, X], cov[X, Y], cov[Y, Y]
        stop(state)
