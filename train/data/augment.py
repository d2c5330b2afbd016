"""Random views of a labeled image: crop, flip, tilt, and what cameras do to light."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from edge_runtime.images.dataset import Labeled
from train.data.conditions import under_condition


def random_view(pair: Labeled, size: int, rng: np.random.Generator, conditions: Sequence[str] = ()) -> Labeled:
    """Return one random view of `pair` at (size, size), of which `rng` alone decides.

    `conditions` are keys of `train.data.conditions.CONDITIONS` that may happen to the view.
    """
    image, sky, valid = _crop(pair, size, rng)
    if rng.random() < 0.5:
        image, sky, valid = image[:, ::-1], sky[:, ::-1], valid[:, ::-1]
    if rng.random() < 0.25:
        image, sky, valid = _tilt(image, sky, valid, float(rng.normal(0.0, 8.0)))
    view = Labeled(*(np.ascontiguousarray(plane) for plane in (image, sky, valid)))
    view = under_condition(view, conditions, rng)
    return dataclasses.replace(view, image=_light(view.image, rng))


def whole_view(pair: Labeled, size: int) -> Labeled:
    """Return the whole image stretched to (size, size), as at inference."""
    height, width = pair.sky.shape
    return Labeled(*_resized(pair, (0.0, 0.0, float(width), float(height)), size))


def _crop(pair: Labeled, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = pair.sky.shape
    # Inference stretches the whole image, so nearly half of the views do the same.
    if rng.random() < 0.4:
        return _resized(pair, (0.0, 0.0, float(width), float(height)), size)
    area = float(rng.uniform(0.25, 1.0))
    aspect = math.exp(float(rng.uniform(-0.3, 0.3)))
    crop_width = min(1.0, math.sqrt(area * aspect)) * width
    crop_height = min(1.0, math.sqrt(area / aspect)) * height
    left = float(rng.uniform(0.0, width - crop_width))
    top = float(rng.uniform(0.0, height - crop_height))
    return _resized(pair, (left, top, left + crop_width, top + crop_height), size)


def _resized(pair: Labeled, box: tuple[float, float, float, float], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resize with the contract's filter. The label becomes the share of sky in each pixel, void pixels left out."""
    weight = pair.valid.astype(np.float32)
    shares = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR, box=box))
        for plane in (pair.sky * weight, weight)
    ]
    image = Image.fromarray(pair.image).resize((size, size), Image.Resampling.BILINEAR, box=box)
    covered = shares[1] > 0.5
    sky = np.where(covered, shares[0] / np.maximum(shares[1], 1e-3), 0.0).clip(0.0, 1.0)
    return np.asarray(image), sky.astype(np.float32), covered


def _tilt(image: np.ndarray, sky: np.ndarray, valid: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = sky.shape[0]
    radians = abs(math.radians(degrees))
    # Zoom in until no corner of the turned square is empty.
    zoom = math.cos(radians) + math.sin(radians)
    matrix = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), degrees, zoom)
    turned = [
        cv2.warpAffine(plane, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        for plane in (np.ascontiguousarray(image), np.ascontiguousarray(sky), valid.astype(np.float32))
    ]
    return turned[0], turned[1], turned[2] > 0.99


def _light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, gamma, contrast, white balance, saturation, blur, sensor noise and JPEG, each with its own chance."""
    x = image.astype(np.float32) / 255.0
    if rng.random() < 0.7:
        x = x ** float(np.exp(rng.normal(0.0, 0.25)))
    if rng.random() < 0.7:
        x = (x - 0.5) * float(np.exp(rng.normal(0.0, 0.15))) + 0.5 + float(rng.normal(0.0, 0.08))
    if rng.random() < 0.5:
        x = x * np.exp(rng.normal(0.0, 0.07, 3)).astype(np.float32)
    if rng.random() < 0.5:
        gray = x.mean(axis=2, keepdims=True)
        x = gray + (x - gray) * float(rng.uniform(0.0 if rng.random() < 0.15 else 0.5, 1.5))
    if rng.random() < 0.08:
        # Dusk to night: the whole image far darker, the shadows first.
        x = np.clip(x, 0.0, 1.0) ** float(rng.uniform(1.3, 2.2)) * float(rng.uniform(0.15, 0.6))
    if rng.random() < 0.15:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.5))), np.float32)
    if rng.random() < 0.3:
        x = x + rng.standard_normal(x.shape, dtype=np.float32) * float(rng.uniform(0.005, 0.05))
    out = np.rint(np.clip(x, 0.0, 1.0) * 255.0).astype(np.uint8)
    if rng.random() < 0.2:
        packed = io.BytesIO()
        Image.fromarray(out).save(packed, "JPEG", quality=int(rng.integers(25, 90)))
        out = np.asarray(Image.open(packed).convert("RGB"))
    return out
