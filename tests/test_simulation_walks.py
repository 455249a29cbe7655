"""Walks: an exact function of time, within the box, never faster than a walker."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.simulation.walks import SPEED_SPREAD, Box, Walks

BOX = Box(-3.0, 1.0, 27.0, 12.0)
MOVING = np.zeros(5, dtype=np.bool_)
ALL = np.arange(5)


def places(walks: Walks, at_s: float) -> NDArray[np.float64]:
    return walks.positions(ALL, np.full(5, at_s))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), at_s=st.floats(0, 600), step_s=st.floats(0.001, 2))
def test_nobody_goes_faster_than_the_fastest_walker(seed: int, at_s: float, step_s: float) -> None:
    walks = Walks(BOX, MOVING, 1.0, seed)
    gone_m = np.hypot(*(places(walks, at_s + step_s) - places(walks, at_s)).T)
    assert (gone_m <= (1 + SPEED_SPREAD) * step_s + 1e-9).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), times_s=st.lists(st.floats(0, 300), min_size=1, max_size=8))
def test_the_order_of_asking_does_not_matter(seed: int, times_s: list[float]) -> None:
    walks = Walks(BOX, MOVING, 1.0, seed)
    for at_s in times_s:
        np.testing.assert_array_equal(places(walks, at_s), places(Walks(BOX, MOVING, 1.0, seed), at_s))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), at_s=st.floats(0, 600))
def test_everybody_stays_in_the_box(seed: int, at_s: float) -> None:
    x_m, y_m = places(Walks(BOX, MOVING, 1.0, seed), at_s).T
    assert (BOX.x_min_m - 1e-9 <= x_m).all()
    assert (x_m <= BOX.x_max_m + 1e-9).all()
    assert (BOX.y_min_m - 1e-9 <= y_m).all()
    assert (y_m <= BOX.y_max_m + 1e-9).all()


def test_walkers_get_about_and_pause() -> None:
    walks = Walks(BOX, MOVING, 1.0, 1)
    path_m = np.array([places(walks, step / 10) for step in range(3000)])
    speed_m_s = np.hypot(*np.diff(path_m, axis=0).transpose(2, 0, 1)) / 0.1
    assert 0.5 < speed_m_s.mean() < 1.1
    assert 0.01 < (speed_m_s < 1e-9).mean() < 0.3
    assert np.abs(np.diff(speed_m_s, axis=0)).max() <= 0.1 + 1e-6  # 1 m/s², at most


def test_a_still_tag_stays() -> None:
    walks = Walks(BOX, np.array([True, False, True, False, False]), 1.0, 7)
    moved_m = np.hypot(*(places(walks, 500.0) - places(walks, 0.0)).T)
    assert ((moved_m == 0) == [True, False, True, False, False]).all()


def test_a_box_without_extent_does_not_hang() -> None:
    walks = Walks(Box(1, 1, 1, 1), MOVING, 1.0, 1)
    np.testing.assert_array_equal(places(walks, 100.0), np.ones((5, 2)))
