"""The exact resize of the contract, and the way back to the image's size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2, has_opencv

STRIP_PIXELS = 1 << 22  # of a large image that are worked on at once: a copy of all of it would be hundreds of MB
CACHED_PIXELS = 1 << 19  # of an image that Pillow copies at once: the copy stays in the cache
CACHED_VALUES = 1 << 16  # float32 values of a strip that stays in the cache


def resize_rgb(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch (H, W, 3) uint8 RGB to the network's input size with Pillow's 8-bit BILINEAR, as the contract demands.

    That is a triangle filter of support max(1, in/out) with 22-bit fixed-point weights. The horizontal pass comes first,
    and both passes round to 8 bits. Python, C++ and JavaScript give the same bytes.
    """
    check_rgb(image)
    # Two calls: one would leave the order of the passes to Pillow, which from release 13 on takes the cheaper first.
    # The first pass works on each row by itself, so larger images take it in strips.
    step = max(1, CACHED_PIXELS // image.shape[1])
    strips = (Image.fromarray(image[top : top + step]) for top in range(0, image.shape[0], step))
    wide = [strip.resize((width, strip.height), Image.Resampling.BILINEAR) for strip in strips]
    joined = wide[0] if len(wide) == 1 else Image.fromarray(np.concatenate([np.asarray(part) for part in wide]))
    return np.asarray(joined.resize((width, height), Image.Resampling.BILINEAR))


def resize_probability(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring (h, w) float32 probabilities to (height, width): bilinear, half-pixel centers, edges clamped."""
    if probability.shape == (height, width):
        return probability
    if has_opencv():
        return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarge(probability, height, width)


def enlarge(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Do what `resize_probability` does without OpenCV, up to 1e-6."""
    out = np.empty((height, width), np.float32)
    for rows, part in _bands(probability, height, width):
        out[rows] = part
    return out


def resize_to_mask8(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return round(255 p) at (height, width) as uint8, as `to_mask8` of `resize_probability`, without a large float map."""
    if has_opencv() and height * width <= STRIP_PIXELS:
        return cv2.convertScaleAbs(resize_probability(probability, height, width), alpha=255)
    out = np.empty((height, width), np.uint8)
    for rows, part in _bands(probability * np.float32(255), height, width):
        out[rows] = np.rint(part, out=part)
    return out


def resize_to_bool(probability: np.ndarray, height: int, width: int, threshold: float) -> np.ndarray:
    """Return where `resize_probability` gives at least the threshold, (height, width) bool, without a large float map."""
    if has_opencv() and height * width <= STRIP_PIXELS:
        return resize_probability(probability, height, width) >= threshold
    out = np.empty((height, width), bool)
    for rows, part in _bands(probability, height, width):
        np.greater_equal(part, threshold, out=out[rows])
    return out


def _bands(values: np.ndarray, height: int, width: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the enlarged map in bands that lie between two rows of the small one, each with its place.

    Between equal rows, in open sky and far below it, a band is one row for all of its place.
    """
    left, right, share = _neighbors(values.shape[1], width)
    wide = values[:, left] * (1 - share) + values[:, right] * share
    above, below, share = _neighbors(values.shape[0], height)
    edges = np.append(np.flatnonzero(np.diff(above + below, prepend=-1)), height)
    memory = np.empty((int(np.diff(edges).max()), width), np.float32)  # its pages are asked for once
    for start, stop in itertools.pairwise(edges.tolist()):
        first, second = wide[above[start]], wide[below[start]]
        slope, band = second - first, memory[: stop - start]
        if not slope.any():
            band = band[:1]
        np.multiply(share[start : start + len(band), None], slope, out=band)
        band += first
        yield slice(start, stop), band


def _neighbors(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for every sample of a side of `new_size`, the two old samples around its center and the share of the second."""
    centers = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    first = np.floor(centers).astype(np.int64)
    return np.clip(first, 0, size - 1), np.clip(first + 1, 0, size - 1), (centers - first).astype(np.float32)


def to_mask8(probability: np.ndarray) -> np.ndarray:
    """Return round(255 p) of (H, W) float32 as uint8."""
    height, width = probability.shape
    out = np.empty((height, width), np.uint8)
    step = max(1, CACHED_VALUES // width)
    for top in range(0, height, step):
        part = np.clip(probability[top : top + step], 0.0, 1.0)
        part *= 255.0
        out[top : top + step] = np.rint(part, out=part)
    return out


def check_rgb(image: np.ndarray) -> None:
    """Raise `InputError` unless `image` is (H, W, 3) uint8 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"got {image.dtype} {image.shape}, expected uint8 (H, W, 3) RGB; convert the image first")
