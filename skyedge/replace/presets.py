"""Procedural skies: clouds, sunset, stars; drawn once, as the camera would see them, and reproducible by seed.

The color of the air is a gradient over the elevation with a glow around the sun. Clouds are one layer, a plane overhead:
a direction (right, up, ahead) meets it at (right, ahead) / up, so clouds shrink and crowd toward the horizon.
Their density is periodic noise, white noise whose spectrum falls with a power of the frequency (Voss 1985, "Random fractal
forgeries"); detail finer than a pixel is left out (`texture.py`). Air, sun and stars stand still; the clouds over them
move as an image of clouds does (`own_sky.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.srgb import light_of
from edge_runtime.masks.refine import smooth_step
from skyedge.replace.own_sky import ImageSky
from skyedge.replace.texture import Texture
from skyedge.replace.view import View, Window

Color = tuple[float, float, float]  # sRGB, 0..255

TILE = 1024  # pixels: side of the noise
SPAN = 7.0  # heights of the cloud layer that a tile covers
FAR = 0.07  # added to the sine of the elevation: the layer bends down with the earth, and ends
SOFT = 1.5  # range of density over which a cloud gets dense
LARGEST = 3072  # pixels: width of a drawing
WIDER = 1.25  # times the camera's angle of view that it covers; beyond, it is mirrored


@dataclass(frozen=True)
class Weather:
    """The parameters of a drawn sky: colors in sRGB, angles in degrees.

    Attributes
    ----------
    haze, middle, zenith
        Colors of the air at the horizon, at 30 degrees, overhead.
    sun, glow, reach_deg, disc
        Color of the sun, strength of the glow around it, how far that reaches, and whether its disc is drawn.
    sun_elevation_deg
        Height of the sun.
    cover
        Density (mean 0, deviation 1) above which there is cloud; None = no clouds.
    lit, shaded
        Colors of cloud in the light and of its dense parts.
    below
        The light comes from below the clouds.
    stars
        How many, over the whole sky.
    """

    haze: Color
    middle: Color
    zenith: Color
    sun: Color = (255, 244, 222)
    glow: float = 0.0
    reach_deg: float = 14.0
    disc: bool = False
    sun_elevation_deg: float = 40.0
    cover: float | None = None
    lit: Color = (255, 254, 250)
    shaded: Color = (160, 170, 184)
    below: bool = False
    stars: int = 0


PRESETS: dict[str, Weather] = {
    "clouds": Weather((200, 218, 232), (106, 160, 216), (44, 98, 176), glow=0.15, cover=-0.1),
    "sunset": Weather(
        (255, 184, 104),
        (206, 136, 132),
        (62, 76, 128),
        sun=(255, 196, 112),
        glow=0.9,
        reach_deg=16,
        disc=True,
        sun_elevation_deg=5,
        cover=0.15,
        lit=(255, 168, 110),
        shaded=(96, 82, 112),
        below=True,
    ),
    "stars": Weather((46, 50, 66), (18, 24, 44), (7, 10, 24), stars=9000),
}


def make_sky(name: str, view: View, seed: int = 0, wind: float = 1.0) -> DrawnSky:
    """Return the sky of a name in `PRESETS` for a camera; `wind` is that of `ImageSky`.

    `seed` (>= 0) places clouds, stars and sun.
    """
    if name not in PRESETS:
        raise InputError(f"got sky {name!r}, expected one of {', '.join(PRESETS)}, or an image that exists")
    if seed < 0 or not math.isfinite(wind):
        raise InputError(f"got seed {seed}, wind {wind}, expected a seed of 0 or more and a finite speed")
    span = math.radians(min(180.0, WIDER * view.fov_deg))
    highest = min(math.pi / 2, view.highest() + 0.05)
    width = min(LARGEST, round(span / view.window().pixel_angle))
    angle = span / width
    still, clouds = draw(PRESETS[name], np.random.default_rng(seed), (max(2, round(highest / angle)), width), angle)
    return DrawnSky(ImageSky(still, view, 0, angle), None if clouds is None else ImageSky(clouds, view, wind, angle))


@dataclass(frozen=True, eq=False)
class DrawnSky:
    """A sky that stands still, and clouds that move over it: their light, and in a fourth channel how much they cover."""

    still: ImageSky
    clouds: ImageSky | None

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, 3) float32, linear RGB, at a time in seconds."""
        sky = self.still.light(window, 0.0)
        if self.clouds is None:
            return sky
        clouds = self.clouds.light(window, time_s)
        return sky * (1 - clouds[..., 3:]) + clouds[..., :3]


def draw(weather: Weather, rng: np.random.Generator, size: tuple[int, int], angle: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw a sky of `size` (h, w): columns are azimuths, rows elevations, `angle` radians each, the lowest row the horizon.

    Returns the light (h, w, 3) float32 of what stands still, linear RGB, white = 1 (the sun has more), and the clouds (h, w, 4).
    """
    azimuth = (np.arange(size[1], dtype=np.float32) - (size[1] - 1) / 2)[None] * np.float32(angle)
    elevation = (size[0] - 0.5 - np.arange(size[0], dtype=np.float32))[:, None] * np.float32(angle)
    up = np.broadcast_to(np.sin(elevation), size)
    right, ahead = np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation)
    sky = _air(weather, up) + _glow(weather, rng, right, up, ahead)
    tile = _cloud_layer(rng, weather.below)
    if weather.stars:
        sky += _band(tile, right, up, ahead)[..., None] * light_of(225, 222, 240)
        _add_stars(sky, rng, weather.stars, angle)
    return sky, None if weather.cover is None else _clouds(weather, tile, right, up, ahead, angle)


def _air(weather: Weather, up: np.ndarray) -> np.ndarray:
    """Return the color of the air at the sines of elevations `up`, by a table of 1024."""
    stops = [light_of(*color) for color in (weather.haze, weather.middle, weather.zenith)]
    at = np.linspace(0, 1, 1024)  # square roots of the sines: more of them near the horizon, where the color changes fast
    share = (np.sqrt(at**2 + 0.04) - 0.2) / (math.sqrt(1.04) - 0.2)  # level at the horizon, so that no line shows there
    table = np.stack([np.interp(share, (0.0, 0.6, 1.0), [stop[k] for stop in stops]) for k in range(3)], -1)
    return table.astype(np.float32)[np.rint(np.sqrt(up) * 1023).astype(np.intp)]


def _glow(weather: Weather, rng: np.random.Generator, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Return the light that the air around the sun scatters, and the sun."""
    azimuth, elevation = rng.uniform(-0.45, 0.45), math.radians(weather.sun_elevation_deg)
    x, y, z = math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)
    away = np.sqrt(
        np.maximum(2 - 2 * (right * np.float32(x) + up * np.float32(y) + ahead * np.float32(z)), 0)
    )  # nearly the angle
    reach = np.float32(math.radians(weather.reach_deg))
    strength = np.float32(weather.glow) * (np.exp(-away / reach) + np.float32(0.35) * np.exp(-away / (4 * reach)))
    if weather.disc:
        strength = strength + 6 * smooth_step(away, 0.020, 0.014)
    return strength[..., None] * light_of(*weather.sun)


def _clouds(weather: Weather, tile: Texture, right: np.ndarray, up: np.ndarray, ahead: np.ndarray, angle: float) -> np.ndarray:
    """Return the clouds, (h, w, 4) float32: their share of the light, and how much they cover."""
    rise, scale, low = up + np.float32(FAR), TILE / SPAN, float(weather.cover or 0)
    detail = np.log2(np.float32(scale * angle) / rise**1.6)  # between that across (rise) and that along (rise^2)
    layer = tile.at(right / rise * np.float32(scale), ahead / rise * np.float32(scale), detail)
    density, bright = layer[..., 0], layer[..., 1]
    lit, shaded = light_of(*weather.lit), light_of(*weather.shaded)
    share = np.clip(0.85 - 0.75 * smooth_step(density, low, low + 2.6) + 0.22 * bright, 0, 1.15)[..., None]
    cover = smooth_step(density, low, low + SOFT) * (1 - np.exp(-up / 0.05))  # haze hides clouds at the horizon
    share_of_light = (np.float32(0.97) * cover)[..., None]
    return np.concatenate([share_of_light * (shaded + share * (lit - shaded)), share_of_light], axis=2, dtype=np.float32)


def _band(tile: Texture, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Return the Milky Way, a band along a great circle with dust in it."""
    away = 0.80 * right + 0.33 * up - 0.50 * ahead + 0.10
    dust = tile.at(right * 520 + 300, up * 520 + ahead * 180, np.zeros(right.shape, np.float32))[..., 0]
    glow = np.exp(-((away / 0.13) ** 2)) * np.clip(0.7 + 0.5 * dust, 0, 2) + 0.25 * np.exp(-((away / 0.3) ** 2))
    return np.float32(0.022) * glow * np.minimum(up * 4, 1)


def _add_stars(sky: np.ndarray, rng: np.random.Generator, count: int, angle: float) -> None:
    """Add `count` stars a hemisphere to `sky` (h, w, 3), in place, each a small Gaussian spot; few are bright."""
    height, width = sky.shape[:2]
    sine = rng.uniform(0, 1, count)  # of the elevation: even over the sphere
    azimuth = rng.uniform(-math.pi, math.pi, count)
    flux = np.minimum(0.035 * rng.pareto(1.3, count) + 0.02, 2.5) * np.minimum(sine * 5, 1)  # drowned in the haze below
    light = flux[:, None] * (1 + rng.normal(0, 0.1, (count, 1)) * np.array([1.0, 0.1, -1.0]))
    x, y = azimuth / angle + (width - 1) / 2, height - 0.5 - np.arcsin(sine) / angle
    spread = max(0.55, 0.0011 / angle)  # pixels
    reach = math.ceil(3 * spread)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            column, row = np.rint(x).astype(np.intp) + dx, np.rint(y).astype(np.intp) + dy
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            share = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * spread**2))[:, None]
            np.add.at(sky, (row[inside], column[inside]), (light * share)[inside].astype(np.float32))


def _cloud_layer(rng: np.random.Generator, below: bool) -> Texture:
    """Draw density and light of a layer of clouds, each of mean 0 and deviation 1, on a tile that repeats."""
    rough, broad = _noise(rng, 1.65, 2), _noise(rng, 2.2, 1)
    rows, columns = np.mgrid[:TILE, :TILE].astype(np.float32)
    # A broad field pushes the fine one about: wisps and heaps in place of even grain.
    pushed = Texture(rough[..., None], mirror=False).at(
        columns + 26 * broad, rows + 26 * np.roll(broad, TILE // 3, 0), np.zeros_like(rough)
    )
    density = _standard(pushed[..., 0] + 0.35 * np.abs(_noise(rng, 1.8, 5)) + 0.4 * broad)
    # Bright where the cloud thins out toward the light, a little way off: the side that it reaches.
    toward = cv2.GaussianBlur(np.pad(density, 64, mode="wrap"), (0, 0), 5)[64:-64, 64:-64]
    bright = _standard(density - np.roll(toward, (14, 8) if below else (-12, 8), (0, 1)))
    return Texture(np.dstack([density, bright]), mirror=False)


def _noise(rng: np.random.Generator, fall: float, lowest: float) -> np.ndarray:
    """Return (TILE, TILE) float32 periodic noise, mean 0, deviation 1: amplitude ~ frequency^-fall from `lowest` on."""
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE), np.float32))
    frequency = np.hypot(np.fft.fftfreq(TILE, 1 / TILE)[:, None], np.fft.rfftfreq(TILE, 1 / TILE)[None])
    amplitude = np.where(frequency < lowest, 0, np.maximum(frequency, 1) ** -fall)
    return _standard(np.fft.irfft2(spectrum * amplitude, (TILE, TILE)))


def _standard(plane: np.ndarray) -> np.ndarray:
    return ((plane - plane.mean()) / plane.std()).astype(np.float32)
