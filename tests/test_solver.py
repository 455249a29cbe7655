"""Solving for the height too, and that machine code gives the same bits whoever compiles it."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Reason
from pipeline.positioning.trilateration import Solution, SolverSettings, UnsolvableError, trilaterate, warm_up
from pipeline.site import Anchor

CORNERS = [(0.0, 0.0), (12.0, 0.0), (12.0, 9.0), (0.0, 9.0), (6.0, -1.0), (5.0, 10.0)]
CEILING = [Anchor(f"C{k}", x, y, 3.0, bias_sigma_m=0.0) for k, (x, y) in enumerate(CORNERS)]
STAGGERED = [replace(anchor, z_m=0.3 + 0.9 * (k % 4)) for k, anchor in enumerate(CEILING)]
ALIKE = SolverSettings(range_sigma_m=0.1)

halls = st.tuples(st.floats(1.0, 11.0), st.floats(1.0, 8.0), st.floats(0.1, 1.9))


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    warm_up()


def ranges_from(anchors: list[Anchor], tag: tuple[float, float, float]) -> list[float]:
    return [math.dist((a.x_m, a.y_m, 0.0 if a.z_m is None else a.z_m), tag) for a in anchors]


def place(found: Solution) -> tuple[float, float, float | None]:
    return found.x_m, found.y_m, found.z_m


@settings(deadline=None)
@given(tag=halls, count=st.integers(3, 6))
def test_under_a_ceiling_the_place_in_the_height_range_is_found(tag: tuple[float, float, float], count: int) -> None:
    found = trilaterate(CEILING[:count], ranges_from(CEILING[:count], tag), None, ALIKE, (0.0, 2.0))
    assert place(found) == pytest.approx(tag, abs=1e-5)
    assert (found.var_zz_m2 is None) == (found.cov_xx_m2 is None) == (count == 3)


def test_under_a_ceiling_without_a_floor_there_is_no_wild_guess() -> None:
    distances = ranges_from(CEILING, (4.0, 5.0, 1.0))
    for heights in ((0.0, 6.0), (-math.inf, math.inf)):
        with pytest.raises(UnsolvableError, match="two places fit") as caught:
            trilaterate(CEILING, distances, None, ALIKE, heights)
        assert caught.value.reason is Reason.DEGENERATE_GEOMETRY
    below = trilaterate(CEILING, distances, None, ALIKE, (-math.inf, 3.0))
    assert place(below) == pytest.approx((4.0, 5.0, 1.0), abs=1e-5)


@settings(deadline=None)
@given(
    tag=halls,
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(-1e2, 1e2)),
    mirror=st.sampled_from([1.0, -1.0]),
)
def test_moving_turning_and_mirroring_the_site_changes_nothing(
    tag: tuple[float, float, float], angle: float, shift: tuple[float, float, float], mirror: float
) -> None:
    noise = [0.05, -0.08, 0.02, 0.06, -0.04, -0.01]
    distances = [distance + error for distance, error in zip(ranges_from(STAGGERED, tag), noise, strict=True)]
    cosine, sine = math.cos(angle), math.sin(angle)

    def moved(x: float, y: float, z: float) -> tuple[float, float, float]:
        return cosine * x - sine * mirror * y + shift[0], sine * x + cosine * mirror * y + shift[1], z + shift[2]

    elsewhere = []
    for anchor in STAGGERED:
        x_m, y_m, z_m = moved(anchor.x_m, anchor.y_m, anchor.z_m or 0.0)
        elsewhere.append(replace(anchor, x_m=x_m, y_m=y_m, z_m=z_m))
    try:
        here = trilaterate(STAGGERED, distances, None, ALIKE, (-1.0, 3.0))
    except UnsolvableError as unsolvable:  # where it is hard to tell, it is as hard elsewhere
        with pytest.raises(UnsolvableError, match=unsolvable.reason.value):
            trilaterate(elsewhere, distances, None, ALIKE, (shift[2] - 1.0, shift[2] + 3.0))
        return
    there = trilaterate(elsewhere, distances, None, ALIKE, (shift[2] - 1.0, shift[2] + 3.0))
    assert here.z_m is not None
    assert place(there) == pytest.approx(moved(here.x_m, here.y_m, here.z_m), abs=1e-5)
    assert there.var_zz_m2 == pytest.approx(here.var_zz_m2, rel=1e-4)


def test_a_solved_height_reaches_the_cramer_rao_bound_and_says_so() -> None:
    rng, sigma, tag = np.random.default_rng(4), 0.05, (5.0, 4.0, 1.1)
    exact = np.array(ranges_from(STAGGERED, tag))
    rows = (np.array(tag) - [(a.x_m, a.y_m, a.z_m) for a in STAGGERED]) / exact[:, None]
    bound = sigma**2 * np.linalg.inv(rows.T @ rows)
    believed = SolverSettings(range_sigma_m=sigma)
    noisy = [(exact + rng.normal(0.0, sigma, 6)).tolist() for _ in range(2000)]
    found = []
    for distances in noisy:
        with contextlib.suppress(UnsolvableError):
            found.append(trilaterate(STAGGERED, distances, None, believed, (-10.0, 12.0)))
    found = [solution for solution in found if not solution.refused]
    errors = np.array([place(solution) for solution in found], dtype=np.float64) - tag
    assert len(errors) > 0.98 * len(noisy)
    assert np.trace(bound[:2, :2]) / np.mean((errors[:, :2] ** 2).sum(axis=1)) == pytest.approx(1.0, abs=0.1)
    assert bound[2, 2] / np.mean(errors[:, 2] ** 2) == pytest.approx(1.0, abs=0.1)
    said = [abs(e[2]) / math.sqrt(s.var_zz_m2 or 0.0) for e, s in zip(errors, found, strict=True)]
    assert np.mean(np.array(said) < 1.0) == pytest.approx(0.68, abs=0.08)


def test_a_height_that_the_ranges_hardly_tell_is_as_uncertain_as_its_range() -> None:
    flat = [replace(anchor, z_m=1.0) for anchor in CEILING]
    found = trilaterate(flat, ranges_from(flat, (4.0, 5.0, 1.0)), None, ALIKE, (0.9, 1.1))
    assert place(found)[:2] == pytest.approx((4.0, 5.0), abs=0.01)
    assert found.var_zz_m2 is not None
    assert 0.2 / math.sqrt(12.0) * 0.9 < math.sqrt(found.var_zz_m2) < 0.2


def test_one_wild_range_of_six_is_named_in_space() -> None:
    distances = ranges_from(STAGGERED, (4.0, 5.0, 1.0))
    distances[3] += 5.0
    found = trilaterate(STAGGERED, distances, None, ALIKE, (0.0, 2.0))
    assert found.refused == (3,)
    assert place(found) == pytest.approx((4.0, 5.0, 1.0), abs=1e-5)


def test_a_given_height_or_an_anchor_without_one_leaves_the_range_unused() -> None:
    distances = ranges_from(CEILING, (4.0, 5.0, 1.0))
    given_height = trilaterate(CEILING, distances, 1.0, ALIKE, (0.0, 2.0))
    assert (given_height.z_m, given_height.var_zz_m2) == (1.0, None)
    unknown = [replace(CEILING[0], z_m=None), *CEILING[1:]]
    assert trilaterate(unknown, ranges_from(CEILING, (4.0, 5.0, 3.0)), None, ALIKE, (0.0, 2.0)).z_m is None


@settings(deadline=None)
@given(distances=st.lists(st.floats(0.0, 1e200), min_size=6, max_size=6), lowest=st.floats(-9.0, 2.0))
def test_whatever_the_ranges_there_is_a_place_within_the_heights_or_a_reason(
    distances: list[float], lowest: float
) -> None:
    try:
        found = trilaterate(STAGGERED, distances, None, tag_height_range_m=(lowest, 2.1))
    except UnsolvableError:
        return
    assert found.z_m is not None
    assert lowest <= found.z_m <= 2.1
    assert all(math.isfinite(value) for value in found if isinstance(value, float))


SCRIPT = """
import math
from pipeline.positioning.trilateration import trilaterate
from pipeline.site import Anchor
plan = [(0.1, 0.2), (11.7, 0.4), (12.3, 9.1), (0.3, 8.7), (6.2, -1.1), (5.3, 10.9)]
anchors = [Anchor(str(k), x, y, 2.7 + 0.1 * k) for k, (x, y) in enumerate(plan)]
distances = [math.dist((a.x_m, a.y_m, a.z_m), (4.3, 5.2, 1.1)) + 0.03 * (k % 3) for k, a in enumerate(anchors)]
found = [trilaterate(anchors, distances, 1.0), trilaterate(anchors, distances, None, tag_height_range_m=(0.0, 2.0))]
for solution in found:
    print([value.hex() if isinstance(value, float) else value for value in solution])
"""


def test_the_same_ranges_give_the_same_bits_whoever_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    exec(compile(SCRIPT, "script", "exec"), {})  # noqa: S102  (the very lines that the other process runs)
    here = capfd.readouterr().out
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))  # so that it compiles for itself
    root = Path(__file__).parent.parent
    there = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, check=True, capture_output=True, text=True)
    assert there.stdout == here
    assert here.count("0x") > 15
