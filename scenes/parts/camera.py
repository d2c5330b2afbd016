"""The camera: where it points, and how light becomes an 8-bit image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.images.srgb import encode
from scenes.parts.canvas import Canvas
from scenes.parts.light import Light, linear, pick
from scenes.parts.noise import Rng, fork, smooth


@dataclass(frozen=True)
class Camera:
    """How the camera is held: everything here moves light between pixels and is done to alpha as well."""

    tilt_rad: float
    mirrored: bool
    sharpness: float  # below 0.6 the image is blurred, the more the less

    @classmethod
    def draw(cls, rng: Rng) -> Camera:
        """Draw how the camera is held."""
        tilt_rad = math.radians(rng.normal(0, 5)) if rng.random() < 0.15 else 0.0
        return cls(tilt_rad, mirrored=rng.random() < 0.5, sharpness=rng.uniform(0, 1))

    def canvas_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the canvas that covers an image of (height, width) after the tilt."""
        (height, width), along, across = size, math.cos(self.tilt_rad), abs(math.sin(self.tilt_rad))
        return math.ceil(height * along + width * across), math.ceil(width * along + height * across)

    def project(self, canvas: Canvas, size: tuple[int, int]) -> np.ndarray:
        """Image and alpha of the canvas as the camera sees them, (height, width, 4): linear RGB, alpha."""
        height, width = size
        layers = np.concatenate([canvas.image(), canvas.alpha[..., None]], -1)
        if self.tilt_rad:
            center = (canvas.width - 1) / 2, (canvas.height - 1) / 2
            turn = cv2.getRotationMatrix2D(center, math.degrees(self.tilt_rad), 1)
            turn[:, 2] += np.array([(width - canvas.width) / 2, (height - canvas.height) / 2])
            border = cv2.BORDER_REPLICATE
            layers = cv2.warpAffine(layers, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        if self.sharpness < 0.6:
            layers = cv2.GaussianBlur(layers, (0, 0), (0.3 + 0.6 * (0.6 - self.sharpness)) * canvas.unit + 0.1)
        return layers[:, ::-1] if self.mirrored else layers


def expose(rng: Rng, image: np.ndarray, light: Light, sky: str) -> np.ndarray:
    """Turn linear light (H, W, 3) into 8-bit sRGB as a camera would: flare, exposure, white balance, lens, noise."""
    h, w = image.shape[:2]
    xs, ys = (np.arange(w, dtype=np.float32)[None] + 0.5) / w, (np.arange(h, dtype=np.float32)[:, None] + 0.5) / h
    if sky in ("clear", "sunset") and rng.random() < 0.25 and -0.3 < light.sun_y < 1:
        image = _flare(rng, image, light, xs, ys)
    gain = _auto_gain(rng, image, sky)
    warmth, green = rng.normal(0, [0.07, 0.015])  # cameras err from warm to cold far more than from green to magenta
    balance = np.exp([warmth, green, -warmth]).astype(np.float32)
    corner = rng.uniform(0, 0.45) * (rng.random() < 0.6)
    lens = 1 - corner * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2) * 2
    light_in = image * (np.float32(gain) * balance) * lens[..., None]
    own = fork(rng)
    grain = rng.uniform(0.001, 0.012) * (2.0 if sky == "night" else 1.0)
    noise = own.standard_normal((h, w, 3), np.float32)
    light_in = light_in + noise * (grain * np.sqrt(np.clip(light_in, 0, 1) + 0.01) * 0.6)
    s = _tone_curve(rng)[np.clip(light_in * np.float32(16383 / 1.6), 0, 16383).astype(np.int32)]
    gray = s @ np.full((3, 1), 1 / 3, np.float32)
    s = gray + (s - gray) * np.float32(rng.uniform(0.75, 1.25))
    return np.clip(np.rint(s), 0, 255).astype(np.uint8)


def _flare(rng: Rng, image: np.ndarray, light: Light, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Add a glow around the sun, and ghosts on the line from it through the middle."""
    (h, w), sun_x, sun_y = image.shape[:2], light.sun_x, light.sun_y
    away = np.hypot((xs - sun_x) * w / h, ys - sun_y)
    image = image + (rng.uniform(0.05, 0.35) * np.exp(-away / 0.35))[..., None] * linear(255, 226, 180)
    for t in rng.uniform(0.4, 1.8, 3):
        spot = np.hypot((xs - sun_x - (0.5 - sun_x) * t) * w / h, ys - sun_y - (0.5 - sun_y) * t)
        tint = pick(rng, ((120, 255, 160), (255, 160, 120), (160, 160, 255)))
        image = image + (0.03 * smooth(spot, 0.06, 0.04))[..., None] * tint
    return image


def _auto_gain(rng: Rng, image: np.ndarray, sky: str) -> float:
    """Gain of an exposure that is not perfect: the mean goes some way toward middle gray."""
    mean = float(np.exp(np.log(image[::8, ::8].mean(-1) + 1e-3).mean()))
    gain = (0.2 / mean) ** rng.uniform(0.35, 0.75) * float(np.exp(rng.normal(0, 0.28)))
    return gain * (0.75 if sky in ("sunset", "night") else 1.0)


def _tone_curve(rng: Rng) -> np.ndarray:
    """Table (16384,) float32 from linear light 0 to 1.6 to [0, 255]: shoulder (or clipping), sRGB, contrast.

    Its steps are under half a level of 8 bits each.
    """
    tone = np.linspace(0, 1.6, 16384, dtype=np.float32)
    if rng.random() < 0.6:  # film-like shoulder; else highlights clip
        tone = np.where(tone > 0.6, 0.6 + 0.4 * np.tanh((tone - 0.6) / 0.5), tone)
    tone = np.clip(tone, 0, 1)
    tone = encode(tone)
    contrast = rng.uniform(0, 0.5)
    return (tone + contrast * tone * (1 - tone) * (2 * tone - 1)).astype(np.float32) * 255
