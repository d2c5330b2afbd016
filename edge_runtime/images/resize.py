"""The exact resize of the contract, and the way back to the image's size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2, has_opencv

STRIP_PIXELS = 1 << 22  # of a large image that are worked on at once: a copy of all of it would be hundreds of MB
CACHED_PIXELS = 1 << 16  # float32 values of a strip that stays in the cache


def resize_rgb(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch (H, W, 3) uint8 RGB to the network's input size with Pillow's 8-bit BILINEAR, as the contract demands.

    That is a triangle filter of support max(1, in/out) with 22-bit fixed-point weights. The horizontal pass comes first,
    and both passes round to 8 bits. Python, C++ and JavaScript give the same bytes.
    """
    check_rgb(image)
    # Two calls: one would leave the order of the passes to Pillow, which from release 13 on takes the cheaper first.
    # The first pass works on each row by itself, so large images take it in strips.
    step = max(1, STRIP_PIXELS // image.shape[1])
    strips = (Image.fromarray(image[top : top + step]) for top in range(0, image.shape[0], step))
    wide = [np.asarray(strip.resize((width, strip.height), Image.Resampling.BILINEAR)) for strip in strips]
    joined = Image.fromarray(wide[0] if len(wide) == 1 else np.concatenate(wide))
    return np.asarray(joined.resize((width, height), Image.Resampling.BILINEAR))


def resize_probability(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring (h, w) float32 probabilities to (height, width): bilinear, half-pixel centers, edges clamped."""
    if probability.shape == (height, width):
        return probability
    if has_opencv():
        return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarge(probability, height, width)


def enlarge(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Do what `resize_probability` does without OpenCV, up to 1e-6: about six times as slow."""
    out = np.empty((height, width), np.float32)
    for rows, part in _strips(probability, height, width):
        out[rows] = part
    return out


def resize_to_mask8(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return round(255 p) at (height, width) as uint8, as `to_mask8` of `resize_probability`, without a large float map."""
    if has_opencv() and height * width <= STRIP_PIXELS:
        return to_mask8(resize_probability(probability, height, width))
    out = np.empty((height, width), np.uint8)
    for rows, part in _strips(probability, height, width):
        part *= 255.0  # a mean of shares is a share
        out[rows] = np.rint(part, out=part)
    return out


def resize_to_bool(probability: np.ndarray, height: int, width: int, threshold: float) -> np.ndarray:
    """Return where `resize_probability` gives at least the threshold, (height, width) bool, without a large float map."""
    if has_opencv() and height * width <= STRIP_PIXELS:
        return resize_probability(probability, height, width) >= threshold
    out = np.empty((height, width), bool)
    for rows, part in _strips(probability, height, width):
        np.greater_equal(part, threshold, out=out[rows])
    return out


def _strips(probability: np.ndarray, height: int, width: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the enlarged map in strips of rows that stay in the cache, each with its place."""
    left, right, share = _neighbors(probability.shape[1], width)
    wide = probability[:, left] * (1 - share) + probability[:, right] * share
    above, below, share = _neighbors(probability.shape[0], height)
    step = max(1, CACHED_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        part, second = wide[above[rows]], wide[below[rows]]
        part *= 1 - share[rows, None]
        second *= share[rows, None]
        part += second
        yield rows, part


def _neighbors(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for every sample of a side of `new_size`, the two old samples around its center and the share of the second."""
    centers = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    first = np.floor(centers).astype(np.int64)
    return np.clip(first, 0, size - 1), np.clip(first + 1, 0, size - 1), (centers - first).astype(np.float32)


def to_mask8(probability: np.ndarray) -> np.ndarray:
    """Return round(255 p) of (H, W) float32 as uint8."""
    height, width = probability.shape
    out = np.empty((height, width), np.uint8)
    step = max(1, CACHED_PIXELS // width)
    for top in range(0, height, step):
        part = np.clip(probability[top : top + step], 0.0, 1.0)
        part *= 255.0
        out[top : top + step] = np.rint(part, out=part)
    return out


def check_rgb(image: np.ndarray) -> None:
    """Raise `InputError` unless `image` is (H, W, 3) uint8 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"got {image.dtype} {image.shape}, expected uint8 (H, W, 3) RGB; convert the image first")
