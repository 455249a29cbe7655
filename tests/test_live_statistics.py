from __future__ import annotations

import numpy as np
import pytest

from runners.live.statistics import Histogram, Rate, Recent

START_MS = 1_713_300_000_000


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("size", [1, 2, 7, 5000])
def test_quantiles_agree_with_numpy_within_half_a_bin(fraction: float, size: int) -> None:
    values = np.random.default_rng(3).gamma(2.0, 0.1, size)
    histogram = Histogram(bin_width=0.001, largest=100.0)
    for value in values:
        histogram.add(float(value))
    assert histogram.quantile(fraction) == pytest.approx(np.quantile(values, fraction), abs=0.000_501)


def test_quantiles_of_whole_bins_are_exact() -> None:
    values = np.random.default_rng(4).integers(0, 3000, 500)
    histogram = Histogram(bin_width=1.0, largest=10_000.0)
    for value in values:
        histogram.add(int(value))
    assert histogram.quantile(0.99) == pytest.approx(np.quantile(values, 0.99))


def test_histogram_keeps_what_does_not_fit_at_its_ends() -> None:
    histogram = Histogram(bin_width=1.0, largest=10.0)
    assert histogram.quantile(0.5) is None
    for value in (-5.0, 1e9, float("nan"), float("inf")):
        histogram.add(value)
    assert [histogram.quantile(q) for q in (0.0, 1 / 3, 1.0)] == [0.0, 10.0, 10.0]


def test_rate_counts_the_last_ten_whole_seconds() -> None:
    rate = Rate()
    assert rate.per_s(START_MS) == 0.0
    for tick in range(100):  # five a second for twenty seconds
        rate.add(START_MS + 200 * tick)
        if tick == 12:  # all that there is: two whole seconds
            assert rate.per_s(START_MS + 2_400) == 5.0
    assert rate.per_s(START_MS + 20_000) == 5.0
    assert rate.per_s(START_MS + 25_000) == 2.5
    assert rate.per_s(START_MS + 60_000) == 0.0


def test_recent_entries_are_kept_until_too_old_or_too_many() -> None:
    recent: Recent[str, int] = Recent(capacity=2)
    for number, key in enumerate("abcd"):
        recent.put(key, START_MS + number, number)
    recent.forget(before_ms=START_MS)
    assert [recent.get(key) for key in "abcd"] == [None, None, 2, 3]
    recent.forget(before_ms=START_MS + 3)
    assert "c" not in recent
    assert recent.pop("d") == 3
    assert recent.pop("d") is None
