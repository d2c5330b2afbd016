"""Put another sky behind a foreground, and adapt the foreground to its light, its color and its glow at the edges."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.resize import check_rgb
from edge_runtime.images.srgb import luminance, shoulder, to_levels, to_light
from edge_runtime.masks.pyramid import shrink, to_working
from skyedge.replace.matte import Surroundings, clear_veil, free_foreground, sharpen
from skyedge.replace.own_sky import Sky
from skyedge.replace.view import View

WORK_SIDE = 1024  # pixels, at most: long side at which the colors around a pixel are estimated
GLOW_SIDE = 256  # pixels, at most: the same for the new sky's glow and statistics
GAINS = (0.12, 2.2)  # least and most that relighting multiplies the light of a foreground by
SPREADS = (0.8, 1.15)  # and its spread, in the logarithm of light
DAMPED = 0.5  # power by which the foreground's brightness follows the sky's
DARK = 1e-3  # light below which a logarithm says nothing
REACH = 0.015  # of the diagonal: deviation of the glow
STRIP_PIXELS = 1 << 18  # of the image; what is computed at its full size takes a strip of this size


@dataclass(frozen=True)
class Look:
    """How the foreground adapts to its new sky; 0 leaves it as it was.

    Attributes
    ----------
    relight
        Share of the change of the sky's mean light (color and brightness, as far as the foreground is lit by it) and of
        its spread that the foreground follows, 0 to 1.
    halo
        Strength of the new sky's glow over the edges of the foreground, 0 to 1.
    sharp
        Estimate the share of sky at undecided pixels from their color (`matte.sharpen`) and clear the mask's veil; False
        takes the mask as exact.
    spill
        Remove the old sky's color from pixels that it covers in part.
    """

    relight: float = 0.5
    halo: float = 0.3
    sharp: bool = True
    spill: bool = True

    def __post_init__(self) -> None:
        """Raise `InputError` where a number makes no sense."""
        if not (0 <= self.relight <= 1 and 0 <= self.halo <= 1):
            raise InputError(f"got relight {self.relight}, halo {self.halo}, expected both in 0..1")


@dataclass(frozen=True, eq=False)
class Tone:
    """What relighting does: F' = gain middle (F / middle)^spread, in linear light; gain (3,)."""

    gain: np.ndarray
    spread: float
    middle: float

    @classmethod
    def between(cls, light: np.ndarray, alpha: np.ndarray, new_sky: np.ndarray, strength: float) -> Tone | None:
        """Compare the old sky with the new; None where that leaves the foreground as it is.

        Mean and spread are transferred as in Reinhard et al. 2001 ("Color transfer between images"), but in the logarithm of
        light, where a mean becomes a gain and black stays black. Brightness is damped by the power 0.5: the full change from
        day to night would leave the foreground black. `light` and `new_sky` are (h, w, 3) float32, linear; `alpha` is
        (h, w) float32 in [0, 1].
        """
        if strength == 0 or not (alpha > 0.5).any():
            return None
        old_mean, old_spread = _statistics(light, alpha)
        new_mean, new_spread = _statistics(np.clip(new_sky, 0, 1), alpha)
        old_bright, new_bright = float(luminance(old_mean)), float(luminance(new_mean))
        tint = (new_mean / new_bright) / (old_mean / old_bright)
        gain = np.clip(((new_bright / old_bright) ** DAMPED * tint) ** strength, *GAINS)
        spread = (new_spread / old_spread) ** (0.25 * strength)
        logs = np.log(np.maximum(luminance(light[alpha < 0.5]), DARK))
        middle = math.exp(float(logs.mean())) if logs.size else 0.2
        return cls(gain.astype(np.float32), float(np.clip(spread, *SPREADS)), middle)

    def apply(self, light: np.ndarray) -> np.ndarray:
        """Relight (h, w, 3) float32 linear light; highlights that would burn out are compressed."""
        bright = np.maximum(luminance(light), DARK)[..., None]
        return shoulder(light * (bright / np.float32(self.middle)) ** np.float32(self.spread - 1) * self.gain)


def _statistics(light: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean light (3,) of a sky and the deviation of the logarithm of its luminance, at least 0.05."""
    part = light[alpha > 0.5]
    logs = np.log(np.maximum(luminance(part), DARK))
    return np.maximum(part.mean(axis=0), DARK), max(0.05, float(logs.std()))


def replace_sky(
    image: np.ndarray, alpha: np.ndarray, sky: Sky, view: View, look: Look | None = None, time_s: float = 0.0
) -> np.ndarray:
    """Return the image (H, W, 3) uint8 RGB with another sky, as it is at `time_s` seconds, seen by the camera `view`.

    `alpha` (H, W) float32 in [0, 1] is its share of sky, from `edge_runtime.masks.refine`. Without relighting and halo, pixels
    without sky keep their bytes. Raises `InputError` where sizes differ.
    """
    check_rgb(image)
    height, width = image.shape[:2]
    if not alpha.shape == (view.height, view.width) == (height, width):
        got = f"got an image of {(height, width)}, a mask of {alpha.shape}, a view of {(view.height, view.width)}"
        raise InputError(f"{got}, expected one size")
    look, factor = look or Look(), math.ceil(max(alpha.shape) / WORK_SIDE)
    around = Surroundings.estimate(*_reduced(image, alpha, factor))
    step = math.ceil(max(height, width) / GLOW_SIDE)
    light, share = _reduced(image, alpha, step)
    new_sky = sky.light(view.window(step=step), time_s)
    tone, glow = Tone.between(light, share, new_sky, look.relight), _glow(new_sky, share, look.halo)
    grain = _grain(width)
    out = np.empty_like(image)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        here = Surroundings(*(_enlarged(each, factor, part, width) for each in dataclasses.astuple(around)))
        light, a = _foreground(image[part], alpha[part], here, look)
        if tone is not None:
            light = tone.apply(light)
        share = a[..., None]
        if a.any():
            light = light + share * (shoulder(sky.light(view.window(part.start, part.stop), time_s)) - light)
        if glow is not None:
            light = 1 - (1 - light) * (1 - (1 - share) * _enlarged(glow, step, part, width))
        levels = to_levels(light) + share * grain[np.arange(part.start, part.stop) % len(grain)]
        out[part] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return out


def _foreground(image: np.ndarray, a: np.ndarray, around: Surroundings, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Return the light of the foreground (h, w, 3) and the share of sky (h, w) of some rows, float32."""
    light = to_light(image)
    if look.sharp:
        a = clear_veil(sharpen(light, a, around))
    if look.spill:
        light = free_foreground(light, a, around)
    return light, a


def _reduced(image: np.ndarray, alpha: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the light (h, w, 3) and the share of sky (h, w) of factor x factor pixels each."""
    small = shrink(image, factor)
    return to_light(small), to_working(alpha, image.shape[:2], small.shape[:2], factor)


def _glow(new_sky: np.ndarray, alpha: np.ndarray, strength: float) -> np.ndarray | None:
    """Return the light that the new sky spreads over its edges, (h, w, 3) in [0, 1]; None where there is none.

    It ends where the Gaussian is cut off, so that the foreground away from the sky keeps its pixels.
    """
    if strength == 0:
        return None
    sigma = REACH * math.hypot(*alpha.shape)
    side = 2 * math.ceil(2.5 * sigma) + 1
    lit = np.clip(new_sky, 0, 1) * alpha[..., None]
    return np.float32(0.25 * strength) * cv2.GaussianBlur(lit, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)


def _enlarged(plane: np.ndarray, factor: int, part: slice, width: int) -> np.ndarray:
    """Return rows `part` of a plane of factor x factor means at the image's size, bilinearly."""
    if factor == 1:
        return plane[part]
    first, last = max(part.start // factor - 1, 0), min(-(-part.stop // factor) + 1, plane.shape[0])
    large = cv2.resize(plane[first:last], None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return large[part.start - first * factor : part.stop - first * factor, :width]


@functools.lru_cache(maxsize=2)
def _grain(width: int) -> np.ndarray:
    """Return (64, width, 1) float32 noise of at most one level, triangular: rounding then leaves no bands in a gradient."""
    rng = np.random.default_rng(0)
    tile = rng.random((64, 256), np.float32) + rng.random((64, 256), np.float32) - 1
    return np.tile(tile, (1, -(-width // 256)))[:, :width, None]
