"""Accuracy of sky masks: counts of one image, figures of a set of images.

`evaluate_image` reduces an image to counts; pooling and the bootstrap sum the counts. Void pixels count nowhere. A target
pixel is sky where its share of sky is >= 0.5, a predicted one where its probability is >= 0.5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, read_pair
from edge_runtime.images.inverted import warn_if_inverted
from edge_runtime.metrics.boundary import around_edges, band_counts, contour_counts
from edge_runtime.metrics.histograms import BINS, auroc, bin_of, fbeta_max, ratio
from edge_runtime.records import Count, Share

THRESHOLD = 0.5
RESAMPLES = 1000
WRONG = (0.25, 0.75)  # mean error of an image below which a sure prediction is right, and above which it is the opposite


@dataclass(frozen=True, eq=False)
class ImageMetrics:
    """Counts of one image. Sky is the positive class; its threshold is 0.5.

    Attributes
    ----------
    pixels
        Valid pixels: tp + fp + fn + tn.
    absolute_error
        Sum of |p - g| over valid pixels; g is the soft target in [0, 1].
    inner_tp, inner_fp, inner_fn
        Counts without the 2 pixels on both sides of the target's edges.
    band_overlap, band_union
        Intersection and union of the predicted and the target contour band, in pixels (boundary IoU).
    edge_predicted, edge_predicted_hit, edge_true, edge_true_hit
        Contour pixels, and those within the tolerance of the other contour (boundary F).
    sky_bins, other_bins
        (BINS,) int32: histograms of the probability over valid sky and other pixels of the target.
    """

    pixels: int
    tp: int
    fp: int
    fn: int
    tn: int
    absolute_error: float
    inner_tp: int
    inner_fp: int
    inner_fn: int
    band_overlap: int
    band_union: int
    edge_predicted: int
    edge_predicted_hit: int
    edge_true: int
    edge_true_hit: int
    sky_bins: np.ndarray
    other_bins: np.ndarray

    @property
    def has_sky(self) -> bool:
        """Whether the target has a valid sky pixel."""
        return self.tp + self.fn > 0

    @property
    def iou(self) -> float | None:
        """IoU of this image; None where the target has no sky."""
        return self.tp / (self.tp + self.fp + self.fn) if self.has_sky else None

    @property
    def boundary_iou(self) -> float | None:
        """Boundary IoU of this image; None where the target has no sky, or where void separates all sky from the rest."""
        return self.band_overlap / self.band_union if self.has_sky and self.band_union else None

    @property
    def mae(self) -> float | None:
        """Mean |p - g|; None where every pixel is void."""
        return self.absolute_error / self.pixels if self.pixels else None

    @property
    def sky_called(self) -> float | None:
        """Share of valid pixels that are predicted as sky; None where every pixel is void."""
        return (self.tp + self.fp) / self.pixels if self.pixels else None


@dataclass(frozen=True)
class PooledMetrics:
    """Figures of a set of images; None where a figure is undefined (IoU without any sky, AUROC with one class).

    Attributes
    ----------
    iou
        TP / (TP + FP + FN) over all pixels of the set.
    iou_per_image
        Mean IoU over the images with sky.
    iou_excluding_edges
        `iou` without the 2 pixels on both sides of the target's edges.
    boundary_iou
        IoU of the contour bands, summed over the set; bands are 0.02 of the diagonal wide.
    boundary_iou_per_image
        Mean boundary IoU over the images with sky.
    boundary_f
        Contour F over all contour pixels, tolerance 0.008 of the diagonal. Images without a visible target contour are left
        out; false sky in them shows in `nosky_fpr`.
    mae
        Mean |p - g| on probabilities.
    accuracy, mcr
        Share of pixels that are predicted correctly, and its complement (FP + FN) / N.
    precision, recall, f1
        At threshold 0.5, over all pixels.
    fbeta_max
        Largest F-beta (beta^2 = 0.3) over the 256 thresholds k / 256, over all pixels.
    auroc
        Area under the ROC curve over all pixels, from the bins of `edge_runtime.metrics.histograms`.
    nosky_fpr
        Share of pixels predicted as sky in the images without sky.
    count, count_sky
        Images, and images with sky.
    """

    iou: Share | None
    iou_per_image: Share | None
    iou_excluding_edges: Share | None
    boundary_iou: Share | None
    boundary_iou_per_image: Share | None
    boundary_f: Share | None
    mae: Share | None
    accuracy: Share | None
    mcr: Share | None
    precision: Share | None
    recall: Share | None
    f1: Share | None
    fbeta_max: Share | None
    auroc: Share | None
    nosky_fpr: Share | None
    count: Count
    count_sky: Count


METRIC_NAMES = tuple(field.name for field in dataclasses.fields(PooledMetrics) if not field.name.startswith("count"))


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of one metric."""

    low: float
    high: float


def evaluate_pairs(
    predict: Callable[[np.ndarray], np.ndarray], pairs: Sequence[Pair], progress: Callable[[], None] | None = None
) -> list[ImageMetrics]:
    """Run `predict` on every image at its own size and compare with its mask; the result is in the order of `pairs`.

    `predict` maps (H, W, 3) uint8 RGB to (H, W) float32 probability of sky, as a `Segmenter` does. `progress` is called after
    each image. Masks that contradict sure predictions are told on stderr. Raises `InputError` for a broken image or mask, or a
    prediction of another size or range.
    """
    images = []
    for pair in pairs:
        labeled = read_pair(pair)
        images.append(evaluate_image(predict(labeled.image), labeled.sky, labeled.valid))
        if progress is not None:
            progress()
    errors = [image.mae for image in images if image.mae is not None and not WRONG[0] < image.mae < WRONG[1]]
    warn_if_inverted([error >= WRONG[1] for error in errors], pairs[0].image.parent.parent if pairs else "", "predictions")
    return images


def group_by_source(pairs: Sequence[Pair], images: Sequence[ImageMetrics]) -> dict[str, list[ImageMetrics]]:
    """Split the result of `evaluate_pairs` by `Pair.source`, sources sorted by name."""
    groups: dict[str, list[ImageMetrics]] = {name: [] for name in sorted({pair.source for pair in pairs})}
    for pair, image in zip(pairs, images, strict=True):
        groups[pair.source].append(image)
    return groups


def evaluate_image(probability: np.ndarray, sky: np.ndarray, valid: np.ndarray) -> ImageMetrics:
    """Compare a prediction, (H, W) float32 in [0, 1], with its target `sky` of that kind; `valid` is False at void pixels.

    Raises `InputError` where the shapes differ, or where `probability` leaves [0, 1] or is NaN.
    """
    p = np.ascontiguousarray(probability, dtype=np.float32)
    if not p.shape == sky.shape == valid.shape or p.ndim != 2 or p.size == 0:
        shapes = f"prediction {p.shape}, target {sky.shape}, valid {valid.shape}"
        raise InputError(f"got {shapes}, expected one (H, W) for all three; resize the prediction to the image")
    if not (p.min() >= 0.0 and p.max() <= 1.0):  # False for NaN too
        raise InputError(f"got probabilities {p.min()}..{p.max()}, expected 0..1; apply the sigmoid first")
    target, predicted = (sky >= THRESHOLD) & valid, (p >= THRESHOLD) & valid
    pixels, tp = int(np.count_nonzero(valid)), int(np.count_nonzero(target & predicted))
    fp, fn = int(np.count_nonzero(predicted)) - tp, int(np.count_nonzero(target)) - tp
    bins = np.bincount((bin_of(p) + BINS * target)[valid], minlength=2 * BINS).astype(np.int32)
    bands, contours = band_counts(predicted, target, valid), contour_counts(predicted, target, valid)
    inner = ~around_edges(target, valid)
    return ImageMetrics(
        pixels=pixels,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=pixels - tp - fp - fn,
        absolute_error=float(np.abs(p - sky)[valid].sum(dtype=np.float64)),
        inner_tp=int(np.count_nonzero(target & predicted & inner)),
        inner_fp=int(np.count_nonzero(predicted & ~target & inner)),
        inner_fn=int(np.count_nonzero(target & ~predicted & inner)),
        band_overlap=bands.overlap,
        band_union=bands.union,
        edge_predicted=contours.predicted,
        edge_predicted_hit=contours.predicted_hit,
        edge_true=contours.true,
        edge_true_hit=contours.true_hit,
        sky_bins=bins[BINS:],
        other_bins=bins[:BINS],
    )


def pool(images: Sequence[ImageMetrics]) -> PooledMetrics:
    """Return the figures of a set of images; all None where the set is empty."""
    figures = _figures(images, np.ones((1, len(images))))
    values = {name: None if np.isnan(figures[name][0]) else float(figures[name][0]) for name in METRIC_NAMES}
    return PooledMetrics(**values, count=len(images), count_sky=sum(image.has_sky for image in images))


def bootstrap(images: Sequence[ImageMetrics], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval | None]:
    """Return the 95 % percentile interval of every metric, from resampling images with replacement.

    Resamples in which a metric is undefined are left out. The interval is None where the metric is undefined in the set, and
    where the set has fewer than two images. Images count as independent: frames of one camera make it too narrow.
    """
    if len(images) < 2:
        return dict.fromkeys(METRIC_NAMES)
    rng = np.random.default_rng(seed)
    chunks: list[dict[str, np.ndarray]] = []
    for start in range(0, resamples, 100):  # a hundred at a time, to bound the memory of the summed histograms
        rows = min(100, resamples - start)
        draws = rng.multinomial(len(images), np.full(len(images), 1.0 / len(images)), size=rows)
        chunks.append(_figures(images, draws.astype(np.float64)))
    whole = pool(images)
    intervals: dict[str, Interval | None] = {}
    for name in METRIC_NAMES:
        values = np.concatenate([chunk[name] for chunk in chunks])
        if getattr(whole, name) is None or np.isnan(values).all():
            intervals[name] = None
        else:
            low, high = np.nanpercentile(values, (2.5, 97.5))
            intervals[name] = Interval(float(low), float(high))
    return intervals


_COUNTS = tuple(field.name for field in dataclasses.fields(ImageMetrics) if not field.name.endswith("_bins"))


def _figures(images: Sequence[ImageMetrics], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return every metric as (R,) for `weights` (R, len(images)), how often each image counts; NaN = undefined."""
    if not images:
        return {name: np.full(len(weights), np.nan) for name in METRIC_NAMES}
    table = {name: np.array([getattr(image, name) for image in images], dtype=np.float64) for name in _COUNTS}
    s = {name: weights @ column for name, column in table.items()}
    without_sky = np.array([not image.has_sky for image in images], dtype=np.float64)
    ious, boundary_ious = ([getattr(image, name) for image in images] for name in ("iou", "boundary_iou"))
    # Counts stay far below 2**53, so the sums of histograms are exact.
    sky_bins = weights @ np.stack([image.sky_bins for image in images]).astype(np.float64)
    other_bins = weights @ np.stack([image.other_bins for image in images]).astype(np.float64)
    with_edge = (table["edge_true"] > 0).astype(np.float64)
    edge_precision = ratio(s["edge_predicted_hit"], weights @ (table["edge_predicted"] * with_edge))
    edge_recall = ratio(s["edge_true_hit"], s["edge_true"])
    wrong = s["fp"] + s["fn"]
    sky = s["tp"] + s["fn"]
    figures = {
        "iou": ratio(s["tp"], s["tp"] + wrong),
        "iou_per_image": _mean(ious, weights),
        "iou_excluding_edges": ratio(s["inner_tp"], s["inner_tp"] + s["inner_fp"] + s["inner_fn"]),
        "boundary_iou": ratio(s["band_overlap"], s["band_union"]),
        "boundary_iou_per_image": _mean(boundary_ious, weights),
        "boundary_f": _harmonic(edge_precision, edge_recall),
        "mae": ratio(s["absolute_error"], s["pixels"]),
        "accuracy": ratio(s["tp"] + s["tn"], s["pixels"]),
        "mcr": ratio(wrong, s["pixels"]),
        "precision": ratio(s["tp"], s["tp"] + s["fp"]),
        "recall": ratio(s["tp"], sky),
        "f1": ratio(2.0 * s["tp"], 2.0 * s["tp"] + wrong),
        "fbeta_max": fbeta_max(sky_bins, other_bins),
        "auroc": auroc(sky_bins, other_bins),
        "nosky_fpr": ratio(weights @ (table["fp"] * without_sky), weights @ (table["pixels"] * without_sky)),
    }
    # A set without sky has nothing to overlap with: 0 would look like a miss.
    for name in ("iou", "iou_excluding_edges", "boundary_iou", "boundary_f", "precision", "f1"):
        figures[name] = np.where(sky > 0, figures[name], np.nan)
    return figures


def _mean(values: list[float | None], weights: np.ndarray) -> np.ndarray:
    """Return the weighted means as (R,) of the images whose value is not None."""
    known = np.array([value is not None for value in values], dtype=np.float64)
    return ratio(weights @ np.array([value or 0.0 for value in values]), weights @ known)


def _harmonic(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return F: 0 where nothing was predicted (precision NaN), NaN where there is nothing to find (recall NaN)."""
    p, r = np.nan_to_num(precision), np.nan_to_num(recall)
    f = np.divide(2.0 * p * r, p + r, out=np.zeros_like(p), where=p + r > 0)
    return np.where(np.isnan(recall), np.nan, f)
