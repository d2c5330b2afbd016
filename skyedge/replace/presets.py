"""Procedural skies: clouds, sunset, stars; drawn for any camera, moving, and reproducible by seed.

The color of the air is a gradient over the elevation with a glow around the sun. Clouds are one layer, a plane overhead:
a direction (right, up, ahead) meets it at (right, ahead) / up, so clouds shrink and crowd toward the horizon.
Their density is periodic noise, white noise whose spectrum falls with a power of the frequency (Voss 1985, "Random fractal
forgeries"); detail finer than a pixel is left out (`texture.py`), so that far clouds do not flicker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.srgb import light_of
from edge_runtime.masks.refine import smooth_step
from skyedge.replace.texture import Texture
from skyedge.replace.view import Window

Color = tuple[float, float, float]  # sRGB, 0..255

TILE = 1024  # pixels: side of the noise
SPAN = 7.0  # heights of the cloud layer that a tile covers
FAR = 0.07  # added to the sine of the elevation: the layer bends down with the earth, and ends
WIND = (0.10, 0.05)  # heights of the layer per second, right and away: a time lapse


class Sky(Protocol):
    """What can stand behind a foreground."""

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, 3) float32, linear RGB, white = 1 (the sun has more)."""
        ...


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
    soft
        Range of density over which a cloud gets dense.
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
    soft: float = 1.2
    lit: Color = (255, 254, 250)
    shaded: Color = (160, 170, 184)
    below: bool = False
    stars: int = 0


PRESETS: dict[str, Weather] = {
    "clouds": Weather((200, 218, 232), (106, 160, 216), (44, 98, 176), glow=0.15, cover=-0.1, soft=1.5),
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
        soft=1.5,
        lit=(255, 168, 110),
        shaded=(96, 82, 112),
        below=True,
    ),
    "stars": Weather((46, 50, 66), (18, 24, 44), (7, 10, 24), stars=9000),
}


def make_sky(name: str, seed: int = 0, wind: float = 1.0, loop_s: float | None = None) -> ProceduralSky:
    """Return the sky of a name in `PRESETS`.

    `seed` (>= 0) places clouds, stars and sun. `wind` is the speed of the clouds: 1 is a time lapse, 0 stands still. With
    `loop_s` the sky repeats after that many seconds.
    """
    if name not in PRESETS:
        raise InputError(f"got sky {name!r}, expected one of {', '.join(PRESETS)}, or an image or video that exists")
    if seed < 0 or not math.isfinite(wind) or (loop_s is not None and not 0 < loop_s < math.inf):
        raise InputError(f"got seed {seed}, wind {wind}, loop {loop_s} s, expected seed >= 0, any speed, loop > 0")
    return ProceduralSky(PRESETS[name], seed, wind, loop_s)


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


class ProceduralSky:
    """A sky of `Weather`; see `make_sky`."""

    def __init__(self, weather: Weather, seed: int = 0, wind: float = 1.0, loop_s: float | None = None) -> None:
        self.weather, self.wind, self.loop_s = weather, wind, loop_s
        rng = np.random.default_rng(seed)
        azimuth, elevation = rng.uniform(-0.45, 0.45), math.radians(weather.sun_elevation_deg)
        self.sun = np.array(
            [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
        )
        self.tile = _cloud_layer(rng, weather.below) if weather.cover is not None or weather.stars else None
        self.stars = _Stars.draw(rng, weather.stars) if weather.stars else None

    def light(self, window: Window, time_s: float) -> np.ndarray:
        """Return the light of the sky, (h, w, 3) float32, linear RGB, at a time in seconds."""
        right, up, ahead = window.directions()
        np.maximum(up, 0, out=up)
        sky = self._air(up)
        if self.weather.glow:
            sky += self._glow(right, up, ahead)
        if self.stars is not None:
            sky += self._band(right, up, ahead)[..., None] * light_of(225, 222, 240)
            self.stars.add(sky, window, up, time_s, self.loop_s)
        if self.weather.cover is not None:
            self._cover(sky, right, up, ahead, window.pixel_angle, time_s)
        return sky

    def _air(self, up: np.ndarray) -> np.ndarray:
        """Return the color of the air at the sines of elevations `up`, by a table of 1024."""
        stops = [light_of(*color) for color in (self.weather.haze, self.weather.middle, self.weather.zenith)]
        at = np.linspace(0, 1, 1024)  # square roots of the sines: more of them near the horizon, where the color changes fast
        share = (np.sqrt(at**2 + 0.04) - 0.2) / (math.sqrt(1.04) - 0.2)  # level at the horizon, so that no line shows there
        table = np.stack([np.interp(share, (0.0, 0.6, 1.0), [stop[k] for stop in stops]) for k in range(3)], -1)
        return table.astype(np.float32)[np.rint(np.sqrt(up) * 1023).astype(np.intp)]

    def _glow(self, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """Return the light that the air around the sun scatters, and the sun."""
        x, y, z = (np.float32(value) for value in self.sun)
        away = np.sqrt(np.maximum(2 - 2 * (right * x + up * y + ahead * z), 0))  # the chord: nearly the angle
        reach = np.float32(math.radians(self.weather.reach_deg))
        strength = np.float32(self.weather.glow) * (np.exp(-away / reach) + np.float32(0.35) * np.exp(-away / (4 * reach)))
        if self.weather.disc:
            strength = strength + 6 * smooth_step(away, 0.020, 0.014)
        return strength[..., None] * light_of(*self.weather.sun)

    def _cover(
        self, sky: np.ndarray, right: np.ndarray, up: np.ndarray, ahead: np.ndarray, pixel_angle: float, time_s: float
    ) -> None:
        """Lay the clouds over `sky`, in place."""
        weather, low = self.weather, float(self.weather.cover or 0)
        density, bright = self._clouds(right, up, ahead, pixel_angle, time_s)
        thick = smooth_step(density, low, low + 2.6)
        lit, shaded = light_of(*weather.lit), light_of(*weather.shaded)
        share = np.clip(0.85 - 0.75 * thick + 0.22 * bright, 0, 1.15)[..., None]
        cloud = shaded + share * (lit - shaded)
        cover = smooth_step(density, low, low + weather.soft) * (1 - np.exp(-up / 0.05))  # haze hides clouds at the horizon
        sky += (np.float32(0.97) * cover)[..., None] * (cloud - sky)

    def _clouds(
        self, right: np.ndarray, up: np.ndarray, ahead: np.ndarray, pixel_angle: float, time_s: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return density and light of the cloud layer, mean 0 and deviation 1, where directions meet it.

        In a loop two copies of the layer, a period apart, take turns: weights s and 1 - s, normalized so that the
        deviation stays 1, and the cover with it.
        """
        assert self.tile is not None
        rise = up + np.float32(FAR)
        scale = TILE / SPAN
        x, y = right / rise * np.float32(scale), ahead / rise * np.float32(scale)
        detail = np.log2(np.float32(scale * pixel_angle) / rise**1.6)  # between that across (rise) and that along (rise^2)
        speed = [self.wind * part * scale for part in WIND]
        if self.loop_s is None:
            both = self.tile.at(x - np.float32(speed[0] * time_s), y - np.float32(speed[1] * time_s), detail)
            return both[..., 0], both[..., 1]
        now = time_s % self.loop_s
        late = now / self.loop_s
        like = _likeness(self.tile.levels[0][..., 0], speed[0] * self.loop_s, speed[1] * self.loop_s)
        norm = math.sqrt((1 - late) ** 2 + late**2 + 2 * late * (1 - late) * like)
        both = np.zeros((*x.shape, 2), np.float32)
        for weight, when in ((1 - late, now), (late, now - self.loop_s)):
            if weight > 0:
                moved = x - np.float32(speed[0] * when), y - np.float32(speed[1] * when)
                both += np.float32(weight / norm) * self.tile.at(*moved, detail)
        return both[..., 0], both[..., 1]

    def _band(self, right: np.ndarray, up: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """Return the Milky Way, a band along a great circle with dust in it."""
        assert self.tile is not None
        away = 0.80 * right + 0.33 * up - 0.50 * ahead + 0.10
        dust = self.tile.at(right * 520 + 300, up * 520 + ahead * 180, np.zeros_like(up))[..., 0]
        glow = np.exp(-((away / 0.13) ** 2)) * np.clip(0.7 + 0.5 * dust, 0, 2) + 0.25 * np.exp(-((away / 0.3) ** 2))
        return np.float32(0.022) * glow * np.minimum(up * 4, 1)


@dataclass(frozen=True, eq=False)
class _Stars:
    """Stars: directions (N, 3), light (N, 3), and how they twinkle: cycles a period (N,), phase (N,)."""

    directions: np.ndarray
    light: np.ndarray
    cycles: np.ndarray
    phase: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int) -> _Stars:
        """Draw stars all over the upper half of the sphere; few are bright."""
        where = rng.normal(size=(count, 3))
        where[:, 1] = np.abs(where[:, 1])
        where /= np.linalg.norm(where, axis=1, keepdims=True)
        flux = np.minimum(0.035 * rng.pareto(1.3, count) + 0.02, 2.5)
        tint = 1 + rng.normal(0, 0.1, (count, 1)) * np.array([1.0, 0.1, -1.0])
        return cls(where, flux[:, None] * tint, rng.integers(1, 4, count), rng.uniform(0, 2 * np.pi, count))

    def add(self, sky: np.ndarray, window: Window, up: np.ndarray, time_s: float, loop_s: float | None) -> None:
        """Add the stars that a window sees to `sky` (h, w, 3), in place, each a small Gaussian spot."""
        x, y = window.place(self.directions)
        spread = max(0.55, 0.0011 / window.pixel_angle)  # pixels
        reach = math.ceil(3 * spread)
        with np.errstate(invalid="ignore"):
            near = (x > -reach) & (x < window.width + reach) & (y > -reach) & (y < window.height + reach)
        turn = 2 * np.pi * time_s / (loop_s or 4.0)
        twinkle = 1 + 0.35 * np.sin(turn * self.cycles[near] + self.phase[near])
        fade = np.minimum(self.directions[near, 1] * 5, 1)  # drowned in the haze at the horizon
        light = self.light[near] * (twinkle * fade)[:, None]
        column, row = np.rint(x[near]).astype(np.intp), np.rint(y[near]).astype(np.intp)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                at_x, at_y = column + dx, row + dy
                inside = (at_x >= 0) & (at_x < window.width) & (at_y >= 0) & (at_y < window.height)
                square = (at_x - x[near]) ** 2 + (at_y - y[near]) ** 2
                share = np.exp(-square / (2 * spread**2))[inside, None]
                np.add.at(sky, (at_y[inside], at_x[inside]), (light[inside] * share).astype(np.float32))


def _noise(rng: np.random.Generator, fall: float, lowest: float) -> np.ndarray:
    """Return (TILE, TILE) float32 periodic noise, mean 0, deviation 1: amplitude ~ frequency^-fall from `lowest` on."""
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE), np.float32))
    frequency = np.hypot(np.fft.fftfreq(TILE, 1 / TILE)[:, None], np.fft.rfftfreq(TILE, 1 / TILE)[None])
    amplitude = np.where(frequency < lowest, 0, np.maximum(frequency, 1) ** -fall)
    return _standard(np.fft.irfft2(spectrum * amplitude, (TILE, TILE)))


def _standard(plane: np.ndarray) -> np.ndarray:
    return ((plane - plane.mean()) / plane.std()).astype(np.float32)


def _likeness(plane: np.ndarray, across: float, along: float) -> float:
    """Return the correlation of a periodic plane of mean 0, deviation 1, with itself moved by so many pixels."""
    return float(np.mean(plane * np.roll(plane, (round(along), round(across)), (0, 1))))
