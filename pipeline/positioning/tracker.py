"""Tracking: what the groups of a tag, one after the other, tell of where it is.

A track takes every range at its own time, also those of groups that have no fix of their own. A fix is needed to begin,
and to begin anew where the track and the fixes have parted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import cast

import numpy as np

from pipeline.model import Fix, Position, Reading, Reason, Rejected, Solved, Stage
from pipeline.positioning import track_groups as kernel
from pipeline.positioning.fix_id import fix_id
from pipeline.positioning.solve import refused, unanswered
from pipeline.positioning.track import Track
from pipeline.positioning.track_groups import Found, Given, Hall, Room, room_for
from pipeline.positioning.track_numbers import (
    EXACT,
    EXACT_BYTES,
    MAX_BIASES,
    NO_TRACK,
    ROUNDED,
    ROUNDED_BYTES,
    Tracks,
)
from pipeline.positioning.track_settings import TrackSettings
from pipeline.site import Anchor, Site

_MOST_BIAS_SIGMA_M = 0.2
"""Of an anchor that is out of place the map may tell any bias; in a track that would drown what is known."""
_NEVER_US = 2**62
_READINGS = 16
"""Room in a group to begin with."""

_NOTHING = bytes(EXACT_BYTES)
_NO_FIX = (None,) * kernel.OF_FIX

Outcome = Position | list[Rejected]
"""What a group gave: the tag's position, or the rejection of all its readings."""


class Tracker:
    """What all tracks of a site have in common.

    Args:
        site: where the anchors are.
        settings: what is believed.
        tag_expiry_us: a tag silent for so long begins a new track.
    """

    def __init__(self, site: Site, settings: TrackSettings, tag_expiry_us: int = _NEVER_US) -> None:
        self.site = site
        self._model = settings.model(site)
        self._names = list(site.anchors)
        self._rows = {name: row for row, name in enumerate(self._names)}
        self._hall = _hall(site, settings, tag_expiry_us)
        self._room = room_for(_READINGS)

    def take(self, track: Track | None, solved: Solved) -> tuple[Track | None, Outcome]:
        """Take one group in, as :meth:`take_all` does; return the tag's track and what the group gave."""
        tracks, (outcome,) = self.take_all({solved.tag: track}, {solved.tag: [solved]})
        return tracks[solved.tag], outcome

    def take_all(
        self, tracks: Mapping[str, Track | None], groups: Mapping[str, Sequence[Solved]]
    ) -> tuple[dict[str, Track | None], list[Outcome]]:
        """Take all groups of some tags in, in the order given; one tag knows nothing of another.

        The anchors of a group's readings are on the map, or it is refused because they are not.

        Args:
            tracks: of each tag, None where it has none.
            groups: of each tag, one or more, each with a reading or more.

        Returns:
            The tags' tracks, None where a tag has none; and what the groups gave, tag by tag.
        """
        solved = list(chain.from_iterable(groups.values()))
        before = [tracks[tag] for tag in groups]
        given = self._given(solved, [0, *accumulate(map(len, groups.values()))])
        found = kernel.found_for(given)
        kernel.take_all(self._hall, self._model, given, self._tracks(before), self._room_for(solved), found)
        after = self._kept(before, found.tracks)
        return dict(zip(groups, after, strict=True)), list(self._outcomes(solved, found))

    def _room_for(self, groups: Sequence[Solved]) -> Room:
        most = max([len(solved.readings) for solved in groups])
        if most > len(self._room.order):
            self._room = room_for(most)
        return self._room

    def _given(self, solved: Sequence[Solved], tags: list[int]) -> Given:
        _, anchors, distances_m, measured_us, kafka_us, *_ = zip(
            *chain.from_iterable(one.readings for one in solved), strict=True
        )
        groups: list[int] = []
        fixes: list[float | None] = []
        doubted: list[int] = []
        first = 0
        for _, readings, fix, reason, _ in solved:
            if fix is None:
                groups += (
                    first,
                    len(readings),
                    kernel.IS_REFUSED if reason == Reason.UNKNOWN_ANCHOR.value else kernel.NO_FIX,
                )
                fixes += _NO_FIX
            else:
                groups += first, len(readings), len(fix.refused)
                fixes += cast("tuple[float | None, ...]", fix[: kernel.OF_FIX])
                if fix.refused:
                    doubted += [first + at for at, reading in enumerate(readings) if reading.anchor in fix.refused]
            first += len(readings)
        is_doubted = np.zeros(len(anchors), np.bool_)
        is_doubted[doubted] = True
        row_of = self._rows.get
        return Given(
            times_us=np.array((measured_us, kafka_us), np.int64),
            distances_m=np.array(distances_m, np.float64),
            rows=np.array([row_of(anchor, kernel.UNKNOWN) for anchor in anchors], np.int64),
            is_doubted=is_doubted,
            groups=np.array(groups, np.int64).reshape(-1, 3),
            fixes=np.array(fixes, np.float64).reshape(-1, kernel.OF_FIX),
            tags=np.array(tags, np.int64),
        )

    def _tracks(self, tracks: Sequence[Track | None]) -> Tracks:
        row_of = self._rows.get
        whole: list[int] = []
        rows: list[int] = []
        exact: list[bytes] = []
        rounded: list[bytes] = []
        numbers = 0
        for track in tracks:
            if track is None:
                whole += 0, 0, NO_TRACK, 0, 0
                exact.append(_NOTHING)
            else:
                known = len(track.anchors)
                whole += track.at_us, track.clock_us, known, len(rows), numbers
                numbers += ROUNDED[known]
                rows += [row_of(anchor, kernel.UNKNOWN) for anchor in track.anchors]
                exact.append(track.exact)
                rounded.append(track.rounded)
        return Tracks(
            np.array(whole, np.int64).reshape(-1, 5),
            np.array(rows, np.int64),
            np.frombuffer(b"".join(exact)).reshape(-1, EXACT),
            np.frombuffer(b"".join(rounded), np.float32),
        )

    def _kept(self, before: Sequence[Track | None], tracks: Tracks) -> Iterator[Track | None]:
        exact, rounded, rows = tracks.exact.tobytes(), tracks.rounded.tobytes(), tracks.rows.tolist()
        for index, (old, (at_us, clock_us, known)) in enumerate(zip(before, tracks.whole.tolist(), strict=True)):
            if known == NO_TRACK:
                yield None
                continue
            row, number, other = index * MAX_BIASES, index * EXACT_BYTES, index * ROUNDED_BYTES[MAX_BIASES]
            yield Track(
                at_us,
                clock_us,
                self._named(rows[row : row + known], () if old is None else old.anchors),
                exact[number : number + EXACT_BYTES],
                rounded[other : other + ROUNDED_BYTES[known]],
            )

    def _named(self, rows: list[int], before: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of a track's anchors; one that is not on the map stands where it stood before."""
        names = self._names
        return tuple([names[row] if row >= 0 else before[slot] for slot, row in enumerate(rows)])

    def _outcomes(self, groups: Sequence[Solved], found: Found) -> Iterator[Outcome]:
        first = 0
        for solved, (verdict, time_us, used), said in zip(
            groups, found.verdicts.tolist(), found.places.tolist(), strict=True
        ):
            fix, readings = solved.fix, solved.readings
            if verdict == kernel.FOLLOWED:
                unused: Sequence[str] = ()
                if used < len(readings):
                    places = found.unused[first : first + len(readings) - used].tolist()
                    unused = [readings[place].anchor for place in places]
                yield self._position(solved, time_us, said, unused, said[kernel.SQUARES], used, said[kernel.RESIDUAL])
            elif verdict == kernel.STARTED and fix is not None:
                yield self._position(solved, time_us, said, fix.refused, None, 0, fix.residual_m)
            else:
                yield self._refused(solved, verdict, time_us, said[kernel.SIGMA])
            first += len(readings)

    def _position(  # noqa: PLR0917
        self,
        solved: Solved,
        at_us: int,
        said: list[float],
        unused: Sequence[str],
        nis: float | None,
        nis_dof: int,
        residual_m: float | None,
    ) -> Position:
        x_m, y_m, z_m, xx, xy, yy, zz, speed_m_s, course_deg, *_ = said
        is_solved_for_z = zz > 0.0
        return Position(
            fix_id(solved.readings),
            solved.tag,
            at_us,
            x_m,
            y_m,
            z_m if is_solved_for_z else self.site.tag_height_m,
            xx,
            xy,
            yy,
            zz if is_solved_for_z else None,
            speed_m_s,
            course_deg if course_deg >= 0.0 else None,
            residual_m,
            None if solved.fix is None else solved.fix.gdop,
            nis,
            nis_dof,
            unused,
            self.site.version,
            solved.readings,
        )

    def _refused(self, solved: Solved, verdict: int, late_us: int, sigma_m: float) -> list[Rejected]:
        if verdict == kernel.LATE:
            behind_s, at_most_s = late_us / 1e6, kernel.MAX_LAG_US / 1e6
            return refused(
                solved, Reason.LATE, Stage.TRACK, f"{behind_s:g} s behind the tag's track; at most {at_most_s:g} s"
            )
        if verdict == kernel.INCONSISTENT:
            return refused(solved, Reason.INCONSISTENT_RANGES, Stage.TRACK, "no range agrees with the track")
        if verdict == kernel.UNCERTAIN:
            detail = f"accuracy is {sigma_m:.3g} m, max_sigma_m is {self._hall.max_sigma_m:g}"
            return refused(solved, Reason.DEGENERATE_GEOMETRY, Stage.TRACK, detail)
        return unanswered(solved)


def warm_up() -> None:
    """Compile the filter, or load it, so that the first group does not wait for that."""
    reading = Reading("", "", 1.0, 1, 1, False, False, False, 0, 0)  # noqa: FBT003
    fix = Fix(1.0, 0.0, None, None, None, None, None, None, 1.0, (), "")
    tracker = Tracker(Site("", {"": Anchor("", 0.0, 0.0)}), TrackSettings())
    tracker.take(None, Solved("", [reading], fix, None, None))


def _hall(site: Site, settings: TrackSettings, tag_expiry_us: int) -> Hall:
    """Return a site in numbers; an anchor without a height is at the tags'."""
    anchors, height_m = list(site.anchors.values()), site.tag_height_m or 0.0
    lowest_m, highest_m = _heights(site) or (math.nan, math.nan)
    sigmas_m = [max(settings.bias_sigma_m, min(one.bias_sigma_m or 0.0, _MOST_BIAS_SIGMA_M)) for one in anchors]
    places_m = [(one.x_m, one.y_m, height_m if one.z_m is None else one.z_m) for one in anchors]
    return Hall(
        places_m=np.array(places_m, np.float64).reshape(-1, 3),
        biases_m=np.array([one.bias_m for one in anchors], np.float64),
        bias_sigmas_m=np.array(sigmas_m, np.float64),
        height_m=float(height_m),
        lowest_m=float(lowest_m),
        highest_m=float(highest_m),
        max_sigma_m=float(settings.max_sigma_m),
        expiry_us=tag_expiry_us,
    )


def _heights(site: Site) -> tuple[float, float] | None:
    """Return the lowest and the highest height (m) of tags where their height is solved for, else None."""
    if site.tag_height_m is not None or site.tag_height_range_m is None:
        return None
    return site.tag_height_range_m if all(one.z_m is not None for one in site.anchors.values()) else None
