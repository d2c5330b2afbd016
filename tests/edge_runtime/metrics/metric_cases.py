"""Masks for the tests of the metrics."""

from __future__ import annotations

import cv2
import numpy as np

from edge_runtime.metrics.iou import ImageMetrics, evaluate_image


def evaluate(probability: np.ndarray, sky: np.ndarray, valid: np.ndarray | None = None) -> ImageMetrics:
    valid = np.ones(sky.shape, dtype=bool) if valid is None else valid
    return evaluate_image(np.asarray(probability, np.float32), np.asarray(sky, np.float32), valid)


def horizon(height: int, width: int, row: int) -> np.ndarray:
    """Sky above `row`."""
    sky = np.zeros((height, width), np.float32)
    sky[:row] = 1.0
    return sky


def soft_pair(seed: int, shape: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    """A smooth truth and a prediction that is like it, with saturated and with ambiguous pixels."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 6.0) * 20.0
    noisy = field + cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 2.0) * 4.0
    return (1.0 / (1.0 + np.exp(-4.0 * noisy))).astype(np.float32), (field > 0).astype(np.float32)
