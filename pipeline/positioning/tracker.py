"""Tracking: what the groups of a tag, one after the other, tell of where it is.

A track takes every range at its own time, also those of groups that have no fix of their own. A fix is needed to begin,
and to begin anew where the track and the fixes have parted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.model import Fix, Position, Reading, Reason, Rejected, Solved, Stage
from pipeline.positioning.fix_id import fix_id
from pipeline.positioning.solve import refused, unanswered
from pipeline.positioning.track import Start, Track
from pipeline.positioning.track_filter import advance
from pipeline.positioning.track_motion import VX, VY, X, Y, Z, settle
from pipeline.positioning.track_ranges import Ranges, refused_weight, take
from pipeline.positioning.track_settings import TrackSettings
from pipeline.site import MIN_ANCHORS, Anchor, Site

_UNKNOWN_SIGMA_M = 0.3
"""Standard deviation of a range for a fix without a covariance."""
_PART_SIGMAS = 3.5
"""A fix so far from the track, by the accuracy of both, speaks against the track."""
_PART_FIXES = 3.0
"""So many fixes in a row against it end a track, or twice as many that are less convincing."""
_MAX_LAG_US = 3_000_000
"""A range measured longer before the track's time says too little of the place now."""
_MOST_BIAS_SIGMA_M = 0.2
"""Of an anchor that is out of place the map may tell any bias; in a track that would drown what is known."""
_SECOND_US = 1_000_000
_UNIFORM = math.sqrt(12.0)
"""Width of a uniform distribution by its standard deviation."""
_REST_SPEED_M_S = 0.05
"""Under it a course would be that of the noise."""

Outcome = Position | list[Rejected]
"""What a group gave: the tag's position, or the rejection of all its readings."""


class _Residuals(NamedTuple):
    """How well a group's ranges were foretold, and how well they were met; see :class:`Position`."""

    nis: float | None
    nis_dof: int
    residual_m: float | None


class Tracker:
    """What all tracks of a site have in common."""

    def __init__(self, site: Site, settings: TrackSettings) -> None:
        self._model = settings.model(site)
        self._refused_weight = refused_weight(self._model)
        self._max_sigma_m = settings.max_sigma_m
        self.site = site
        self._places = {anchor.id: _place(anchor, site) for anchor in site.anchors.values()}
        self._bias_sigmas_m = {
            anchor.id: max(self._model.bias_sigma_m, min(anchor.bias_sigma_m or 0.0, _MOST_BIAS_SIGMA_M))
            for anchor in site.anchors.values()
        }
        self._heights_m = _heights(site)

    def take(self, track: Track | None, solved: Solved) -> tuple[Track | None, Outcome]:
        """Take one group in; return the tag's track, None where it has none, and what the group gave.

        The anchors of its readings are on the map, or it is refused because they are not.
        The track given is changed; after an exception it is of no use.
        """
        if solved.reason == Reason.UNKNOWN_ANCHOR.value:
            return track, unanswered(solved)
        if track is not None and self._fits_site(track):
            track.parted = self._parted(track, solved)
            if track.parted < _PART_FIXES:
                return track, self._follow(track, solved)
        if solved.fix is None:
            return track, unanswered(solved)
        return self._start(track, solved, solved.fix)

    def _fits_site(self, track: Track) -> bool:
        """Whether the track was made for tags of the height that the site map now tells."""
        if self._heights_m is not None:
            return bool(track.state.cov[Z, Z] > 0.0)
        return bool(track.state.cov[Z, Z] == 0.0 and track.state.mean[Z] == (self.site.tag_height_m or 0.0))

    def _start(self, old: Track | None, solved: Solved, fix: Fix) -> tuple[Track, Outcome]:
        readings, heights_m = solved.readings, self._heights_m
        start = Start(
            at_us=max(map(track_time_us, readings)),
            clock_us=max(reading.kafka_time_us for reading in readings),
            height_sigma_m=0.0 if heights_m is None else (heights_m[1] - heights_m[0]) / _UNIFORM,
        )
        track = Track.at(fix, start, self._model, old)
        ranges = self._ranges(track, readings, fix)
        take(track.state, ranges, self._model, track.state.mean.size)
        self._keep_height(track)
        settle(track.state)
        return track, self._position(track, solved, fix.refused, _Residuals(None, 0, fix.residual_m))

    def _follow(self, track: Track, solved: Solved) -> Outcome:
        readings = sorted(solved.readings, key=track_time_us)
        newest_us = track_time_us(readings[-1])
        if newest_us < track.at_us - _MAX_LAG_US:
            behind_s, at_most_s = (track.at_us - newest_us) / 1e6, _MAX_LAG_US / 1e6
            return refused(
                solved, Reason.LATE, Stage.TRACK, f"{behind_s:g} s behind the tag's track; at most {at_most_s:g} s"
            )
        elapsed_us = max(newest_us - track.at_us, 0)
        track.at_us += elapsed_us
        track.clock_us = max(track.clock_us, *(reading.kafka_time_us for reading in readings))
        in_time = [reading for reading in readings if track_time_us(reading) >= newest_us - _MAX_LAG_US]
        ranges = self._ranges(track, in_time, solved.fix)
        squares, residual_m = advance(track.state, ranges, elapsed_us / 1e6, _conviction(solved), self._model)
        self._keep_height(track)
        is_used = ranges.weights >= self._refused_weight
        used = {reading.anchor for reading, one in zip(in_time, is_used, strict=True) if one}
        if not used:
            if solved.fix is None:
                return unanswered(solved)
            return refused(solved, Reason.INCONSISTENT_RANGES, Stage.TRACK, "no range agrees with the track")
        unused = [reading.anchor for reading in readings if reading.anchor not in used]
        return self._position(track, solved, unused, _Residuals(squares, len(used), residual_m))

    def _ranges(self, track: Track, readings: Sequence[Reading], fix: Fix | None) -> Ranges:
        """Return readings as the filter takes them; those that the fix was better without have to convince it."""
        doubted = () if fix is None else fix.refused
        slots = track.slots([reading.anchor for reading in readings], self._bias_sigmas_m)
        places = [self._places[reading.anchor] for reading in readings]
        return Ranges(
            lag_s=np.array([(track.at_us - track_time_us(reading)) / 1e6 for reading in readings]),
            anchors=np.array([place[:3] for place in places]),
            ranges_m=np.array([one.distance_m - place[3] for one, place in zip(readings, places, strict=True)]),
            slots=np.array(slots),
            weights=np.array([self._refused_weight if one.anchor in doubted else 1.0 for one in readings]),
            # An anchor that has left the map is believed to have no bias.
            bias_sigmas_m=np.array([self._bias_sigmas_m.get(anchor, 0.0) for anchor in track.anchors]),
        )

    def _keep_height(self, track: Track) -> None:
        """Turn a height that has passed a bound back: on either side of a ceiling its anchors see the same ranges."""
        if self._heights_m is None:
            return
        lowest_m, highest_m = self._heights_m
        z_m = track.state.mean[Z]
        z_m = 2.0 * lowest_m - z_m if z_m < lowest_m else 2.0 * highest_m - z_m if z_m > highest_m else z_m
        track.state.mean[Z] = min(max(z_m, lowest_m), highest_m)

    def _parted(self, track: Track, solved: Solved) -> float:
        """Return how much the last fixes in a row speak against the track, with this one."""
        fix, ahead_us = solved.fix, max(map(track_time_us, solved.readings)) - track.at_us
        if fix is None or ahead_us < 0:  # of the past, it says nothing of the place now
            return track.parted
        mean, cov = track.state.mean, track.state.cov
        ahead_s = min(ahead_us / 1e6, self._model.velocity_memory_s)
        dx_m, dy_m = fix.x_m - mean[X] - ahead_s * mean[VX], fix.y_m - mean[Y] - ahead_s * mean[VY]
        if fix.cov_xx_m2 is None or fix.cov_xy_m2 is None or fix.cov_yy_m2 is None:
            xx, xy, yy = (_UNKNOWN_SIGMA_M * fix.gdop) ** 2 / 2, 0.0, (_UNKNOWN_SIGMA_M * fix.gdop) ** 2 / 2
        else:
            xx, xy, yy = fix.cov_xx_m2, fix.cov_xy_m2, fix.cov_yy_m2
        moved_m2 = (self._model.turn_speed_m_s * ahead_us / 1e6) ** 2
        xx, xy, yy = xx + cov[X, X] + moved_m2, xy + cov[X, Y], yy + cov[Y, Y] + moved_m2
        distance = (dx_m * dx_m * yy - 2 * dx_m * dy_m * xy + dy_m * dy_m * xx) / (xx * yy - xy * xy)
        return track.parted + _conviction(solved) if distance > _PART_SIGMAS**2 else 0.0

    def _position(self, track: Track, solved: Solved, unused: Sequence[str], residuals: _Residuals) -> Outcome:
        mean, cov = track.state.mean, track.state.cov
        cov_xx_m2, cov_xy_m2, cov_yy_m2 = track.cov_m2()
        sigma_m = math.sqrt((cov_xx_m2 + cov_yy_m2) / 2)
        if sigma_m > self._max_sigma_m:
            detail = f"accuracy is {sigma_m:.3g} m, max_sigma_m is {self._max_sigma_m:g}"
            return refused(solved, Reason.DEGENERATE_GEOMETRY, Stage.TRACK, detail)
        speed_m_s = math.hypot(mean[VX], mean[VY])
        course_deg = math.degrees(math.atan2(mean[VX], mean[VY])) % 360.0
        is_solved_for_z = cov[Z, Z] > 0.0
        return Position(
            fix_id=fix_id(solved.readings),
            tag=solved.tag,
            at_us=track.at_us,
            x_m=float(mean[X]),
            y_m=float(mean[Y]),
            z_m=float(mean[Z]) if is_solved_for_z else self.site.tag_height_m,
            cov_xx_m2=cov_xx_m2,
            cov_xy_m2=cov_xy_m2,
            cov_yy_m2=cov_yy_m2,
            var_zz_m2=float(cov[Z, Z]) if is_solved_for_z else None,
            speed_m_s=speed_m_s,
            course_deg=course_deg if speed_m_s > _REST_SPEED_M_S else None,
            **residuals._asdict(),
            gdop=None if solved.fix is None else solved.fix.gdop,
            refused=unused,
            map_version=self.site.version,
            readings=solved.readings,
        )


def warm_up() -> None:
    """Compile the filter, or load it, so that the first group does not wait for that."""
    reading = Reading("", "", 1.0, 1, 1, False, False, False, 0, 0)  # noqa: FBT003
    fix = Fix(1.0, 0.0, None, None, None, None, None, None, 1.0, (), "")
    tracker = Tracker(Site("", {"": Anchor("", 0.0, 0.0)}), TrackSettings())
    track, _ = tracker.take(None, Solved("", [reading], fix, None, None))
    tracker.take(track, Solved("", [reading], None, None, None))


def track_time_us(reading: Reading) -> int:
    """Return when a range was measured, as well as can be known.

    It was no later than Kafka had it, whatever an anchor's clock says. A time in whole seconds tells no more than the
    second (the anchors of this system send nothing finer): then Kafka's time does, if it is no more than a second after
    that second.
    """
    measured_at_us, kafka_time_us = reading.measured_at_us, reading.kafka_time_us
    if measured_at_us % _SECOND_US == 0 and kafka_time_us <= measured_at_us + 2 * _SECOND_US:
        return kafka_time_us
    return min(measured_at_us, kafka_time_us)


def _conviction(solved: Solved) -> float:
    """Return how well a group's ranges agree with each other, from 0 to 1.

    It is 1 where they do so beyond what any three would, those refused being outvoted twice.
    """
    if solved.fix is None:
        return 0.3
    return 1.0 if len(solved.readings) - 2 * len(solved.fix.refused) > MIN_ANCHORS else 0.5


def _place(anchor: Anchor, site: Site) -> tuple[float, float, float, float]:
    """Return an anchor's place, and its bias (m); one without a height is at the tags'."""
    z_m = (site.tag_height_m or 0.0) if anchor.z_m is None else anchor.z_m
    return anchor.x_m, anchor.y_m, z_m, anchor.bias_m


def _heights(site: Site) -> tuple[float, float] | None:
    """Return the lowest and the highest height (m) of tags where their height is solved for, else None."""
    if site.tag_height_m is not None or site.tag_height_range_m is None:
        return None
    return site.tag_height_range_m if all(one.z_m is not None for one in site.anchors.values()) else None
