"""Refine a low-resolution sky probability along the edges of its image: weighted guided upsampling (Liba et al. 2020).

Around every pixel the probability is fitted as a linear function of the color, p = A . I + b. Confident pixels weigh most.
The fit is made on a small grid and applied to every pixel of the image. It follows "Sky Optimization: Semantically
aware image processing of skies in low-light photography" (arXiv 2006.10172) and is
written from its equations; comments say where it differs.

There are three scales: the image (H, W), the working image (h, w) of f x f means, and the grid, with cells of 2^m x 2^m
working pixels. Upsampling is bilinear by whole factors, so strips of the image join without a seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.resize import check_rgb
from edge_runtime.masks.color_density import color_bin, color_density
from edge_runtime.masks.pyramid import down, shrink, to_working, up

METHOD_VERSION = 2  # raise it with every change that changes masks: `segment --resume` compares it
LOW, HIGH, BIAS = 0.3, 0.5, 0.8  # below LOW and above HIGH the network has an opinion; BIAS shapes how soon it is sure
CONFIDENCE_FLOOR = 0.01  # the public code leaves 0 in between, so a cell of undecided pixels is 0 / 0
UNSURE = 0.01  # density decides where p is further than this from 0 and 1; all other pixels are its samples
RAISE, LOWER = 9.0, 99.0  # most that density may multiply, and divide, the odds of sky by
RARE = 1e-4  # a density below this is no evidence: the color is hardly in the samples
OPINION = 0.05  # known pixels, on which the guard tests color: p at most this far from 0 or 1
WRONG_FROM, WRONG_TO = 0.05, 0.2  # mean error of color on known pixels: trusted fully, not at all
EXPLAINED_FROM, EXPLAINED_TO = 0.1, 0.5  # share of the variance of p that the linear model explains: unrefined, refined
QUIET = 0.01  # variance of p below which there is nothing to explain
FAINT, DISTINCT = 0.1, 0.2  # contrast of sky and the rest, white = 1: unrefined below, refined above
STILL = 0.005  # variance of p below which its contrast is not known
VAGUE, VIVID = 0.2, 0.4  # the same for density, which relies more on color
SEEN = 0.2  # p at most this far from 0 or 1 is a sample of the rest, or of sky
EVIDENCE = 0.01  # share of samples of the rarer class, times contrast squared: enough to refine
CLEAR = 0.45  # contrast above this adds no evidence
WORK_SIDE = 1024  # long side of the working image, at most
GRID_SIDE = 32  # long side of the grid, to a factor of sqrt 2; the paper's 64, and 16, were worse on other scenes and on `val`
EPS = 0.01  # color difference, white = 1, below which an edge counts as noise
SIGMA = 0.02  # of the density's Gaussian, white = 1; the paper's 0.01 was worse on the same images
RADIUS = 0.04  # of the plain guided filter's window, as a share of the long side
STRIP_PIXELS = 1 << 18  # of the image; a strip's planes then stay near the cache


@dataclass(frozen=True)
class RefineConfig:
    """How to refine.

    Attributes
    ----------
    method
        `weighted`: the method of this module. `guided`: the plain guided filter (He et al. 2010, run on the working
        image as in He & Sun 2015), the baseline; density and guard do not apply to it.
    density
        Let the colors of confident pixels decide the others first (gaps between branches).
    guard
        Keep the probability where color cannot tell sky from the rest. That is so where their colors hardly differ or too
        few pixels of either are known (`_distinct`), where the fit explains too little of the probability (`_fit`), and
        where density or fit are wrong about confident pixels nearby (`_trust`).
    """

    method: Literal["weighted", "guided"] = "weighted"
    density: bool = True
    guard: bool = True


DEFAULTS = RefineConfig()


def refine(image: np.ndarray, probability: np.ndarray, config: RefineConfig = DEFAULTS) -> np.ndarray:
    """Upsample a probability along the edges of its image, (H, W, 3) uint8 RGB; returns (H, W) float32 in [0, 1].

    `probability` is (h, w) float in [0, 1] of any size, and covers the whole image. A constant map stays constant.
    """
    check_rgb(image)
    _check_probability(probability)
    factor = math.ceil(max(image.shape[:2]) / WORK_SIDE)
    guide = shrink(image, factor)
    p = to_working(probability, image.shape[:2], guide.shape[:2], factor)
    planes = _guided(guide, p) if config.method == "guided" else _weighted(guide, p, config)
    return _apply(image, planes, factor)


def confidence(p: np.ndarray) -> np.ndarray:
    """Return how much each (h, w) probability counts, 0.01..1: bias((l - p)/l) below l, bias((p - h)/(1 - h)) above h."""
    x = np.maximum((LOW - p) / LOW, (p - HIGH) / (1 - HIGH))
    np.maximum(x, 0, out=x)
    return np.maximum(x / ((1 / BIAS - 2) * (1 - x) + 1), CONFIDENCE_FLOOR)


def solve_symmetric(m: list[np.ndarray], r: list[np.ndarray]) -> list[np.ndarray]:
    """Solve M x = r for many 3x3 symmetric positive definite M, in closed form by M = L D L^T.

    `m` holds M00, M01, M02, M11, M12, M22, and `r` three arrays of the same shape.
    """
    m00, m01, m02, m11, m12, m22 = m
    l10, l20 = m01 / m00, m02 / m00
    d1 = m11 - l10 * m01
    l21 = (m12 - l20 * m01) / d1
    d2 = m22 - l20 * m02 - l21 * l21 * d1
    y1 = r[1] - l10 * r[0]
    x2 = (r[2] - l20 * r[0] - l21 * y1) / d2
    x1 = y1 / d1 - l21 * x2
    return [r[0] / m00 - l10 * x1 - l20 * x2, x1, x2]


def _weighted(guide: np.ndarray, p: np.ndarray, config: RefineConfig) -> list[np.ndarray]:
    """Return A (three planes) and b at the working size, steps 1 to 4 of the paper, blended with p by the guard."""
    halvings = max(2, round(math.log2(max(p.shape) / GRID_SIDE)))
    apart = _moves(guide, p, halvings) if config.guard else None
    target = _by_density(guide, p, apart, halvings) if config.density else p
    weight = confidence(target)
    total = down(weight, halvings)

    def mean(plane: np.ndarray) -> np.ndarray:
        return down(weight * plane, halvings) / total

    a, b, explained = _fit(guide, target, mean)
    planes = [up(plane, halvings, p.shape) for plane in (*a, b)]
    if apart is not None:
        share = smooth_step(explained, EXPLAINED_FROM, EXPLAINED_TO) * _distinct(apart, target, halvings)
        fitted = _linear(guide, planes)
        share = up(share, halvings, p.shape) * _trust(fitted, fitted > p, p, halvings)
        for plane in planes:
            plane *= share
        planes[3] += (1 - share) * p
    return planes


def _guided(guide: np.ndarray, p: np.ndarray) -> list[np.ndarray]:
    """Return A (three planes) and b at the working size by the plain guided filter."""
    radius = max(1, round(RADIUS * max(p.shape)))

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    a, b, _ = _fit(guide, p, mean)
    return [mean(plane) for plane in (*a, b)]


def _fit(
    guide: np.ndarray, p: np.ndarray, mean: Callable[[np.ndarray], np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Fit p = A . I + b in every window of `mean`; return A, b and the share of p's variance that A . I explains."""
    color = [cv2.extractChannel(guide, k).astype(np.float32) / 255 for k in range(3)]
    mean_p, mean_color = mean(p), [mean(plane) for plane in color]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    covariance = [mean(color[i] * color[j]) - mean_color[i] * mean_color[j] + (i == j) * EPS**2 for i, j in pairs]
    r = [mean(plane * p) - mean_plane * mean_p for plane, mean_plane in zip(color, mean_color, strict=True)]
    a = solve_symmetric(covariance, r)
    b = mean_p - sum(x * y for x, y in zip(a, mean_color, strict=True))
    variance = np.maximum(mean(p * p) - mean_p * mean_p, 0)
    explained = (sum(x * y for x, y in zip(a, r, strict=True)) + QUIET) / (variance + QUIET)
    return a, b, explained


def _moves(guide: np.ndarray, p: np.ndarray, halvings: int) -> tuple[np.ndarray, np.ndarray]:
    """Return per cell of the grid the length of cov(I, p) and var(p), going by the network alone, white = 1.

    Their ratio is the contrast of sky and the rest: how far the color moves while p goes from 0 to 1.
    """
    weight = confidence(p)
    total = down(weight, halvings)
    mean_p = down(weight * p, halvings) / total
    variance = np.maximum(down(weight * p * p, halvings) / total - mean_p * mean_p, 0)
    squared = np.zeros_like(variance)
    for k in range(3):
        color = weight * (cv2.extractChannel(guide, k).astype(np.float32) / 255)
        squared += ((down(color * p, halvings) - down(color, halvings) * mean_p) / total) ** 2
    return np.sqrt(squared), variance


def _contrast(apart: tuple[np.ndarray, np.ndarray], unknown: float) -> np.ndarray:
    """Return the contrast per cell; `unknown` where p hardly varies, since refining does no harm there."""
    length, variance = apart
    return (length + STILL * unknown) / (variance + STILL)


def _distinct(apart: tuple[np.ndarray, np.ndarray], target: np.ndarray, halvings: int) -> np.ndarray:
    """Return per cell of the grid, 0 to 1, whether sky and the rest differ in color there, and enough of both is known.

    A small contrast takes more samples: the error of a mean of n samples falls with 1 / sqrt(n), so the evidence is n times
    the contrast squared. Where one class has no samples, such as a wire in haze, a fit to the other would blur the mask.
    """
    contrast = _contrast(apart, DISTINCT)
    samples = np.minimum(*(down(seen.astype(np.float32), halvings) for seen in (target < SEEN, target > 1 - SEEN)))
    evidence = samples * np.minimum(contrast, CLEAR) ** 2
    return smooth_step(contrast, FAINT, DISTINCT) * smooth_step(evidence, 0, EVIDENCE)


def _by_density(guide: np.ndarray, p: np.ndarray, apart: tuple[np.ndarray, np.ndarray] | None, halvings: int) -> np.ndarray:
    """Step 5 of the paper, before the others: decide the unsure pixels by the colors of the sure ones.

    The paper takes the density of sky colors as p and leaves the normalization open. Here the ratio of the densities of
    sky and rest multiplies the network's odds, within bounds, so a white wall stays a wall. With `apart` (`_moves`) the
    guard lets density decide only where sky and rest clearly differ in color.
    """
    sky, other = p > 1 - UNSURE, p < UNSURE
    unsure = ~(sky | other)
    if not sky.any() or not unsure.any():
        return p
    ratio = color_density(guide[sky], SIGMA) + np.float32(RARE)
    ratio /= (color_density(guide[other], SIGMA) if other.any() else 0) + np.float32(RARE)
    bins = color_bin(guide)
    odds = np.clip(ratio, 1 / LOWER, RAISE)[bins[unsure]]
    decided = p.copy()
    decided[unsure] = odds * p[unsure] / (odds * p[unsure] + 1 - p[unsure])
    if apart is not None:
        by_color = (ratio / (1 + ratio))[bins]
        share = up(smooth_step(_contrast(apart, VIVID), VAGUE, VIVID), halvings, p.shape)
        decided = p + share * _trust(by_color, decided > p, p, halvings) * (decided - p)
    return decided


def _trust(said: np.ndarray, raises: np.ndarray, p: np.ndarray, halvings: int) -> np.ndarray:
    """Return as (h, w) how far a verdict is believed, 1 to 0: no further than it agrees with known pixels nearby.

    A verdict that raises p (`raises`) is tested on known pixels of the rest, one that lowers p on known pixels of sky.
    """
    shares = []
    for known, wrong in ((p < OPINION, said), (p > 1 - OPINION, 1 - said)):
        weight = known.astype(np.float32)
        share = down(weight * wrong, halvings) / (down(weight, halvings) + np.float32(1e-3))
        shares.append(1 - up(smooth_step(share, WRONG_FROM, WRONG_TO), halvings, p.shape))
    return np.where(raises, *shares)


def _linear(guide: np.ndarray, planes: list[np.ndarray]) -> np.ndarray:
    """Return clip(A . I + b, 0, 1) at the working size."""
    total = planes[3].copy()
    for k in range(3):
        cv2.accumulateProduct(planes[k] / 255, cv2.extractChannel(guide, k).astype(np.float32), total)
    return np.clip(total, 0, 1)


def _apply(image: np.ndarray, planes: list[np.ndarray], factor: int) -> np.ndarray:
    """Return clip(A . I + b, 0, 1) as (H, W) float32, in strips: the planes at full size would take 5x the image."""
    height, width = image.shape[:2]
    rows = planes[0].shape[0]
    out = np.empty((height, width), np.float32)
    step = max(1, STRIP_PIXELS // (width * factor))
    planes = [*(plane * np.float32(1 / 255) for plane in planes[:3]), planes[3]]
    for top in range(0, rows, step):
        first, last = max(top - 1, 0), min(top + step + 1, rows)  # a row more on both sides, to interpolate to
        start, stop = top * factor, min((top + step) * factor, height)
        inside = slice(start - first * factor, stop - first * factor)

        def large(plane: np.ndarray, first: int = first, last: int = last, inside: slice = inside) -> np.ndarray:
            part = plane[first:last]
            if factor > 1:
                part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
            return np.ascontiguousarray(part[inside, :width])

        total = large(planes[3])
        for k in range(3):
            cv2.accumulateProduct(large(planes[k]), cv2.extractChannel(image[start:stop], k).astype(np.float32), total)
        np.clip(total, 0, 1, out=out[start:stop])
    return out


def smooth_step(x: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Return 0 below `start`, 1 above `stop`, smooth between, as float32."""
    t = np.clip((x - start) / (stop - start), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def _check_probability(probability: np.ndarray) -> None:
    if probability.ndim != 2 or probability.size == 0 or probability.dtype.kind != "f":
        got = f"{probability.dtype} {probability.shape}"
        raise InputError(f"got a probability of {got}, expected float (h, w); divide 8-bit masks by 255")
    low, high = float(probability.min()), float(probability.max())
    if not (low >= 0.0 and high <= 1.0):  # False for NaN too
        raise InputError(f"got probabilities {low}..{high}, expected 0..1; apply the sigmoid first, and look for NaN")
