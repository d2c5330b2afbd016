"""Figures of an evaluation: metrics with their intervals, by source and tag, and mean and deviation of both classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from edge_runtime.images.dataset import Pair
from edge_runtime.metrics.iou import METRIC_NAMES, ImageMetrics, bootstrap, pool

# Words of the manifest's scene column that make a tag.
TAGS = {
    "night": ("night",),
    "dusk": ("dusk", "sunset", "dark"),
    "indoor": ("indoor", "laundromat", "kitchen"),
    "street": ("street", "facade", "driving"),
    "nature": ("mountain", "sea", "desert", "snow", "countryside", "landscape", "forest", "field", "water", "trees"),
}


def summary(images: Sequence[ImageMetrics]) -> dict[str, Any]:
    """Return counts and every metric as {"value", "low", "high"}; null where undefined."""
    pooled, intervals = pool(images), bootstrap(images)
    result: dict[str, Any] = {"count": pooled.count, "count_sky": pooled.count_sky}
    for name in METRIC_NAMES:
        interval = intervals[name]
        result[name] = {
            "value": rounded(getattr(pooled, name)),
            "low": rounded(interval.low) if interval else None,
            "high": rounded(interval.high) if interval else None,
        }
    return result


def group_by_tag(pairs: Sequence[Pair], images: Sequence[ImageMetrics]) -> dict[str, list[ImageMetrics]]:
    """Gather the images whose scene has one of the words of a tag; an image may have several tags, or none."""
    groups = {
        tag: [image for pair, image in zip(pairs, images, strict=True) if any(word in pair.scene for word in words)]
        for tag, words in TAGS.items()
    }
    return {tag: group for tag, group in groups.items() if group}


def listed(values: Iterable[float]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def rounded(value: float | None) -> float | None:
    # Beyond six digits the order of additions, and so the machine, may show.
    return None if value is None else round(value, 6)


def per_class(images: Sequence[ImageMetrics]) -> dict[str, Any]:
    """Return mean and standard deviation over images: accuracy, and IoU, precision, recall and F1 of sky and of the rest.

    Only images that hold the class count, and for its precision only those where it is predicted.
    """
    counts = np.array([(image.tp, image.fp, image.fn, image.tn) for image in images], np.float64).T
    tp, fp, fn, tn = counts
    accuracy = _mean_and_deviation(tp + tn, counts.sum(0), counts.sum(0) > 0)
    return {"accuracy": accuracy, "sky": _class_figures(tp, fp, fn), "other": _class_figures(tn, fn, fp)}


def _class_figures(hit: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> dict[str, Any]:
    held = hit + missed > 0
    return {
        "iou": _mean_and_deviation(hit, hit + wrong + missed, held),
        "precision": _mean_and_deviation(hit, hit + wrong, held & (hit + wrong > 0)),
        "recall": _mean_and_deviation(hit, hit + missed, held),
        "f1": _mean_and_deviation(2 * hit, 2 * hit + wrong + missed, held),
    }


def _mean_and_deviation(part: np.ndarray, whole: np.ndarray, counted: np.ndarray) -> dict[str, float | None]:
    if not counted.any():
        return {"mean": None, "std": None}
    shares = part[counted] / whole[counted]
    return {"mean": rounded(float(shares.mean())), "std": rounded(float(shares.std()))}
