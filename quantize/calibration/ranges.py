"""How far a blob's values reach: the largest magnitude that int8 is to hold, out of a histogram of magnitudes.

Two rules. `minmax` clips nothing. `entropy` takes the limit at which 128 levels lose the least information about the histogram
(Migacz, "8-bit inference with TensorRT", GTC 2017), as ncnn's own calibration tool does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

BINS = 2048
LEVELS = 128  # magnitudes that an int8 number can have
STEP = 8  # bins between two limits that `entropy` tries: finer ones differ by less than half a percent

Method = Literal["minmax", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "entropy")


@dataclass(frozen=True, eq=False)
class Histogram:
    """Magnitudes of a blob over all calibration images.

    Attributes
    ----------
    peak
        The largest one.
    counts
        (BINS,) how many lie in each of BINS equal bins from 0 to `peak`. Exact zeros count nowhere: any scale keeps them, and
        after a ReLU they would outweigh all else.
    """

    peak: float
    counts: np.ndarray


def count_magnitudes(values: np.ndarray, peak: float) -> np.ndarray:
    """Return the counts of a `Histogram` for float32 `values` whose largest magnitude over all images is `peak`, above 0."""
    magnitudes = np.abs(values.ravel())
    bins = np.minimum((magnitudes[magnitudes > 0] * (BINS / peak)).astype(np.int64), BINS - 1)
    return np.bincount(bins, minlength=BINS)


def limit(histogram: Histogram, method: Method) -> float:
    """Return the magnitude that becomes 127; what is larger is clipped to it."""
    if method == "minmax" or not histogram.counts.any():
        return histogram.peak
    bins = min(range(LEVELS, BINS + 1, STEP), key=lambda tried: _divergence(histogram.counts, tried))
    return histogram.peak * bins / BINS


def _divergence(counts: np.ndarray, bins: int) -> float:
    """Return the divergence of `counts`, with all beyond `bins` clipped into the last, from what LEVELS levels leave of them."""
    inside = counts[:bins].astype(np.float64)
    clipped = inside.copy()
    clipped[-1] += counts[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    held = np.bincount(level, inside > 0, LEVELS)
    mean = np.bincount(level, inside, LEVELS) / np.maximum(held, 1)
    quantized = np.where(inside > 0, mean[level], 0.0)
    if not quantized.any():
        return np.inf
    expected, got = clipped / clipped.sum(), quantized / quantized.sum()
    used = expected > 0
    # The last bin may hold nothing but what was clipped: a floor keeps its price finite.
    return float(np.sum(expected[used] * np.log(expected[used] / np.maximum(got[used], 1e-12))))
