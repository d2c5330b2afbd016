"""An image with its sky tinted and the contour drawn, to judge a mask by eye."""

from __future__ import annotations

import cv2
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
    sky = (probability >= threshold).astype(np.uint8)
    width = max(1, round(max(image.shape[:2]) / 500))
    # Outside the image counts as sky here, so that no line runs along its border.
    inside = cv2.erode(sky, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    tinted[sky != inside] = CONTOUR
    return tinted
