"""What a scene is made of: checked settings, with the faults that it is to contain."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import NamedTuple

MAX_TAGS = 100_000

# Field: least and greatest allowed value. ``beam-rtls simulate`` refuses by the same table.
LIMITS: dict[str, tuple[float, float]] = {
    "tags": (1, MAX_TAGS),
    "seed": (0, 2**63 - 1),
    "still_share": (0, 1),
    "walking_speed_m_s": (0.01, 20),
    "noise_m": (0, 10),
    "bias_m": (-10, 10),
    "bias_spread_m": (0, 10),
    "outlier_share": (0, 1),
    "outlier_mean_m": (0, 1000),
    "lost_share": (0, 1),
    "max_range_m": (0.01, 100),
    "clock_offset_s": (0, 3600),
    "delay_s": (0, 60),
    "jitter_s": (0, 60),
    "battery_low_share": (0, 1),
    "battery_low_at_s": (0, math.inf),
}


class SceneError(ValueError):
    """A scene that cannot be played; the message names the setting, what was expected and what was given."""


class AnchorFault(NamedTuple):
    """Something wrong with one anchor for a time: ``from_s`` after the start, for ``lasts_s`` seconds."""

    anchor_id: str
    from_s: float
    lasts_s: float

    @classmethod
    def parse(cls, text: str) -> AnchorFault:
        """Return the fault written as ``ANCHOR:FROM:SECONDS``; an anchor's id may have colons of its own.

        Raises:
            SceneError: the text is of another form, or a time is no finite number of seconds from 0.
        """
        with contextlib.suppress(ValueError):
            anchor_id, from_s, lasts_s = text.rsplit(":", 2)
            fault = cls(anchor_id, float(from_s), float(lasts_s))
            if anchor_id and 0 <= fault.from_s < math.inf and 0 < fault.lasts_s < math.inf:
                return fault
        raise SceneError(f"expected ANCHOR:FROM:SECONDS, as in A0:20:30, got {text!r}")


class TearOff(NamedTuple):
    """A tag that is torn off ``at_s`` seconds after the start. Tags count from 0."""

    tag_index: int
    at_s: float

    @classmethod
    def parse(cls, text: str) -> TearOff:
        """Return the tear-off written as ``TAG:AT``.

        Raises:
            SceneError: the text is of another form, or not a whole and a finite number from 0.
        """
        with contextlib.suppress(ValueError):
            tag_index, at_s = text.split(":")
            parsed = cls(int(tag_index), float(at_s))
            if parsed.tag_index >= 0 and 0 <= parsed.at_s < math.inf:
                return parsed
        raise SceneError(f"expected TAG:AT, a tag's number and seconds, as in 3:15, got {text!r}")


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What is simulated. Lengths in metres, times in seconds, shares from 0 to 1.

    Attributes:
        tags: how many tags.
        seed: the same seed and settings give the same events, to the bit.
        still_share: share of tags that never move, spread evenly over the tag numbers.
        walking_speed_m_s: middle of the walking speeds; each leg of a walk has its own, within 30 % of it.
        noise_m: standard deviation of a reading's Gaussian error.
        bias_m: middle of the constant errors of the tag-anchor pairs.
        bias_spread_m: half the width of their uniform distribution.
        outlier_share: share of readings without line of sight.
        outlier_mean_m: mean of the exponential error added to those.
        lost_share: share of rangings that fail although the anchor was to publish them.
        max_range_m: an anchor hears tags up to here; None: the site's ``max_distance_m``, 100 m at most.
        clock_offset_s: standard deviation of the anchors' constant clock errors.
        delay_s: least time from a ranging (or a batch's end) to its record's publication.
        jitter_s: mean of the exponential time added to that.
        fine_timestamps: stamps with microseconds instead of whole seconds.
        many_tags_per_record: an anchor puts all tags measured within 50 ms into one record.
        battery_low_share: share of tags whose battery becomes low.
        battery_low_at_s: when it does.
        outages: anchors that are dead for a time: no readings, no heartbeats.
        clock_losses: anchors whose clock starts at 1970 and is set by NTP only at the end of the time given.
        tear_offs: tags that are torn off.
    """

    tags: int = 10
    seed: int = 1
    still_share: float = 0.2
    walking_speed_m_s: float = 1.0
    noise_m: float = 0.08
    bias_m: float = 0.1
    bias_spread_m: float = 0.05
    outlier_share: float = 0.01
    outlier_mean_m: float = 2.0
    lost_share: float = 0.02
    max_range_m: float | None = None
    clock_offset_s: float = 0.02
    delay_s: float = 0.003
    jitter_s: float = 0.004
    fine_timestamps: bool = False
    many_tags_per_record: bool = False
    battery_low_share: float = 0.0
    battery_low_at_s: float = 0.0
    outages: tuple[AnchorFault, ...] = ()
    clock_losses: tuple[AnchorFault, ...] = ()
    tear_offs: tuple[TearOff, ...] = ()

    def __post_init__(self) -> None:
        """Check all that does not need the site.

        Raises:
            SceneError: a value out of its limits, or a tag to tear off that does not exist.
        """
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SceneError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}")
        for fault in (*self.outages, *self.clock_losses):
            if not (0 <= fault.from_s < math.inf and 0 < fault.lasts_s < math.inf):
                raise SceneError(
                    f"fault of anchor {fault.anchor_id}: expected a start of 0 s or more and a length over 0 s"
                )
        for tear_off in self.tear_offs:
            if not 0 <= tear_off.tag_index < self.tags:
                raise SceneError(
                    f"tear-off of tag {tear_off.tag_index}: expected a tag from 0 to {self.tags - 1}",
                )
            if not 0 <= tear_off.at_s < math.inf:
                raise SceneError(f"tear-off of tag {tear_off.tag_index}: expected 0 s or more, got {tear_off.at_s}")
