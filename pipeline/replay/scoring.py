"""How near the truth the positions of a replay are, and whether they know it.

An estimate's error is its horizontal distance from the truth, interpolated linearly at its own time. Whether its
covariance C is honest is told by the Mahalanobis distance of its error e, sqrt(eᵀ C⁻¹ e), which for Gaussian errors is
chi distributed with two degrees of freedom; whether the track's model fits its ranges, by the normalised innovation
squared, which is chi-square distributed with as many degrees as there were ranges (Bar-Shalom, Li, Kirubarajan:
Estimation with Applications to Tracking and Navigation, 2001, section 5.4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.replay.log import Truth
from pipeline.replay.replay import Estimate, Replayed

EXPECTED_BELOW_1 = 1 - math.exp(-0.5)
EXPECTED_BELOW_2 = 1 - math.exp(-2.0)
"""How many of Gaussian errors in the plane lie within 1 and 2 Mahalanobis units: 39 % and 86 %."""
NIS_LEVEL = 0.95


class Window(NamedTuple):
    """The times of a log that count (s of the log), both ends included."""

    from_s: float = -math.inf
    to_s: float = math.inf

    def holds(self, time_us: int) -> bool:
        """Tell whether a time (µs of the log) lies in the window."""
        return self.from_s <= time_us / 1e6 <= self.to_s


ALL = Window()


class Errors(NamedTuple):
    """The estimates that have a truth, and how far from it they lie: ``dx_m``, ``dy_m``, estimate less truth."""

    estimates: Sequence[Estimate]
    dx_m: NDArray[np.float64]
    dy_m: NDArray[np.float64]
    without_truth: int
    """Estimates of tags without truth, or before its first or after its last time."""

    @property
    def horizontal_m(self) -> NDArray[np.float64]:
        """The horizontal distances from the truth."""
        return np.hypot(self.dx_m, self.dy_m)


@dataclass(frozen=True, slots=True)
class AccuracyCheck:
    """Which shares of the positions have their error within 1 and 2 Mahalanobis units; None where there are none."""

    below_1: float | None
    below_2: float | None
    positions_with_covariance: int


@dataclass(frozen=True, slots=True)
class InnovationCheck:
    """The normalised innovations squared: all by all degrees of freedom (1 is right), and the share within 95 %.

    That is the share that lies below the 95 % bound of its chi-square distribution. None where there are none.
    """

    mean_ratio: float | None
    inside_95: float | None
    positions: int


@dataclass(frozen=True, slots=True)
class Score:
    """The account of a replay. Readings, fixes and rejections are of the whole log, all else of the window.

    Errors (m, horizontal, all tags pooled) are None where there is no truth to compare with.
    """

    readings: int
    fixes: int
    rejections: Mapping[str, int]
    groups: int
    groups_without_answer: int
    """Groups none of whose readings is in a position."""
    scored: int
    without_truth: int
    rmse_m: float | None
    median_m: float | None
    p95_m: float | None
    max_m: float | None
    accuracy: AccuracyCheck
    nis: InnovationCheck

    @property
    def share_without_answer(self) -> float | None:
        """The share of groups without an answer; None where there are no groups."""
        return self.groups_without_answer / self.groups if self.groups else None


def score(replayed: Replayed, truth: Truth, window: Window = ALL) -> Score:
    """Return the score of a replay against the truth, an empty one where none is known."""
    estimates = [estimate for estimate in replayed.estimates if window.holds(estimate.time_us)]
    errors = errors_of(estimates, truth)
    horizontal_m = errors.horizontal_m
    answered = frozenset[int]().union(*(estimate.rows for estimate in replayed.estimates))
    rounds = [one for one in replayed.rounds if window.holds(one.time_us)]
    return Score(
        readings=replayed.readings,
        fixes=len(replayed.estimates),
        rejections=replayed.rejections,
        groups=len(rounds),
        groups_without_answer=sum(answered.isdisjoint(one.rows) for one in rounds),
        scored=horizontal_m.size,
        without_truth=errors.without_truth,
        rmse_m=float(np.sqrt(np.mean(horizontal_m**2))) if horizontal_m.size else None,
        median_m=float(np.median(horizontal_m)) if horizontal_m.size else None,
        p95_m=float(np.percentile(horizontal_m, 95)) if horizontal_m.size else None,
        max_m=float(np.max(horizontal_m)) if horizontal_m.size else None,
        accuracy=check_accuracy(errors),
        nis=check_innovations(estimates),
    )


def errors_of(estimates: Sequence[Estimate], truth: Truth) -> Errors:
    """Return how far estimates lie from the truth, interpolated linearly at each one's own time."""
    found: list[tuple[Estimate, float, float]] = []
    for estimate in estimates:
        track, at_s = truth.get(estimate.tag), estimate.time_us / 1e6
        if track is not None and track[0, 0] <= at_s <= track[-1, 0]:
            x_m, y_m = (float(np.interp(at_s, track[:, 0], track[:, axis])) for axis in (1, 2))
            found.append((estimate, estimate.x_m - x_m, estimate.y_m - y_m))
    return Errors(
        estimates=[estimate for estimate, _, _ in found],
        dx_m=np.array([dx_m for _, dx_m, _ in found], dtype=np.float64),
        dy_m=np.array([dy_m for _, _, dy_m in found], dtype=np.float64),
        without_truth=len(estimates) - len(found),
    )


def check_accuracy(errors: Errors) -> AccuracyCheck:
    """Compare errors with the covariances given along with the positions."""
    distances = [
        mahalanobis(dx_m, dy_m, estimate.cov_m2)
        for estimate, dx_m, dy_m in zip(errors.estimates, errors.dx_m.tolist(), errors.dy_m.tolist(), strict=True)
        if estimate.cov_m2 is not None
    ]
    return AccuracyCheck(
        below_1=_share([distance < 1 for distance in distances]),
        below_2=_share([distance < 2 for distance in distances]),  # noqa: PLR2004  (two sigma)
        positions_with_covariance=len(distances),
    )


def check_innovations(estimates: Sequence[Estimate]) -> InnovationCheck:
    """Compare the innovations of the positions that have any with what their covariances let expect."""
    found = [(one.nis, one.nis_dof) for one in estimates if one.nis is not None and one.nis_dof > 0]
    return InnovationCheck(
        mean_ratio=sum(nis for nis, _ in found) / sum(dof for _, dof in found) if found else None,
        inside_95=_share([chi_square_survival(nis, dof) >= 1 - NIS_LEVEL for nis, dof in found]),
        positions=len(found),
    )


def mahalanobis(dx_m: float, dy_m: float, cov_m2: tuple[float, float, float]) -> float:
    """Return sqrt(eᵀ C⁻¹ e) of an error under a covariance C (xx, xy, yy); infinite if C is not positive definite."""
    xx, xy, yy = cov_m2
    determinant = xx * yy - xy * xy
    if not (determinant > 0 and xx > 0):
        return math.inf
    return math.sqrt(max(0.0, (yy * dx_m * dx_m - 2 * xy * dx_m * dy_m + xx * dy_m * dy_m) / determinant))


def chi_square_survival(value: float, dof: int) -> float:
    """Return the probability that a chi-square variable of ``dof`` (1 or more) degrees is above a value, 0 or more.

    Closed forms for whole degrees: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.4.4 and 26.4.5.
    """
    half = value / 2
    if dof % 2 == 0:
        total, term = 0.0, math.exp(-half)
        for step in range(dof // 2):
            total += term
            term *= half / (step + 1)
        return total
    total, term = math.erfc(math.sqrt(half)), math.exp(-half) * math.sqrt(half) / math.gamma(1.5)
    for step in range(1, (dof + 1) // 2):
        total += term
        term *= half / (step + 0.5)
    return total


def _share(holds: Sequence[bool]) -> float | None:
    return sum(holds) / len(holds) if holds else None
