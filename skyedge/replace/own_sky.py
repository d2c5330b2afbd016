"""Images as skies: placed above the horizon, mirrored endlessly to the sides, drifting with the wind."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from edge_runtime.images.opencv import cv2
from edge_runtime.images.srgb import to_light
from skyedge.replace.texture import Texture
from skyedge.replace.view import View, Window

LONGEST = 4096  # pixels: long side of a sky image as it is kept
RISE = 0.07  # added to the sine of the elevation: the layer that moves bends down with the earth
WIND = (0.10, 0.05)  # heights of the layer per second, right and away: a time lapse
LAND = 0.5  # a row of a sky image with a smaller share of sky is land


class Sky(Protocol):
    """What can stand behind a foreground."""

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, 3) float32, linear RGB, white = 1 (the sun has more)."""
        ...


class ImageSky:
    """An image of a sky, taken toward the horizon, which is its lower edge; it keeps its own perspective.

    `image` is (H, W, 3) uint8 sRGB, or (H, W, C) float32 linear light. `wind` is the speed of its clouds: 1 is a time lapse, 0
    stands still. `pixel_angle` is in radians; without it the image is seen through the camera's lens, but enlarged where that
    would not reach the top of its view.
    """

    def __init__(self, image: np.ndarray, view: View, wind: float = 1.0, pixel_angle: float | None = None) -> None:
        self.wind = wind
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.texture = Texture(to_light(image) if image.dtype == np.uint8 else image, mirror=True)
        long_side = max(self.texture.height, self.texture.width)
        cover = view.highest() / self.texture.height
        self.pixel_angle = pixel_angle or max(math.radians(view.fov_deg) / long_side, cover)

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, C) float32, linear RGB, at a time in seconds."""
        right, up, ahead = window.directions()
        np.maximum(up, 0, out=up)
        rise = up + np.float32(RISE)
        # A layer that moves as a whole: what is overhead races, what is at the horizon hardly moves.
        gone = self.wind * time_s
        right, ahead = right - np.float32(gone * WIND[0]) * rise, ahead - np.float32(gone * WIND[1]) * rise
        flat = np.hypot(right, ahead)
        elevation = np.arctan2(up, flat)
        across = np.arctan2(right, ahead) * (flat / np.hypot(flat, up))  # no pinch overhead
        x = across / np.float32(self.pixel_angle) + np.float32((self.texture.width - 1) / 2)
        y = np.float32(self.texture.height - 0.5) - elevation / np.float32(self.pixel_angle)
        return self.texture.at(x, y, np.full_like(x, math.log2(window.pixel_angle / self.pixel_angle)))


def shows_land(probability: np.ndarray) -> bool:
    """Tell by the mask (h, w) of a sky image if it has land below its sky; a painting, in which no sky is found, has none."""
    by_row = probability.mean(axis=1)
    highest = int(by_row.argmax())
    return bool(by_row[highest] >= LAND and (by_row[highest:] < LAND).any())
