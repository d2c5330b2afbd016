"""Linear-light colors, and the light that falls on a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_runtime.images.srgb import decode
from scenes.parts.noise import Rng

Palette = tuple[tuple[float, float, float], ...]  # 8-bit sRGB colors


def linear(red: float, green: float, blue: float) -> np.ndarray:
    """Linear-light RGB (3,) of an 8-bit sRGB color."""
    return decode(np.array([red, green, blue], np.float32) / 255).astype(np.float32)


def pick(rng: Rng, palette: Palette, jitter: float = 0.12) -> np.ndarray:
    """Draw a color of an sRGB palette, varied a little; linear RGB (3,)."""
    base = linear(*palette[int(rng.integers(len(palette)))])
    return (base * np.exp(rng.normal(0, jitter, 3) * 0.5 + rng.normal(0, jitter))).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """Light of a scene: where the sun is (fractions of the image, may lie outside) and its colors, linear (3,)."""

    sun_x: float
    sun_y: float
    sun: np.ndarray
    ambient: np.ndarray
    haze: np.ndarray  # color of the air at the horizon, into which far things fade
    night: bool = False

    def on(self, color: np.ndarray, facing: np.ndarray | float = 0.5) -> np.ndarray:
        """Color of a surface of this reflectance; `facing` 0 = turned from the sun, 1 = toward it."""
        facing = np.asarray(facing, np.float32)[..., None] if np.ndim(facing) else facing
        return (color * (self.ambient + self.sun * facing)).astype(np.float32)
