"""Edges of masks: the bands of boundary IoU, the contours of boundary F, and the pixels near an edge of the target."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.images.opencv import cv2

BAND_SHARE = 0.02  # of the diagonal: width of the bands of boundary IoU (Cheng et al. 2021)
TOLERANCE_SHARE = 0.008  # of the diagonal: how far apart two contours may run in boundary F
EDGE_PIXELS = 2  # on each side of an edge of the target


@dataclass(frozen=True)
class BandCounts:
    """Intersection and union of two bands, in pixels."""

    overlap: int
    union: int


@dataclass(frozen=True)
class ContourCounts:
    """Contour pixels of prediction and target, and those within the tolerance of the other contour."""

    predicted: int
    predicted_hit: int
    true: int
    true_hit: int


def band_counts(predicted: np.ndarray, target: np.ndarray, valid: np.ndarray) -> BandCounts:
    """Compare the contour bands of two (H, W) bool masks, both False at void pixels.

    The band of a mask is its pixels at most d in x and y from a pixel outside it; d is 0.02 of the diagonal. The area beyond
    the image's border is outside, as in the paper. Void pixels are in no band and are not outside.
    """
    width = max(1, round(BAND_SHARE * _diagonal(target)))
    bands = []
    for mask in (predicted, target):
        outside = np.pad(valid & ~mask, 1, constant_values=True)
        bands.append(mask & _grow(outside, width)[1:-1, 1:-1])
    return BandCounts(int(np.count_nonzero(bands[0] & bands[1])), int(np.count_nonzero(bands[0] | bands[1])))


def contour_counts(predicted: np.ndarray, target: np.ndarray, valid: np.ndarray) -> ContourCounts:
    """Match the contours of two (H, W) bool masks, both False at void pixels.

    Some labels have a thin line of void along the sky: void no wider than the tolerance takes the label of the nearest valid
    pixel, in both masks. The contour in wider void is unknown: nothing is scored within the tolerance of such void.
    """
    tolerance = math.ceil(TOLERANCE_SHARE * _diagonal(target))
    known = np.ones_like(valid)
    if not valid.all() and valid.any():
        nearest = _nearest_valid(valid)
        predicted, target = predicted[valid][nearest], target[valid][nearest]
        square = np.ones((tolerance + 1, tolerance + 1), np.uint8)
        wide = cv2.morphologyEx((~valid).view(np.uint8), cv2.MORPH_OPEN, square).view(bool)
        known = ~_grow(wide, tolerance)
    found, true = _contour(predicted), _contour(target)
    return ContourCounts(
        predicted=int(np.count_nonzero(found & known)),
        predicted_hit=_near(found & known, true, tolerance),
        true=int(np.count_nonzero(true & known)),
        true_hit=_near(true & known, found, tolerance),
    )


def around_edges(target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return as (H, W) bool the pixels at most 2 in x and y from a valid pixel of the other class."""
    return np.where(target, _grow(valid & ~target, EDGE_PIXELS), _grow(target, EDGE_PIXELS))


def _near(pixels: np.ndarray, contour: np.ndarray, tolerance: int) -> int:
    if not (pixels.any() and contour.any()):
        return 0
    distance = cv2.distanceTransform((~contour).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int(np.count_nonzero(pixels & (distance <= tolerance)))


def _contour(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that differ from their right or lower neighbor; the image's border is no contour."""
    contour = np.zeros_like(mask)
    contour[:, :-1] = mask[:, :-1] != mask[:, 1:]
    contour[:-1] |= mask[:-1] != mask[1:]
    return contour


def _nearest_valid(valid: np.ndarray) -> np.ndarray:
    """Return for every pixel the number of its nearest valid pixel, counted along `mask[valid]`, as (H, W) int."""
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(labels.max() + 1, dtype=np.int64)
    number[labels[valid]] = np.arange(np.count_nonzero(valid))
    return number[labels]


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate a bool mask by a square of side 2 radius + 1."""
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)).view(bool)


def _diagonal(mask: np.ndarray) -> float:
    return math.hypot(mask.shape[0], mask.shape[1])
