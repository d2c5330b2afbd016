"""Sky without a network, as a baseline: by contour and by color.

Both methods are those of earlier public solutions of the exercise. The constants were chosen on images of `val`. All work is
done by OpenCV on 8-bit images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_runtime.images.opencv import cv2
from edge_runtime.images.resize import check_rgb

HEIGHT, WIDTH = 240, 320  # pixels; the methods see images at this size; 480 x 640 was no better
CONTOUR_BLUR = 5  # pixels, side of the Gaussian's window
CONTOUR_KERNEL = 25  # pixels, diameter
SKY_HSV_LOW = (80, 0, 160)  # hue of 0..179 (two degrees each), saturation, value
SKY_HSV_HIGH = (125, 255, 255)  # cyan to blue; gray clouds have no hue, but most lean to blue
COLOR_KERNEL = 15  # pixels, diameter


def by_contour(image: np.ndarray) -> np.ndarray:
    """Return 1 for sky, 0 for the rest, as (H, W) float32: sky is all outside the largest dark region.

    The blue channel, in which sky is bright, is blurred and split by Otsu's threshold (1979). The largest contour of the dark
    part is filled as ground; morphological closing and opening smooth its edge. `image` is (H, W, 3) uint8 RGB; the kernels
    are made for `HEIGHT` x `WIDTH`. An image of one color is all sky or no sky.
    """
    check_rgb(image)
    blue = cv2.GaussianBlur(cv2.extractChannel(image, 2), (CONTOUR_BLUR, CONTOUR_BLUR), 0)
    _, dark = cv2.threshold(blue, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    ground = np.zeros(image.shape[:2], np.uint8)
    if contours:
        cv2.drawContours(ground, [max(contours, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return _as_probability(255 - _open(_close(ground, CONTOUR_KERNEL), CONTOUR_KERNEL))


def by_color(image: np.ndarray) -> np.ndarray:
    """Return 1 for sky, 0 for the rest, as (H, W) float32: sky has hue, saturation and value of a blue sky.

    Morphological opening and closing follow. `image` is (H, W, 3) uint8 RGB; the kernel is made for `HEIGHT` x `WIDTH`.
    """
    check_rgb(image)
    sky = cv2.inRange(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.array(SKY_HSV_LOW), np.array(SKY_HSV_HIGH))
    return _as_probability(_close(_open(sky, COLOR_KERNEL), COLOR_KERNEL))


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"contour": by_contour, "color": by_color}


def _open(plane: np.ndarray, diameter: int) -> np.ndarray:
    return cv2.morphologyEx(plane, cv2.MORPH_OPEN, _disc(diameter))


def _close(plane: np.ndarray, diameter: int) -> np.ndarray:
    return cv2.morphologyEx(plane, cv2.MORPH_CLOSE, _disc(diameter))


def _disc(diameter: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def _as_probability(mask: np.ndarray) -> np.ndarray:
    return (mask > 0).astype(np.float32)
