"""Masks that mean the opposite of ours, sky 0 and the rest 255: found by position and color, or by a network that is sure."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from edge_runtime.images.mask_file import VOID

LEAST_SHARE = 0.05  # of an image that sky and the rest each need: less says little of either
LEAST_IMAGES = 2  # that contradict their labels
GRID = 64  # so many rows and columns of an image are looked at


def contradicts(image: np.ndarray, labels: np.ndarray) -> bool | None:
    """Return whether what a mask (H, W) uint8 calls sky lies lower in the image (h, w, 3) than the rest, and is less blue.

    False where it lies higher and is more blue, None where the two disagree or the mask holds one class only.
    """
    labels, blue = _on_grid(labels), _on_grid(image[..., 2])
    sky, rest = (labels > 127) & (labels != VOID), labels < 128
    if min(sky.mean(), rest.mean()) < LEAST_SHARE:
        return None
    rows = np.indices(labels.shape)[0]
    lower, darker = rows[sky].mean() > rows[rest].mean(), blue[sky].mean() < blue[rest].mean()
    return bool(lower) if lower == darker else None


def _on_grid(plane: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(GRID) * side // GRID for side in plane.shape)
    return plane[rows[:, None], columns]


def warn_if_inverted(verdicts: Iterable[bool | None], where: object, why: str) -> None:
    """Say on stderr that masks look inverted where most `verdicts` that are not None are True."""
    known = [verdict for verdict in verdicts if verdict is not None]
    if sum(known) >= LEAST_IMAGES and 2 * sum(known) > len(known):
        print(
            f"warning: {why} contradict the masks of {sum(known)} of {len(known)} images in {where}; if 0 means sky there, write "
            "them anew: python train/adapters.py folder DIR --sky-value 0 --out NEW",
            file=sys.stderr,
        )
