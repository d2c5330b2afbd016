"""Randomness of the scenes: fractal noise in one and two dimensions, and generators that do not disturb each other."""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


def fork(rng: Rng) -> Rng:
    """Generator of its own for one thing: takes one number of `rng`, so what follows does not depend on its needs."""
    return np.random.default_rng(int(rng.integers(2**62)))


def smooth(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def fbm(
    rng: Rng,
    height: int,
    width: int,
    cells: float = 4,
    octaves: int = 5,
    gain: float = 0.5,
    stretch: float = 1,
    tiled: bool = False,
) -> np.ndarray:
    """Fractal noise (height, width) float32, mean about 0, deviation about 0.6; `stretch` > 1 makes streaks lie flat.

    `tiled`: opposite edges fit together, for planes that repeat the noise out to the horizon.

    Each call forks `rng`, so that the layout of a scene does not depend on how many pixels its noise needed.
    """
    own = fork(rng)
    out, norm, long_side = np.zeros((height, width), np.float32), 0.0, max(height, width)
    for octave in range(octaves):
        count = cells * 2**octave
        rows = min(height, max(2, round(count * height / long_side)) + 2)
        columns = min(width, max(2, round(count * width / long_side / stretch)) + 2)
        grid = own.standard_normal((rows, columns), np.float32)
        if tiled:  # a margin of two cells repeats the other side; cut off once the cells are drawn large
            ay, ax = -(-2 * height // rows), -(-2 * width // columns)
            full = cv2.resize(
                np.pad(grid, 2, mode="wrap"), None, fx=width / columns, fy=height / rows, interpolation=cv2.INTER_CUBIC
            )
            grid = np.asarray(full[ay : ay + height, ax : ax + width], np.float32)
            out += gain**octave * grid
        else:
            out += gain**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        norm += gain ** (2 * octave)
        if rows == height and columns == width:
            break  # finer than a pixel there is nothing to see
    return out / np.float32(np.sqrt(norm))


def profile(rng: Rng, count: int, cells: float, octaves: int = 7, gain: float = 0.5, ridged: bool = False) -> np.ndarray:
    """Fractal line (count,) float32 in about [-1, 1]; `ridged` folds it into sharp peaks in [0, 1]."""
    own, where = fork(rng), np.linspace(0, 1, count)
    out = np.zeros(count)
    for octave in range(octaves):
        knots = int(np.ceil(cells * 2**octave)) + 2
        wave = np.interp(where * (knots - 1), np.arange(knots), own.uniform(-1, 1, knots))
        out += gain**octave * wave
    out *= 1 - gain
    return (1 - np.abs(out) * 1.8 if ridged else out * 1.6).astype(np.float32)
