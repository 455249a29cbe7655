"""Stage untracked, where tracking is switched off: each fix is a position, and a group without one is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipeline.model import Position, Solved
from pipeline.positioning.solve import unanswered, untracked
from pipeline.transforms.metrics import MeteredFn
from pipeline.transforms.outputs import POSITIONS, rejected, sort_out


class Untracked(beam.PTransform):
    """``PCollection[Solved]`` to a dict of ``positions`` and ``rejected``: every reading of a group without a fix."""

    def expand(self, solved: beam.PCollection[Solved]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(solved, "Untracked", UntrackedFn(), POSITIONS, Position)


class UntrackedFn(MeteredFn):
    """See :class:`Untracked`."""

    def __init__(self) -> None:
        super().__init__("untracked")

    def process(self, solved: Solved) -> Iterator[Any]:
        """Pass a fix on, or reject."""
        self._metrics.add("in")
        position = untracked(solved)
        if position is not None:
            self._metrics.add("out")
            yield position
            return
        for rejection in unanswered(solved):
            self._metrics.rejected(rejection.reason)
            yield rejected(rejection)
