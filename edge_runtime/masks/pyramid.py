"""The three scales of refinement: the image, the working image of factor x factor means, and the grid 2^m coarser."""

from __future__ import annotations

import numpy as np

from edge_runtime.images.opencv import cv2

HALVING = np.array([1, 3, 3, 1], np.float32) / 8


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Average factor x factor pixels; at the right and lower border the last pixel is repeated to fill up."""
    if factor == 1:
        return image
    height, width = image.shape[:2]
    below, right = -height % factor, -width % factor
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def to_working(probability: np.ndarray, full: tuple[int, ...], working: tuple[int, ...], factor: int) -> np.ndarray:
    """Bring a probability to the working size: bilinear, half-pixel centers, edges clamped."""
    p = np.ascontiguousarray(probability, dtype=np.float32)
    if p.shape == full:
        return shrink(p, factor)
    # cv2.resize would stretch it where `factor` does not divide the image's size.
    ways = [_interpolation(n, size, factor * size / whole) for n, size, whole in zip(working, p.shape, full, strict=True)]
    return np.clip(ways[0] @ p @ ways[1].T, 0, 1)


def down(plane: np.ndarray, halvings: int) -> np.ndarray:
    """Halve (h, w) float32 repeatedly, rounding up, with [1 3 3 1]/8 in both directions; beyond the border is 0."""
    for _ in range(halvings):
        blurred = cv2.sepFilter2D(plane, -1, HALVING, HALVING, anchor=(1, 1), borderType=cv2.BORDER_CONSTANT)
        plane = np.ascontiguousarray(blurred[::2, ::2])
    return plane


def up(plane: np.ndarray, halvings: int, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `down`, two halvings a step: half as many bilinear steps as halvings, which is smoother than one."""
    while halvings:
        step = min(2, halvings)
        halvings -= step
        plane = cv2.resize(plane, None, fx=1 << step, fy=1 << step, interpolation=cv2.INTER_LINEAR)
    return plane[: shape[0], : shape[1]].copy()


def _interpolation(count: int, size: int, step: float) -> np.ndarray:
    """Return the (count, size) float32 matrix that samples `size` values at (i + 0.5) step - 0.5."""
    at = np.clip((np.arange(count) + 0.5) * step - 0.5, 0, size - 1)
    left = np.minimum(at.astype(np.intp), max(size - 2, 0))
    matrix = np.zeros((count, size), np.float32)
    matrix[np.arange(count), left] = 1 - (at - left)
    matrix[np.arange(count), np.minimum(left + 1, size - 1)] += at - left
    return matrix
