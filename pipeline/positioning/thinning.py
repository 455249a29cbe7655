"""Of what a bundle heard of anchors, what has to be kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from pipeline.columns import Integers, changes
from pipeline.events import Sighting
from pipeline.positioning.anchor_watch import AnchorWatchSettings


def needed(anchor: Integers, kafka_time_us: Integers, stamped_us: Integers, settings: AnchorWatchSettings) -> list[int]:
    """Return which of many sightings there is need of: not as few as :func:`thinned` leaves, but found faster.

    They are cut where a window of the anchors' clocks ends, and at least every ``anchor_timeout``. Of an anchor and a
    cut they are the first, the last, and the one furthest ahead: between these there is no gap.

    Args:
        anchor: a number for each anchor.
        kafka_time_us: when Kafka had it.
        stamped_us: what the anchor's clock said.
        settings: of the anchor watch.
    """
    if not anchor.size:
        return []
    order = np.lexsort((kafka_time_us, anchor))
    anchor, kafka_time_us, stamped_us = anchor[order], kafka_time_us[order], stamped_us[order]
    begins = changes(anchor)
    begins |= changes(kafka_time_us // settings.skew_window_us) | changes(kafka_time_us // settings.anchor_timeout_us)
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(order)) - 1
    furthest = np.lexsort((stamped_us - kafka_time_us, np.cumsum(begins)))[lasts]
    found: list[int] = np.unique(order[np.concatenate((firsts, lasts, furthest))]).tolist()
    return found


def thinned(sightings: Iterable[Sighting], settings: AnchorWatchSettings) -> list[Sighting]:
    """Return of each anchor's sightings those without which the anchor watch would tell something else.

    Those are where it began and ceased to be heard without a gap over ``anchor_timeout``; between these as few as leave
    none; of each window of its clock the one furthest ahead; and of all the earliest, from which the watch counts.
    In a bundle of some milliseconds that is two or three an anchor, however many tags it heard.
    """
    by_anchor: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        by_anchor.setdefault(sighting.anchor, []).append(sighting)
    return [one for of_anchor in by_anchor.values() for one in _thinned(of_anchor, settings)]


def _thinned(of_anchor: list[Sighting], settings: AnchorWatchSettings) -> list[Sighting]:
    of_anchor.sort(key=lambda one: one.kafka_time_us)
    furthest: dict[int, tuple[int, int]] = {}
    for number, one in enumerate(of_anchor):
        if one.stamped_us is not None:
            window, ahead = one.kafka_time_us // settings.skew_window_us, (one.stamped_us - one.kafka_time_us, number)
            furthest[window] = max(furthest.get(window, ahead), ahead)
    needed = {number for _, number in furthest.values()} | {0, len(of_anchor) - 1}
    kept = of_anchor[0]
    for number, (one, following) in enumerate(pairwise(of_anchor)):
        if following.kafka_time_us - kept.kafka_time_us > settings.anchor_timeout_us:
            needed.add(number)
            kept = one
    return [of_anchor[number] for number in sorted(needed)]
