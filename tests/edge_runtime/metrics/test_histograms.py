"""Reliability of probabilities: exact where they are drawn to be, and right about how far off they are."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.metrics.histograms import BINS, bin_of, reliability


def histograms(p: np.ndarray, sky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bins = bin_of(p)
    return np.bincount(bins[sky], minlength=BINS), np.bincount(bins[~sky], minlength=BINS)


def test_calibrated_probabilities_have_no_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.3, 400_000).astype(np.float32)  # crowded at 0 and 1, as a network's are
    found = reliability(*histograms(p, rng.random(p.size) < p))
    assert found.ece < 0.003
    np.testing.assert_allclose(found.sky, found.predicted, atol=0.02)
    assert found.pixels.sum() == p.size


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_the_error_is_the_distance(power: float) -> None:
    rng = np.random.default_rng(1)
    p = rng.random(400_000).astype(np.float32)
    found = reliability(*histograms(p, rng.random(p.size) < p**power))
    assert found.ece == pytest.approx(np.abs(p - p**power).mean(), abs=0.004)


def test_bins_by_hand() -> None:
    p = np.array([0.0, 0.05, 0.5, 0.55, 0.99], np.float32)
    found = reliability(*histograms(p, np.array([False, True, True, False, True])), bins=2)
    assert found.starts.tolist() == [0.0, 0.5] and found.pixels.tolist() == [2.0, 3.0]
    assert found.sky.tolist() == [0.5, 2 / 3]
    np.testing.assert_allclose(found.predicted, [0.025, 0.68], atol=2e-3)
    assert found.ece == pytest.approx((abs(1 - 0.05) + abs(2 - 2.04)) / 5, abs=2e-3)


def test_no_pixels() -> None:
    found = reliability(np.zeros(BINS, np.int32), np.zeros(BINS, np.int32))
    assert np.isnan(found.ece) and np.isnan(found.sky).all()
