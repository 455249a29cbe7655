"""Where a tag was at any time, from the places of it that are known: surveyed points it stood at, or a track."""

from __future__ import annotations

import numpy as np

from pipeline.positioning.robust import Floats

MAX_GAP_S = 1.0
STANDING_M = 0.1


def places_at(track: Floats, at_s: Floats) -> Floats:
    """Return the places (n, 3) at some times, by straight lines between known ones; nan where there is no telling.

    There is none before the first and after the last known time, and none in a gap of more than a second over which the
    tag moved more than 10 cm. A tag with one place stood there all the time. A z that is nan stays so.

    Args:
        track: known places in order of time, at least one: t (s), x, y, z (m).
        at_s: the times (n).
    """
    times_s, known_m = track[:, 0], track[:, 1:]
    if len(track) == 1:
        return np.repeat(known_m, at_s.size, axis=0)
    places_m = np.column_stack([np.interp(at_s, times_s, axis) for axis in known_m.T])
    after = np.clip(np.searchsorted(times_s, at_s), 1, len(track) - 1)
    moved_m = np.linalg.norm(np.nan_to_num(known_m[after] - known_m[after - 1]), axis=1)
    is_known = (at_s >= times_s[0]) & (at_s <= times_s[-1])
    is_known &= (times_s[after] - times_s[after - 1] <= MAX_GAP_S) | (moved_m <= STANDING_M) | np.isin(at_s, times_s)
    return np.where(is_known[:, None], places_m, np.nan)
