"""Images and videos as skies: placed above the horizon, mirrored endlessly to the sides, drifting with the wind."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.srgb import to_light
from edge_runtime.video.read import VideoSource
from skyedge.replace.matte import spread
from skyedge.replace.texture import Texture
from skyedge.replace.view import View, Window

LONGEST = 4096  # pixels: long side of a sky image as it is kept
RISE = 0.07  # added to the sine of the elevation: the layer that moves bends down with the earth
WIND = (0.10, 0.05)  # heights of the layer per second, right and away: a time lapse
LAND = 0.5  # a row of a sky image with a smaller share of sky is land, and cut off with all rows below it
ENOUGH = 0.15  # share of the rows that must be left


class Sky(Protocol):
    """What can stand behind a foreground."""

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, 3) float32, linear RGB, white = 1 (the sun has more)."""
        ...


class ImageSky:
    """An image of a sky, taken toward the horizon, which is its lower edge; it keeps its own perspective.

    `image` is (H, W, 3) uint8 sRGB, or (H, W, C) float32 linear light. `wind` is the speed of its clouds: 1 is a time lapse, 0
    stands still. With `loop_s` the sky repeats after that many seconds. `pixel_angle` is in radians; without it the image is seen
    through the camera's lens, but enlarged where needed to reach the top of its view.
    """

    def __init__(
        self,
        image: np.ndarray,
        view: View,
        wind: float = 1.0,
        loop_s: float | None = None,
        pixel_angle: float | None = None,
    ) -> None:
        self.wind, self.loop_s = wind, loop_s
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.texture = Texture(to_light(image) if image.dtype == np.uint8 else image, mirror=True)
        long_side = max(self.texture.height, self.texture.width)
        cover = view.highest() / self.texture.height
        self.pixel_angle = pixel_angle or max(math.radians(view.fov_deg) / long_side, cover)

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, C) float32, linear RGB, at a time in seconds.

        In a loop the image is cross-faded with itself a period earlier.
        """
        if self.loop_s is None:
            return self._seen(window, time_s)
        now = time_s % self.loop_s
        late = np.float32(now / self.loop_s)
        sky = self._seen(window, now)
        return sky if late == 0 else (1 - late) * sky + late * self._seen(window, now - self.loop_s)

    def _seen(self, window: Window, time_s: float) -> np.ndarray:
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


class VideoSky:
    """A video of a sky, played at its own rate; at its end it starts again.

    `rows` tells the share of a frame's rows, from the top, that show sky; it is asked about the first.
    """

    def __init__(self, path: Path, view: View, rows: Callable[[np.ndarray], float] = lambda image: 1.0) -> None:
        self.path, self.view, self.rows = path, view, 0
        self.source, self.number = VideoSource(path), -1
        self.rate = float(self.source.format.rate)
        image = self._next()
        self.rows = max(1, round(rows(image) * len(image)))
        self.sky = ImageSky(image[: self.rows], view, wind=0)

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the frame at a time in seconds, as `ImageSky`; times must not fall."""
        while self.number < int(time_s * self.rate + 1e-6):
            self.sky = ImageSky(self._next()[: self.rows], self.view, wind=0)
        return self.sky.light(window, 0.0)

    def _next(self) -> np.ndarray:
        """Return the next frame, the first after the last."""
        frame = self.source.read()
        if frame is None:
            self.source.close()
            self.source = VideoSource(self.path)
            frame = self.source.read()
        if frame is None:
            raise InputError(f"got the sky {self.path} without a frame that can be decoded, expected a video")
        self.number += 1
        return frame.image


def without_land(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Paint over masts, birds and branches of a sky image (H, W, 3) uint8 with the colors of the sky around them.

    `probability` (H, W) float32 in [0, 1] is the image's mask.
    """
    pure = cv2.erode((probability > 0.9).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    if not pure.any() or pure.all():
        return image
    around = spread(image.astype(np.float32), pure)
    share = cv2.blur(pure, (5, 5), borderType=cv2.BORDER_REPLICATE)[..., None] * pure[..., None]
    return np.clip(np.rint(around + share * (image - around)), 0, 255).astype(np.uint8)


def rows_of_sky(probability: np.ndarray, path: Path, least: float = ENOUGH) -> float:
    """Return the share of a sky image's rows, from the top, that show sky by its mask `probability` (h, w).

    It is 1 where the network finds no sky at all: paintings, for example. Raises `InputError` below the share `least`.
    """
    by_row = probability.mean(axis=1)
    if float(by_row.max()) < LAND:
        return 1.0
    land = np.flatnonzero(by_row < LAND)
    land = land[land > int(by_row.argmax())]
    share = 1.0 if land.size == 0 else float(land[0]) / len(by_row)
    if share < least:
        raise InputError(
            f"got the sky {path} with {100 * share:.0f} % of its rows above the land, expected at least "
            f"{100 * least:.0f} %; crop it to its sky, or choose another"
        )
    return share
