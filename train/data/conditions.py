"""Conditions that labeled images rarely show, simulated: another sky, night, fog, a fisheye lens.

Each function takes one view (see `Labeled`) and a generator, and returns a view of the same size whose label still
holds. Which of them help is measured by studies/ablation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edge_runtime.images.dataset import Labeled
from edge_runtime.images.srgb import encode
from scenes.parts.camera import expose
from scenes.parts.light import Light, linear, pick
from scenes.parts.noise import Rng, fbm
from scenes.parts.skies import make_sky

MIN_SKY = 0.02  # share of sky below which there is nothing to change


def other_sky(view: Labeled, rng: Rng) -> Labeled:
    """Put a painted sky behind the image, feathered at the label's edge, and light the image to fit."""
    return _behind(view, rng, str(rng.choice(["clear", "cloudy", "overcast", "sunset"], p=[0.2, 0.35, 0.25, 0.2])))


def night(view: Labeled, rng: Rng) -> Labeled:
    """Turn an image by day into one by night: night sky, dark ground, lamps with their glow, sensor noise."""
    return _behind(view, rng, "night")


def fog(view: Labeled, rng: Rng) -> Labeled:
    """Let the image fade into fog by distance, for which height above the lower edge and noise stand in."""
    if float(view.sky.mean()) < MIN_SKY:
        return view
    height, width = view.sky.shape
    color = pick(rng, ((232, 234, 236), (205, 210, 216), (170, 178, 188), (240, 238, 232)))
    rows = np.linspace(1.0, 0.0, height, dtype=np.float32)[:, None]
    far = np.clip(rows * rng.uniform(0.8, 1.6) + 0.07 * fbm(rng, height, width, cells=2, octaves=2), 0.0, None)
    thick = 1.0 - np.exp(-rng.uniform(0.5, 2.5) * far**2)
    # Sky is the farthest, but what stands before it must not end up brighter than it.
    thick = np.where(view.sky > 0.5, np.maximum(thick, rng.uniform(0.9, 1.0)), 0.92 * thick)[..., None].astype(np.float32)
    light = _linear(view.image) * (1.0 - thick) + color * thick
    return Labeled(_srgb(light), view.sky, view.valid)


def fisheye(view: Labeled, rng: Rng) -> Labeled:
    """See the image through a wide lens: straight lines bend outwards, and often a black rim stays around the circle."""
    size = view.sky.shape[0]
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0
    x, y = np.meshgrid(grid, grid)
    reach = float(rng.uniform(0.75, 1.15))  # below 1 the circle does not fill the image
    radius = np.hypot(x, y) / (reach * (np.sqrt(2.0) if rng.random() < 0.5 else 1.0))
    bend = float(rng.uniform(0.6, 1.35))  # half of the angle of view, radians
    source = np.tan(np.minimum(radius, 1.0) * bend) / np.tan(bend)
    scale = (source / np.maximum(radius, 1e-6)).astype(np.float32)
    turn = float(rng.normal(0.0, 0.3)) if rng.random() < 0.7 else float(rng.uniform(-np.pi, np.pi))
    u = (np.cos(turn) * x - np.sin(turn) * y) * scale / radius.max() * min(1.0, radius.max())
    v = (np.sin(turn) * x + np.cos(turn) * y) * scale / radius.max() * min(1.0, radius.max())
    outside = (radius > 1.0) | (np.abs(u) > 1.0) | (np.abs(v) > 1.0)
    to_x, to_y = (((each + 1.0) / 2.0 * size - 0.5).astype(np.float32) for each in (u, v))
    planes = [
        cv2.remap(plane, to_x, to_y, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for plane in (view.image, view.sky, view.valid.astype(np.float32))
    ]
    rim = int(rng.integers(0, 12))
    return Labeled(
        np.where(outside[..., None], np.uint8(rim), planes[0]),
        np.where(outside, np.float32(0.0), planes[1]),
        np.where(outside, True, planes[2] > 0.99),
    )


# Shares are small: together they change about a third of the views.
SHARES = {"other_sky": 0.12, "night": 0.08, "fog": 0.06, "fisheye": 0.06}
CONDITIONS: dict[str, Callable[[Labeled, Rng], Labeled]] = {
    "other_sky": other_sky,
    "night": night,
    "fog": fog,
    "fisheye": fisheye,
}


def under_condition(view: Labeled, names: Sequence[str], rng: Rng) -> Labeled:
    """Return `view` under one of the conditions `names` (each with its share of the views), or as it is."""
    chance = rng.random() if names else 1.0
    for name in names:
        if chance < SHARES[name]:
            return CONDITIONS[name](view, rng)
        chance -= SHARES[name]
    return view


def _behind(view: Labeled, rng: Rng, name: str) -> Labeled:
    height, width = view.sky.shape
    if float(view.sky.mean()) < MIN_SKY or not view.valid.any():
        return view
    rows = np.flatnonzero(view.sky.mean(axis=1) > 0.02)
    horizon = float(np.clip((rows[-1] + 1) / height + rng.uniform(-0.05, 0.1), 0.3, 1.2))
    sky = make_sky(rng, name, height, width, horizon)
    alpha = cv2.GaussianBlur(view.sky, (0, 0), float(rng.uniform(0.4, 1.2)))[..., None]
    ground = _without_sky(_linear(view.image), alpha)
    ground = ground * _relight(rng, ground, alpha, sky.light)
    if sky.light.night:
        ground = ground + _lamps(rng, view.sky)
    image = sky.pixels * alpha + ground * (1.0 - alpha)
    return Labeled(expose(rng, image, sky.light, name), view.sky, view.valid)


def _without_sky(light: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace the color of pixels that are partly sky by that of the ground beside them, so that no old sky shines through."""
    weight = np.clip(1.0 - 4.0 * alpha, 0.0, 1.0) + 1e-4
    spread = cv2.GaussianBlur(light * weight, (0, 0), 2.5) / cv2.GaussianBlur(weight, (0, 0), 2.5)[..., None]
    keep = np.clip(1.0 - 4.0 * alpha, 0.0, 1.0)
    return light * keep + spread * (1.0 - keep)


def _relight(rng: Rng, ground: np.ndarray, alpha: np.ndarray, light: Light) -> np.ndarray:
    """Gain (3,) from the light that the image was taken in to that of the new sky."""
    level = light.ambient + 0.5 * light.sun
    if light.night:
        return np.float32(rng.uniform(0.004, 0.12)) * level / max(float(level.mean()), 1e-4)
    tint = level / max(float(level.mean()), 1e-4)
    mean = float((ground * (1.0 - alpha)).sum() / max(3.0 * float((1.0 - alpha).sum()), 1.0))
    return tint ** np.float32(0.6) * np.float32(0.25 * level.mean() / max(mean, 0.02)) ** np.float32(rng.uniform(0.3, 0.8))


def _lamps(rng: Rng, sky: np.ndarray) -> np.ndarray:
    """Light (height, width, 3) of a few lamps in front of the ground."""
    height, width = sky.shape
    light = np.zeros((height, width, 3), np.float32)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32) / height
    spots = np.argwhere(sky < 0.5)
    if not len(spots):
        return light
    for row, column in spots[rng.integers(len(spots), size=int(rng.integers(0, 9)))]:
        away = np.hypot(xs - column / height, ys - row / height)
        color = pick(rng, ((255, 190, 110), (255, 220, 170), (235, 240, 255)))
        core, glow = np.exp(-((away / rng.uniform(0.004, 0.02)) ** 2)), np.exp(-away / rng.uniform(0.03, 0.15))
        light += (rng.uniform(0.5, 3.0) * core + rng.uniform(0.02, 0.15) * glow)[..., None] * color
    return light


def _linear(image: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3) float32 of 8-bit sRGB."""
    return _LINEAR[image]


def _srgb(light: np.ndarray) -> np.ndarray:
    """8-bit sRGB of linear light, clipped."""
    return np.rint(255.0 * encode(np.clip(light, 0.0, 1.0))).astype(np.uint8)


_LINEAR = np.array([linear(value, value, value)[0] for value in range(256)], np.float32)
