"""Matting at the edge of the sky: the share of sky in a pixel, and the color of the foreground in it.

In linear light a pixel is I = a B + (1 - a) F, with sky B, its share a, and foreground F. B and F are known where the mask
is sure. `Surroundings` spreads them over the other pixels, `sharpen` estimates a, and `free_foreground` removes the sky.
Without this, branches and wires keep a seam of the old sky.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.images.opencv import cv2
from edge_runtime.masks.pyramid import down, up

KNOWN = 0.05  # a share of sky nearer than this to 0 or 1 is known: such pixels are samples of one of the two colors
SKY_VARIES = 0.15  # deviation of the sky from its estimate, relative to the foreground's; 1 in haze, where both are alike
NEAR = 0.025  # of the diagonal: half the side of the window (twice) that says whether both colors are known nearby
ENOUGH = 0.1  # share of known pixels of either kind nearby from which on they are believed
CONTRAST = 0.1  # length of B - F, white = 1, at which the line is half believed
OFF_LINE = 0.15  # distance from the line, as a share of its length, at which a pixel is no mixture of the two
CALM = 0.008  # of the diagonal: deviation of the blur of the mask where both colors are alike
CRISP = 4.0  # times its slope there
HAZE = 0.2  # length of B - F at which that is half the case
UNDECIDED = 16.0  # times p (1 - p): how far a mask that has an opinion may be changed
LEVELS = (0.03, 0.97)  # a share of sky outside becomes 0 or 1: what a mask leaves there would show as a veil
FEW = 0.02  # weight of a coarser mean in `spread`


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Colors around every pixel, (h, w, 3) float32 linear light, of sky and foreground; how near they are known, (h, w).

    `calm` (h, w) is the mask without its grain.
    """

    sky: np.ndarray
    foreground: np.ndarray
    near: np.ndarray
    calm: np.ndarray

    @classmethod
    def estimate(cls, light: np.ndarray, alpha: np.ndarray) -> Surroundings:
        """Spread the colors of known pixels over the others, for `light` (h, w, 3) float32 linear and `alpha` (h, w).

        The foreground is spread a second time, weighted by its share in every pixel: a twig covers no pixel fully.
        """
        is_sky, is_other = ((alpha > 1 - KNOWN).astype(np.float32), (alpha < KNOWN).astype(np.float32))
        side = 2 * round(NEAR * math.hypot(*alpha.shape)) + 1
        near = np.minimum(*(cv2.blur(cv2.blur(known, (side, side)), (side, side)) for known in (is_sky, is_other)))
        calm = cv2.GaussianBlur(alpha, (0, 0), CALM * math.hypot(*alpha.shape))
        first = cls(spread(light, is_sky), spread(light, is_other), np.minimum(near / ENOUGH, 1), calm)
        sharp = sharpen(light, alpha, first)
        return cls(first.sky, spread(free_foreground(light, sharp, first), (1 - sharp) ** 2), first.near, calm)


def sharpen(light: np.ndarray, alpha: np.ndarray, around: Surroundings) -> np.ndarray:
    """Estimate the share of sky of undecided pixels from their place between the colors of sky and foreground.

    a = (I - F) . (B - F) / |B - F|^2. It is used where both colors are known nearby, differ, and the pixel lies between
    them. Where they are alike the mask follows the grain of the image: its blur is taken there, and made narrow; elsewhere the
    mask stays. `light` is (h, w, 3) float32 linear, `alpha` (h, w) float32 in [0, 1].
    """
    line = around.sky - around.foreground
    length = np.einsum("ijk,ijk->ij", line, line)
    from_foreground = light - around.foreground
    share = np.clip(np.einsum("ijk,ijk->ij", from_foreground, line) / (length + 1e-6), 0, 1)
    from_foreground -= share[..., None] * line
    off = np.einsum("ijk,ijk->ij", from_foreground, from_foreground)
    differ = length / (length + CONTRAST**2)
    crisp = np.clip(CRISP * (around.calm - 0.5) + 0.5, 0, 1)
    alpha = alpha + _alike(length) * _undecided(alpha) * (crisp - alpha)
    belief = around.near * differ * np.exp(-off / (OFF_LINE**2 * length + 1e-6))
    return alpha + belief * _undecided(alpha) * (share - alpha)


def _alike(length: np.ndarray) -> np.ndarray:
    """Return how far sky and foreground are alike, 1 in haze, from the squared `length` (h, w) of B - F."""
    return HAZE**2 / (length + HAZE**2)


def _undecided(alpha: np.ndarray) -> np.ndarray:
    """Return how far shares of sky may be changed: 0 where they are 0 or 1."""
    return np.minimum(UNDECIDED * alpha * (1 - alpha), 1)


def clear_veil(alpha: np.ndarray) -> np.ndarray:
    """Stretch (h, w) shares of sky so that values outside `LEVELS` become 0 and 1."""
    return np.clip((alpha - LEVELS[0]) / (LEVELS[1] - LEVELS[0]), 0, 1).astype(np.float32)


def free_foreground(light: np.ndarray, alpha: np.ndarray, around: Surroundings) -> np.ndarray:
    """Return F of I = a B + (1 - a) F, for I = `light` (h, w, 3) and a = `alpha` (h, w), nearest to the estimates F0, B0.

    Of all solutions it has the least (F - F0)^2 + (B - B0)^2 / v^2, where v < 1 because the sky varies less:
    F = F0 + (1 - a) r / ((1 - a)^2 + v^2 a^2) with r = I - a B0 - (1 - a) F0. It is I where a = 0 and F0 where a = 1. In haze
    v rises to 1, or r, which is grain there, would be enlarged.
    Forte 2021 ("Approximate fast foreground color estimation") solves the same problem with other weights.
    """
    a = alpha[..., None]
    rest = 1 - a
    residual = light - a * around.sky - rest * around.foreground
    line = around.sky - around.foreground
    varies = (SKY_VARIES + (1 - SKY_VARIES) * _alike(np.einsum("ijk,ijk->ij", line, line)))[..., None]
    return np.clip(around.foreground + residual * (rest / (rest * rest + (varies * a) ** 2)), 0, 1)


def spread(light: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted mean of `light` (h, w, 3) around every pixel, over the smallest area that has some weight.

    This is push-pull (Gortler et al. 1996, "The lumigraph"): every level of a pyramid of sums keeps its own mean where it
    has weight, and takes the mean of the level above elsewhere.
    """
    sums = [[*(light[..., k] * weight for k in range(3)), weight]]
    while max(sums[-1][3].shape) > 2:
        sums.append([down(plane, 1) for plane in sums[-1]])
    means = [plane / np.maximum(sums[-1][3], 1e-6) for plane in sums[-1][:3]]
    for planes in reversed(sums[:-1]):
        total = planes[3] + np.float32(FEW)
        means = [(plane + np.float32(FEW) * up(mean, 1, plane.shape)) / total for plane, mean in zip(planes, means, strict=False)]
    return np.dstack(means)
