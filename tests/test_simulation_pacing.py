"""Pacing: waiting, and what is said about not keeping up."""

from __future__ import annotations

import pytest

from pipeline.simulation.pacing import Pace


@pytest.mark.parametrize(("speedup", "wait_s"), [(1.0, 7.0), (2.0, 2.0), (4.0, -0.5), (0.0, 0.0)])
def test_waits_until_an_event_is_due(speedup: float, wait_s: float) -> None:
    assert Pace(speedup).wait_s(simulated_s=10.0, elapsed_s=3.0) == wait_s


def test_tells_of_lag_once_then_every_ten_seconds_and_when_it_is_over() -> None:
    pace = Pace()
    waits = [(0.1, 0), (-0.9, 1), (-1.5, 2), (-2.0, 3), (-3.0, 11.9), (-4.0, 12.1), (-0.6, 13), (-0.4, 14), (-0.9, 15)]
    told = [pace.complaint(wait_s, elapsed_s) for wait_s, elapsed_s in waits]
    assert [text is not None for text in told] == [False, False, True, False, False, True, False, True, False]
    assert told[2] is not None
    assert told[2].startswith("1.5 s behind")
    assert told[7] == "caught up"
