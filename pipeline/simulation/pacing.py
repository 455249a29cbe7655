"""How fast a scene is played, and what is said when that cannot be kept up. The clock is the caller's."""

from __future__ import annotations

from dataclasses import dataclass

LAG_WORTH_TELLING_S = 1.0
TELL_AGAIN_AFTER_S = 10.0


@dataclass(slots=True)
class Pace:
    """Plays ``speedup`` simulated seconds a second; 0 is as fast as possible."""

    speedup: float = 1.0
    _told_at_s: float | None = None

    def wait_s(self, simulated_s: float, elapsed_s: float) -> float:
        """Return how long to wait until something is due; negative where it is late.

        Args:
            simulated_s: when it happens, simulated seconds since the start.
            elapsed_s: now, real seconds since the start.
        """
        return simulated_s / self.speedup - elapsed_s if self.speedup else 0.0

    def complaint(self, wait_s: float, elapsed_s: float) -> str | None:
        """Return what to tell the user about the lag, if anything: at once, then every 10 s, and when it is over."""
        lag_s = -wait_s
        if self._told_at_s is None:
            if lag_s < LAG_WORTH_TELLING_S:
                return None
            self._told_at_s = elapsed_s
        elif lag_s < LAG_WORTH_TELLING_S / 2:
            self._told_at_s = None
            return "caught up"
        elif elapsed_s < self._told_at_s + TELL_AGAIN_AFTER_S:
            return None
        self._told_at_s = elapsed_s
        return (
            f"{lag_s:.1f} s behind; nothing is dropped, but records come late (fewer --tags, or --tags-per-record many)"
        )
