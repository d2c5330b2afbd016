"""Limits out of histograms of magnitudes."""

from __future__ import annotations

import numpy as np
import pytest

from quantize.calibration.ranges import BINS, METHODS, Histogram, Method, count_magnitudes, limit

pytestmark = pytest.mark.slow


def test_limits_of_known_distributions() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(size=400_000), np.zeros(300_000), [40.0]]).astype(np.float32)
    histogram = Histogram(40.0, count_magnitudes(values, 40.0))
    assert histogram.counts.sum() == 400_001 and len(histogram.counts) == BINS
    found: dict[Method, float] = {method: limit(histogram, method) for method in METHODS}
    assert found["minmax"] == 40.0
    assert 2.5 <= found["entropy"] < 6
    even = Histogram(6.0, count_magnitudes(np.linspace(-6, 6, 100_001, dtype=np.float32), 6.0))
    assert limit(even, "entropy") > 5.8
    assert limit(Histogram(0.0, np.zeros(1, np.int64)), "entropy") == 0.0
