"""Stage untracked, where tracking is switched off: each fix is a position, and a group without one is rejected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from pipeline.model import Position, Solved
from pipeline.positioning.solve import unanswered, untracked
from pipeline.transforms.metrics import MeteredFn
from pipeline.transforms.outputs import POSITIONS, rejected, sort_out


class Untracked(beam.PTransform):
    """``PCollection[list[Solved]]`` to a dict of ``positions``, in lists, and ``rejected``.

    Rejected is every reading of a group without a fix.
    """

    def expand(self, solved: beam.PCollection[list[Solved]]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(solved, "Untracked", UntrackedFn(), POSITIONS, Iterable[Position])


class UntrackedFn(MeteredFn):
    """See :class:`Untracked`."""

    def __init__(self) -> None:
        super().__init__("untracked")

    def process(self, solved: Sequence[Solved]) -> Iterator[Any]:
        """Pass fixes on, and reject what has none."""
        self._metrics.add("in", len(solved))
        positions: list[Position] = []
        for one in solved:
            position = untracked(one)
            if position is not None:
                positions.append(position)
                continue
            for rejection in unanswered(one):
                self._metrics.rejected(rejection.reason)
                yield rejected(rejection)
        if positions:
            self._metrics.add("out", len(positions))
            yield positions
