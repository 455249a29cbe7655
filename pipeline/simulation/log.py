"""A play as the lines of a log, in the columns of public ranging logs: seconds and metres."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.simulation.events import AnchorRecord
from pipeline.simulation.scene import Scene

READINGS_HEADER = "t,tag_id,anchor_id,distance_m\n"
TRUTH_HEADER = "t,tag_id,x,y,z\n"
TRUTH_INTERVAL_S = 0.2


def reading_lines(record: AnchorRecord, start_us: int) -> Iterator[str]:
    """Return a line for each reading; its time is the anchor's stamp, counted from the scene's start."""
    stamped_s = (record.stamped_us - start_us) / 1e6
    for reading in record.readings:
        yield f"{stamped_s:.6f},{reading.tag_id},{record.anchor_id},{reading.distance_m:.6f}\n"


class TruthLog:
    """Where all tags truly are at regular times, given out piece by piece."""

    def __init__(self, scene: Scene) -> None:
        """Begin at the scene's start."""
        self._scene = scene
        self._steps = 0

    def before(self, end_s: float) -> Iterator[str]:
        """Return the lines for the times that have not been given out yet and lie before ``end_s``."""
        while (at_s := self._steps * TRUTH_INTERVAL_S) < end_s:
            self._steps += 1
            yield from self._at(at_s)

    def to_the_end(self, end_s: float) -> Iterator[str]:
        """Return the lines that are left, ``end_s`` included whether or not it is one of the regular times."""
        yield from self.before(end_s)
        yield from self._at(end_s)

    def _at(self, at_s: float) -> Iterator[str]:
        for tag_id, x_m, y_m, z_m in self._scene.truth(at_s):
            yield f"{at_s:.6f},{tag_id},{x_m:.6f},{y_m:.6f},{z_m:.6f}\n"
