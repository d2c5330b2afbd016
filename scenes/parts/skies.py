"""Skies of five sorts, and the light that each gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from scenes.parts.light import Light, linear, pick
from scenes.parts.noise import Rng, fbm, fork, smooth


@dataclass(frozen=True)
class Sky:
    """A painted sky, (height, width, 3) linear RGB, and the light that it gives."""

    pixels: np.ndarray
    light: Light


@dataclass(frozen=True)
class _View:
    """Where the pixels of an image look, in heights of the image: what the painters of skies work from."""

    up: np.ndarray  # (height, 1), above the horizon
    across: np.ndarray  # (1, width), right of the middle
    away: np.ndarray  # (height, width) float32, from the sun
    sun_x: float  # as in `Light`
    sun_y: float

    @classmethod
    def draw(cls, rng: Rng, size: tuple[int, int], horizon: float, low_sun: bool) -> _View:
        """Draw a place for the sun."""
        height, width = size
        ys = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        xs = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None]
        sun_x, sun_y = rng.uniform(-0.3, 1.3), float(horizon - rng.uniform(0.15, 1.2))
        if low_sun:
            sun_x, sun_y = rng.uniform(0, 1), float(horizon - rng.uniform(-0.08, 0.14))
        away = np.hypot((xs - sun_x) * (width / height), ys - sun_y).astype(np.float32)
        return cls(horizon - ys, (xs - 0.5) * (width / height), away, sun_x, sun_y)

    def light(self, sun: np.ndarray, ambient: np.ndarray, haze: np.ndarray, night: bool = False) -> Light:
        """Light of these colors from where the sun is."""
        return Light(self.sun_x, self.sun_y, sun, ambient, haze, night)


def make_sky(rng: Rng, name: str, height: int, width: int, horizon: float) -> Sky:
    """Paint the sky of a name, with the horizon at this fraction of the height."""
    painters: dict[str, Callable[..., Sky]] = {
        "clear": partial(_day, cloudy=False),
        "cloudy": partial(_day, cloudy=True),
        "overcast": _overcast,
        "sunset": _sunset,
        "night": _night,
    }
    sky = painters[name](rng, _View.draw(rng, (height, width), horizon, low_sun=name == "sunset"))
    pixels = np.ascontiguousarray(np.broadcast_to(sky.pixels, (height, width, 3)), np.float32)
    return Sky(np.maximum(pixels, 0), sky.light)


def _day(rng: Rng, view: _View, cloudy: bool) -> Sky:
    """Blue sky; where not `cloudy`, often without any cloud, else with thin ones."""
    pale = rng.uniform(0, 1) ** 1.5  # 0: deep mountain blue, 1: milky summer haze
    zenith = linear(28, 84, 170) * (1 - pale) + linear(120, 165, 215) * pale
    zenith = zenith * linear(255, 240 + rng.normal(0, 12), 250) * rng.uniform(0.6, 1.3)
    haze = (linear(150, 190, 225) * (1 - pale) + linear(215, 228, 236) * pale) * rng.uniform(0.85, 1.25)
    top = rng.uniform(0.5, 1.1)
    sky = _gradient(view.up, [(0, haze), (top * 0.3, haze * 0.5 + zenith * 0.5), (top, zenith)])
    warm, strength = linear(255, 244, 220), rng.uniform(0.1, 0.7)
    sky = sky + (strength * np.exp(-view.away / rng.uniform(0.12, 0.4)))[..., None] * warm
    if rng.random() < 0.5:
        sky = sky + (8 * smooth(view.away, 0.045, 0.02) + 0.8 * np.exp(-view.away / 0.05))[..., None] * warm
    sun = linear(255, 243, 225) * 0.75
    if not cloudy and rng.random() < 0.6:
        return Sky(sky, view.light(sun, haze * 0.25 + 0.08, haze))
    clouds = _Clouds.draw(rng, view)
    low = rng.uniform(-0.5, 0.5) if cloudy else rng.uniform(0.7, 1.1)
    cover = smooth(clouds.density, low, low + rng.uniform(0.4, 1.3)) * smooth(view.up, -0.02, 0.15)
    dark = linear(*(rng.uniform(120, 205) + np.array([0, 4, 12])))
    cloud = dark + clouds.bright[..., None] * (linear(255, 252, 246) * rng.uniform(0.95, 1.3) - dark)
    cloud *= (1.1 - 0.3 * smooth(clouds.density, low + 0.4, low + 2))[..., None]  # thick cloud is darker below
    sky = sky + (cover * (0.95 if cloudy else 0.6))[..., None] * (cloud - sky)
    shade = float(rng.choice([1.0, 0.35])) if cloudy else 1.0  # sun out, or behind a cloud
    return Sky(sky, view.light(sun * shade, haze * 0.28 + 0.1, haze))


def _overcast(rng: Rng, view: _View) -> Sky:
    """One layer of cloud, smooth or with structure."""
    level, contrast = rng.uniform(0.55, 1.4), float(rng.choice([0.0, 0.12, 0.35]))
    tint = linear(*(np.array([238, 241, 246]) + rng.normal(0, 5, 3)))
    fall = rng.uniform(-0.25, 0.25)
    sky = tint * level * (1 + fall * np.clip(view.up, 0, 1))[..., None] * np.ones_like(view.away)[..., None]
    if contrast:
        clouds = _Clouds.draw(rng, view)
        sky = sky * (1 + contrast * (np.tanh(clouds.density) + 0.5 * (clouds.bright - 0.55)))[..., None]
    sun = np.zeros(3, np.float32) + 0.08
    return Sky(sky, view.light(sun, tint * min(level, 0.9) * 0.55, tint * level))


def _sunset(rng: Rng, view: _View) -> Sky:
    """Fire at the horizon, most often with clouds that are lit from below."""
    haze = pick(rng, ((255, 150, 60), (250, 180, 110), (240, 120, 90), (255, 200, 150), (235, 150, 160)))
    middle = pick(rng, ((200, 130, 130), (170, 120, 150), (220, 160, 130), (130, 120, 160)))
    zenith = pick(rng, ((40, 60, 110), (70, 90, 140), (50, 45, 85), (90, 110, 150)))
    sky = _gradient(view.up, [(0, haze), (rng.uniform(0.12, 0.35), middle), (rng.uniform(0.5, 0.9), zenith)])
    fire = linear(255, 190, 110)
    sky = sky + np.exp(-view.away / rng.uniform(0.08, 0.3))[..., None] * fire * rng.uniform(0.3, 1.2)
    if rng.random() < 0.5:
        sky = sky + (smooth(view.away, 0.05, 0.035) * 4)[..., None] * fire
    if rng.random() < 0.75:
        clouds = _Clouds.draw(rng, view, from_below=True)
        low = rng.uniform(-0.3, 0.7)
        cover = smooth(clouds.density, low, low + rng.uniform(0.5, 1.2))[..., None] * 0.9
        cloud = middle * 0.25 + zenith * 0.3
        cloud = cloud + clouds.bright[..., None] * (haze * rng.uniform(0.7, 1.3) - cloud)
        sky = sky + cover * (cloud - sky)
    power = rng.uniform(0.03, 0.35)  # from black outlines to a scene in the last light
    return Sky(sky, view.light(fire * power, (zenith * 0.6 + 0.05) * power * 1.5 + 0.004, haze * 0.7))


def _night(rng: Rng, view: _View) -> Sky:
    """Stars, a moon with or without clouds, or both, over the glow of a town."""
    zenith = pick(rng, ((6, 9, 22), (12, 18, 40), (4, 4, 8), (20, 28, 52)))
    haze = pick(rng, ((60, 45, 35), (25, 35, 60), (80, 60, 40), (20, 26, 40), (40, 60, 60)), 0.3)
    sky = _gradient(view.up, [(0, haze), (rng.uniform(0.1, 0.4), haze * 0.25 + zenith), (0.9, zenith)])
    sky = sky * (1 + 0.3 * np.exp(-np.abs(view.across - rng.uniform(-0.7, 0.7)) * 3))[..., None]
    roll = rng.random()
    if roll < 0.7:
        sky = _add_stars(rng, sky, view)
    if roll > 0.5:
        sky = _add_moon(rng, sky, view, haze)
    power = rng.uniform(0.15, 1)
    ambient = haze * 0.12 + 0.004 * power
    return Sky(sky, view.light(linear(190, 205, 255) * 0.012 * power, ambient, haze * 0.4, night=True))


def _add_stars(rng: Rng, sky: np.ndarray, view: _View) -> np.ndarray:
    """Stars, many faint and few bright, and the band in which they crowd."""
    height, width = view.away.shape
    angle, shift = rng.uniform(0.3, 2.8), rng.uniform(-0.2, 0.2)
    band = np.exp(-(((view.across * np.sin(angle) - (view.up - 0.4) * np.cos(angle) + shift) / 0.16) ** 2))
    milky = (rng.random() < 0.4) * rng.uniform(0.5, 1.5)
    dust = fbm(rng, height, width, 6, 6, 0.6)
    sky = sky + milky * 0.035 * (band * np.clip(0.6 + 0.7 * dust, 0, 2))[..., None] * linear(235, 225, 245)
    own = fork(rng)
    count = int(own.integers(150, 1500))
    ix, iy = own.integers(0, width, count), own.integers(0, height, count)
    flux = (0.02 * own.pareto(1.6, count)).clip(0, 3) * np.exp(-np.maximum(0, 0.15 - view.up[iy, 0]) * 10)
    stars = np.zeros((height, width, 3), np.float32)
    stars[iy, ix] = flux[:, None] * (1 + own.normal(0, 0.12, (count, 3)))
    return sky + cv2.GaussianBlur(stars, (0, 0), 0.45 + 0.25 * (max(height, width) / 512)) * 2.2


def _add_moon(rng: Rng, sky: np.ndarray, view: _View, haze: np.ndarray) -> np.ndarray:
    """A moon with its halo, perhaps with clouds that it lights."""
    x, y = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.7)
    far = np.hypot(view.across - x, view.up - y)
    size = rng.uniform(0.008, 0.026)
    height, width = view.away.shape
    seas = 0.75 + 0.25 * np.tanh(fbm(rng, height, width, 40, 3))
    sky = sky + (smooth(far, size + 0.003, size - 0.003) * 0.7 * seas + 0.03 * np.exp(-far / 0.06))[..., None]
    if rng.random() < 0.6:
        clouds = _Clouds.draw(rng, view)
        cover = smooth(clouds.density, 0, 1.2)[..., None] * 0.8
        lit = (0.02 + 0.25 * np.exp(-far / 0.3) * clouds.bright)[..., None]
        sky = sky + cover * (lit * 0.5 + haze * 0.3 - sky)
    return sky


@dataclass(frozen=True)
class _Clouds:
    """A layer of clouds, both (height, width): density, mean about 0, and brightness in [0, 1]."""

    density: np.ndarray
    bright: np.ndarray

    @classmethod
    def draw(cls, rng: Rng, view: _View, from_below: bool = False) -> _Clouds:
        """Draw a layer that is a plane overhead, seen in perspective and lit from the sun's side, above or below.

        The camera (focal length = image height) is pitched so that the horizon falls where `view.up` is 0.
        """
        cells, gain, stretch = int(rng.integers(4, 10)), rng.uniform(0.45, 0.62), float(rng.choice([1.0, 1.0, 2.0]))
        tile = fbm(rng, 512, 512, cells, 7, gain, stretch, tiled=True)
        # Bright where the noise falls toward the light, a few pixels of the tile away.
        lit = tile - np.roll(tile, (6 if from_below else -5, 7 if view.sun_x > 0.5 else -7), (0, 1))
        pitch = float(np.arctan(view.up[0, 0] - 0.5))  # the top row is half an image above the middle
        rise = np.maximum(view.up, 0) * np.cos(pitch) + rng.uniform(0.08, 0.3)
        ahead = np.cos(pitch) - (view.up - view.up[0, 0] + 0.5) * np.sin(pitch)
        scale = rng.uniform(110, 220)
        u = view.across / rise * scale + rng.uniform(0, 512)
        v = np.broadcast_to(ahead / rise * scale + rng.uniform(0, 512), u.shape)
        maps = np.mod(u, 512).astype(np.float32), np.mod(v, 512).astype(np.float32)
        both = cv2.remap(np.stack([tile, lit], -1), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return cls(both[..., 0], np.clip(0.55 + 0.9 * both[..., 1], 0, 1))


def _gradient(up: np.ndarray, stops: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Color (height, 1, 3) of elevations `up` (height, 1), through stops (elevation, color)."""
    at = [s[0] for s in stops]
    channels = [np.interp(up[:, 0], at, [s[1][c] for s in stops]) for c in range(3)]
    return np.stack(channels, -1)[:, None].astype(np.float32)
