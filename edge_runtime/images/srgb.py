"""sRGB to linear light and back (IEC 61966-2-1): colors may be added and averaged in linear light only."""

from __future__ import annotations

import numpy as np

SHOULDER = 0.8  # light above which highlights are compressed into what is left up to white
FINE = 65_535  # steps of linear light in the table back; a byte there and back stays that byte


def decode(value: np.ndarray) -> np.ndarray:
    """Return the linear light of sRGB values in 0..1, at their own precision."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encode(light: np.ndarray) -> np.ndarray:
    """Return the sRGB values, about 0..1, of linear light at its own precision; nothing is clipped."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(np.maximum(light, 0), 1 / 2.4) - 0.055)


TO_LIGHT = decode(np.arange(256) / 255).astype(np.float32)
TO_BYTES = (255 * encode(np.arange(FINE + 1) / FINE)).astype(np.float32)


def to_light(pixels: np.ndarray) -> np.ndarray:
    """Return the linear light, float32 in [0, 1], of 8-bit sRGB pixels of any shape."""
    return TO_LIGHT[pixels]


def to_levels(light: np.ndarray) -> np.ndarray:
    """Return linear light as sRGB levels, float32 in [0, 255], not rounded yet; light beyond 0..1 is clipped."""
    return TO_BYTES[np.rint(np.clip(light, 0, 1) * np.float32(FINE)).astype(np.uint16)]


def shoulder(light: np.ndarray) -> np.ndarray:
    """Compress light above `SHOULDER` smoothly to below 1; below it nothing changes."""
    room = np.float32(1 - SHOULDER)
    over = np.maximum(light - np.float32(SHOULDER), 0)
    return np.minimum(light, np.float32(SHOULDER)) + room * over / (room + over)


def light_of(red: float, green: float, blue: float) -> np.ndarray:
    """Return the linear light (3,) float32 of an sRGB color in 0..255."""
    return decode(np.array([red, green, blue], np.float64) / 255).astype(np.float32)


def luminance(light: np.ndarray) -> np.ndarray:
    """Return the luminance (...) of linear light (..., 3) by the weights of BT.709."""
    return light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
