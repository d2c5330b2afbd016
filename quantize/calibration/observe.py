"""Ranges of activations out of calibration images, by one rule for all formats.

The images are run twice, for the ends and then for histograms up to them, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import GateError
from quantize.calibration.ranges import Histogram, Method, count_magnitudes, limit


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value that int8 is to hold."""

    low: float
    high: float


def observe(
    run: Callable[[np.ndarray], Iterable[tuple[str, np.ndarray]]], images: Sequence[np.ndarray], method: Method
) -> dict[str, Range]:
    """Return the range of every tensor that `run` yields, by name, for one image.

    `minmax` takes the ends over all images; `entropy` limits the magnitude too (`ranges`). Raises `GateError` for
    values that are not finite.
    """
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for image in images:
        for name, values in run(image):
            low[name] = float(np.minimum(low.get(name, np.inf), values.min()))  # NaN stays NaN
            high[name] = float(np.maximum(high.get(name, -np.inf), values.max()))
    wrong = [name for name in low if not np.isfinite(low[name]) or not np.isfinite(high[name])]
    if wrong:
        raise GateError(f"got no finite values in {', '.join(wrong)}; nothing was written. Train the network again")
    peaks = {name: max(abs(low[name]), abs(high[name])) for name in low}
    counts = _count(run, images if method != "minmax" else (), peaks)
    limits = {name: limit(Histogram(peaks[name], counts[name]), method) for name in low}
    return {name: Range(max(low[name], -limits[name]), min(high[name], limits[name])) for name in low}


def _count(
    run: Callable[[np.ndarray], Iterable[tuple[str, np.ndarray]]], images: Sequence[np.ndarray], peaks: Mapping[str, float]
) -> dict[str, np.ndarray]:
    counts = {name: np.zeros(1, np.int64) for name in peaks}
    for image in images:
        for name, values in run(image):
            if peaks[name] > 0:
                counts[name] = counts[name] + count_magnitudes(values, peaks[name])
    return counts
