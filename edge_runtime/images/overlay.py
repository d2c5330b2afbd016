"""An image with its sky tinted and the contour drawn, to judge a mask by eye."""

from __future__ import annotations

import numpy as np

SKY_TINT, CONTOUR = (255, 0, 110), (255, 230, 0)  # RGB; colors that no sky has
TINT_STRENGTH = 0.45
STRIP_PIXELS = 1 << 20  # tinted at once; all of 100 megapixels in float would take 2.4 GB


def draw_overlay(image: np.ndarray, probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return an image, (H, W, 3) uint8 RGB, with its sky tinted and the contour of its mask drawn.

    `probability` is (H, W) float32 in [0, 1]; the contour runs at `threshold`.
    """
    tinted = np.empty_like(image)
    step = max(1, STRIP_PIXELS // image.shape[1])
    for top in range(0, image.shape[0], step):
        rows = slice(top, top + step)
        share = (TINT_STRENGTH * probability[rows])[:, :, None]
        tinted[rows] = np.rint(image[rows] * (1 - share) + np.asarray(SKY_TINT, np.float32) * share)
    sky = probability >= threshold
    tinted[sky & ~_eroded(sky, max(1, round(max(image.shape[:2]) / 500)))] = CONTOUR
    return tinted


def _eroded(sky: np.ndarray, radius: int) -> np.ndarray:
    """Return the pixels of (H, W) bool `sky` with nothing else within `radius`, in a square.

    Outside the image counts as sky, so that no line runs along its border.
    """
    for along in (lambda mask: mask, np.transpose):  # columns, then rows
        wide = sky.copy()
        old, new = along(sky), along(wide)
        for step in range(1, radius + 1):
            new[step:] &= old[:-step]
            new[:-step] &= old[step:]
        sky = wide
    return sky
