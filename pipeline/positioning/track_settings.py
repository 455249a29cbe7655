"""What is believed of ranges, biases and motion when tags are tracked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from pipeline.positioning.track_motion import Model
from pipeline.site import Site


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What is believed of ranges, biases and motion.

    How they are used stands in the modules ``track_motion``, ``track_ranges`` and ``track_filter``.

    Attributes:
        max_sigma_m: a track known worse than this (m) gives no position.
        range_sigma_m: standard deviation of a range. More than the radio alone has (0.03 m), for errors hold on over
            several rounds.
        tail_degrees: degrees of freedom of Student's t; with few, a range far off weighs little.
        gate: how many ``range_sigma_m`` from where the tag is found to be a range counts as refused.
        acceleration_psd: of the white acceleration of a moving tag (m²/s³).
        velocity_memory_s: how long a velocity lasts.
        place_psd: jitter of the place of a moving tag (m²/s).
        height_psd: of a height that is not known (m²/s).
        still_psd: of the place of a tag that stands still (m²/s).
        start_speed_m_s: speed (standard deviation) of a tag that starts.
        still_after_s: a tag that has stayed in place so long stands still …
        still_radius_m: … in place meaning within this radius, or within the accuracy …
        still_within_m: … where that is better than this.
        moving_evidence: log-likelihood ratio at which a tag that stood still is moving.
        turn_m: how far a track that most ranges speak against may be off, and
        turn_speed_m_s: its velocity.
        offset_sigma_m: by how much all ranges of a tag may be wrong together, and
        offset_memory_s: for how long.
        bias_sigma_m: by how much those of one anchor may be wrong besides, and
        bias_memory_s: for how long.

    Raises:
        ValueError: a setting is not a positive, finite number.
    """

    max_sigma_m: float = 5.0
    range_sigma_m: float = 0.1
    tail_degrees: float = 4.0
    gate: float = 5.0
    acceleration_psd: float = 0.7
    velocity_memory_s: float = 10.0
    place_psd: float = 0.01
    height_psd: float = 0.01
    still_psd: float = 1e-4
    start_speed_m_s: float = 0.5
    still_after_s: float = 5.0
    still_radius_m: float = 0.3
    still_within_m: float = 0.6
    moving_evidence: float = 6.0
    turn_m: float = 0.3
    turn_speed_m_s: float = 2.0
    offset_sigma_m: float = 0.2
    offset_memory_s: float = 100.0
    bias_sigma_m: float = 0.04
    bias_memory_s: float = 1000.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{field.name} must be positive and finite, got {value!r}")

    def model(self, site: Site) -> Model:
        """Return what the filter believes on a site."""
        names = [name for name in Model._fields if name != "speed_limit_m_s"]
        return Model(
            **{name: float(getattr(self, name)) for name in names}, speed_limit_m_s=float(site.speed_limit_m_s)
        )
