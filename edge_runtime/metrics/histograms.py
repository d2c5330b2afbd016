"""Histograms of probabilities per image; AUROC, F-beta and calibration over a set.

Predicted probabilities crowd near 0 and 1, where bins of equal width would merge different values. There are therefore 64
bins for every factor of two of p below 0.5 and of 1 - p above it, down to 2**-24. Every k / 256 starts a bin: F-beta is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BETA_SQUARED = 0.3
F_THRESHOLDS = 256  # k / 256, k = 0..255

_SHIFT = 17  # leaves 6 of the 23 mantissa bits of a float32
_FIRST = int(np.float32(2.0**-24).view(np.int32)) >> _SHIFT
_HALF = (int(np.float32(0.5).view(np.int32)) >> _SHIFT) - _FIRST + 1
BINS = 2 * _HALF


def bin_of(p: np.ndarray) -> np.ndarray:
    """Return the bin 0..BINS - 1 of float32 probabilities as int64; p >= k / 256 exactly where bin_of(p) >= bin_of(k / 256)."""
    low = np.maximum((p.view(np.int32) >> _SHIFT) - _FIRST + 1, 0)
    # 1 - p is exact for p >= 0.5. One less in its bit pattern makes bins of 1 - p include their upper bound, and the
    # mirrored bins of p their lower one.
    high = np.maximum((((np.float32(1.0) - p).view(np.int32) - 1) >> _SHIFT) - _FIRST + 1, 0)
    return np.where(p < np.float32(0.5), low, BINS - 1 - high).astype(np.int64)


def auroc(sky_bins: np.ndarray, other_bins: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each row of (R, BINS) histograms as (R,); NaN where a class is missing.

    A pair of pixels in one bin counts one half. The error is at most half the share of (sky, other) pairs in one bin; it was
    below 1e-4 on our networks.
    """
    sky, other = sky_bins.sum(axis=1), other_bins.sum(axis=1)
    above = sky[:, None] - np.cumsum(sky_bins, axis=1)
    return ratio((other_bins * (above + 0.5 * sky_bins)).sum(axis=1), sky * other)


def fbeta_max(sky_bins: np.ndarray, other_bins: np.ndarray) -> np.ndarray:
    """Return the largest F-beta over the thresholds for each row of (R, BINS) histograms as (R,); NaN without sky."""
    starts = bin_of((np.arange(F_THRESHOLDS) / F_THRESHOLDS).astype(np.float32))
    tp = np.cumsum(sky_bins[:, ::-1], axis=1)[:, ::-1][:, starts]
    fp = np.cumsum(other_bins[:, ::-1], axis=1)[:, ::-1][:, starts]
    sky = sky_bins.sum(axis=1, keepdims=True)
    # F-beta = (1 + b) TP / ((1 + b) TP + b FN + FP) with b = beta^2, and TP + FN = sky.
    f = ratio((1.0 + BETA_SQUARED) * tp, tp + fp + BETA_SQUARED * sky)
    return np.where(sky[:, 0] > 0, np.nan_to_num(f).max(axis=1), np.nan)


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: predicted probability against the share of sky, in bins of equal width.

    Attributes
    ----------
    starts
        Lower ends of the bins.
    pixels
        Number of pixels in each bin.
    predicted, sky
        Mean predicted probability and share of sky in each bin; NaN in an empty one.
    ece
        Expected calibration error (Guo et al. 2017, eq. 3): the mean of |sky - predicted| over all pixels.
    """

    starts: np.ndarray
    pixels: np.ndarray
    predicted: np.ndarray
    sky: np.ndarray
    ece: float


def reliability(sky_bins: np.ndarray, other_bins: np.ndarray, bins: int = 16) -> Reliability:
    """Return the reliability of histograms (BINS,) in `bins` bins of equal width; `bins` divides 256. NaN without pixels."""
    starts = np.arange(bins) / bins
    first = bin_of(starts.astype(np.float32))
    both = (sky_bins + other_bins).astype(np.float64)
    sky, pixels, total = (np.add.reduceat(each, first) for each in (sky_bins.astype(np.float64), both, both * _middles()))
    share, predicted = ratio(sky, pixels), ratio(total, pixels)
    ece = ratio(np.abs(sky - total).sum(keepdims=True), pixels.sum(keepdims=True))
    return Reliability(starts, pixels, predicted, share, float(ece[0]))


def _middles() -> np.ndarray:
    """Return the middle of each of the BINS bins as (BINS,) float64; bins of 1 - p mirror those of p."""
    starts = ((np.arange(_HALF + 1) - 1 + _FIRST).astype(np.int32) << _SHIFT).view(np.float32).astype(np.float64)
    starts[0] = 0.0
    middles = (starts[1:] + starts[:-1]) / 2
    return np.concatenate([middles, 1.0 - middles[::-1]])


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
