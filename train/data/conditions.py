"""Conditions that labeled images rarely show, simulated: another sky, night, fog. Labels stay as they are.

`change_some` takes images (N, 3, H, W) in [0, 1] sRGB and their shares of sky (N, 1, H, W). The fourth condition, a fisheye lens,
moves pixels and belongs to `train.data.augment.Geometry`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from scenes.parts.light import Palette, linear
from scenes.parts.skies import make_sky
from train.data.draws import Draws

MIN_SKY = 0.02  # share of sky below which there is nothing to change
SKY_SIDE, SKIES = 224, 64  # painted skies: side in pixels, and how many of each kind
DAYS = {"clear": 0.2, "cloudy": 0.35, "overcast": 0.25, "sunset": 0.2}
FOGS: Palette = ((232, 234, 236), (205, 210, 216), (170, 178, 188), (240, 238, 232))
LAMPS: Palette = ((255, 190, 110), (255, 220, 170), (235, 240, 255))


def change_some(image: Tensor, sky: Tensor, draws: Draws, names: Sequence[str]) -> Tensor:
    """Return the images, some under one of the conditions `names`; fisheye is passed over."""
    if not names:
        return image
    chance, low = draws.uniform(0.0, 1.0, len(image)), 0.0
    for name in (name for name in names if name in CHANGES):
        share, change = CHANGES[name]
        chosen = (low <= chance) & (chance < low + share) & (sky.mean((1, 2, 3)) >= MIN_SKY)
        rows, low = chosen.nonzero()[:, 0], low + share
        if len(rows):
            image = image.index_copy(0, rows, change(image[rows], sky[rows], draws))
    return image


def other_sky(image: Tensor, sky: Tensor, draws: Draws) -> Tensor:
    """Put a painted sky by day behind the images, feathered at the label's edge, and light them to fit."""
    shares = torch.tensor(list(DAYS.values()), device=draws.device)
    kinds = torch.multinomial(shares, len(image), replacement=True, generator=draws.rng)
    return _behind(image, sky, draws, [list(DAYS)[kind] for kind in kinds.tolist()])


def night(image: Tensor, sky: Tensor, draws: Draws) -> Tensor:
    """Turn images by day into images by night: night sky, dark ground, lamps with their glow, sensor noise."""
    return _behind(image, sky, draws, ["night"] * len(image))


def fog(image: Tensor, sky: Tensor, draws: Draws) -> Tensor:
    """Let images fade into fog by distance, for which height above the lower edge and noise stand in."""
    count, _, height, width = image.shape
    rows = torch.linspace(1.0, 0.0, height, device=draws.device)[:, None]
    size = (height, width)
    coarse = (functional.interpolate(draws.normal(0.6, count, 1, side, side), size=size, mode="bicubic") for side in (4, 7))
    far = (rows * draws.uniform(0.8, 1.6, count, 1, 1, 1) + 0.06 * sum(coarse)).clamp_min(0.0)
    thick = 1.0 - torch.exp(-draws.uniform(0.5, 2.5, count, 1, 1, 1) * far**2)
    # Sky is the farthest, but what stands before it must not end up brighter than it.
    thick = torch.where(sky > 0.5, torch.maximum(thick, draws.uniform(0.9, 1.0, count, 1, 1, 1)), 0.92 * thick)
    return _encode(torch.lerp(_decode(image), _colors(FOGS, draws, count), thick))


# Key: its share of the views, and what makes it. Shares are small: with the fisheye lens they change a third of the views.
CHANGES: dict[str, tuple[float, Callable[[Tensor, Tensor, Draws], Tensor]]] = {
    "other_sky": (0.12, other_sky),
    "night": (0.08, night),
    "fog": (0.06, fog),
}
CONDITIONS = (*CHANGES, "fisheye")


@cache
def painted_sky(kind: str, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return one of `SKIES` skies of a kind, linear light (3, SKY_SIDE, SKY_SIDE) down to the horizon, and what it gives (3,)."""
    made = make_sky(np.random.default_rng((number, *kind.encode())), kind, SKY_SIDE, SKY_SIDE, 1.0)
    level = torch.from_numpy(np.asarray(made.light.ambient + 0.5 * made.light.sun, np.float32))
    return torch.from_numpy(made.pixels).permute(2, 0, 1).half().to(device), level.to(device)


def _behind(image: Tensor, sky: Tensor, draws: Draws, kinds: list[str]) -> Tensor:
    count = len(image)
    numbers = draws.integers(SKIES, count).tolist()
    painted, levels = zip(*(painted_sky(*each, draws.device) for each in zip(kinds, numbers, strict=True)), strict=True)
    alpha, level = _smooth(sky, 0.8), torch.stack(levels)[:, :, None, None]
    ground = _without_sky(_decode(image), alpha)
    tint = level / level.mean(1, keepdim=True).clamp_min(1e-4)
    if kinds[0] == "night":
        ground = ground * tint * draws.uniform(0.004, 0.12, count, 1, 1, 1) + _lamps(sky, draws)
    else:
        seen = 1.0 - alpha
        mean = (ground * seen).mean((1, 2, 3), keepdim=True) / seen.mean((1, 2, 3), keepdim=True).clamp_min(1e-4)
        needed = 0.25 * level.mean(1, keepdim=True) / mean.clamp_min(0.02)
        ground = ground * tint**0.6 * needed ** draws.uniform(0.3, 0.8, count, 1, 1, 1)
    light = torch.lerp(ground, _hung(torch.stack(painted).float(), sky, draws), alpha)
    dim = torch.tensor([0.75 if kind in ("sunset", "night") else 1.0 for kind in kinds], device=draws.device)
    return _exposed(light, dim[:, None, None, None], draws)


def _hung(painted: Tensor, sky: Tensor, draws: Draws) -> Tensor:
    """Return parts of the painted skies, their horizon a little below or above the lowest sky of the images."""
    count, _, height, width = sky.shape
    down = torch.arange(1, height + 1, device=draws.device) / height
    lowest = (down * (sky.mean(3)[:, 0] > 0.02)).amax(1)
    horizon = (lowest + draws.uniform(-0.05, 0.1, count)).clamp(0.3, 1.2)[:, None]
    tall, wide = draws.uniform(0.6, 1.0, count, 1), draws.uniform(0.6, 1.0, count, 1)
    mirror = torch.where(draws.uniform(0.0, 1.0, count, 1) < 0.5, -1.0, 1.0)
    y = 1.0 - 2.0 * tall * (1.0 - (down - 0.5 / height) / horizon)
    across = (torch.arange(width, device=draws.device) + 0.5) / width * 2.0 - 1.0
    x = mirror * (wide * across + (1.0 - wide) * draws.uniform(-1.0, 1.0, count, 1))
    grid = torch.stack([x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)], dim=3)
    return functional.grid_sample(painted, grid, align_corners=False, padding_mode="border")


def _without_sky(light: Tensor, alpha: Tensor) -> Tensor:
    """Replace the color of pixels that are partly sky by that of the ground beside them: no old sky may shine through."""
    keep = (1.0 - 4.0 * alpha).clamp(0.0, 1.0)
    coarse = functional.avg_pool2d(torch.cat([light * (keep + 1e-4), keep + 1e-4], 1), 4)
    spread = functional.interpolate(_smooth(coarse, 0.6), scale_factor=4.0, mode="bilinear", align_corners=False)
    return torch.lerp(spread[:, :3] / spread[:, 3:], light, keep)


def _lamps(sky: Tensor, draws: Draws, most: int = 8) -> Tensor:
    """Return the light (N, 3, H, W) of up to `most` lamps in front of the ground: a core, and a glow around it."""
    count, _, height, width = sky.shape
    places = torch.multinomial((sky < 0.5).flatten(1) + 1e-9, most, generator=draws.rng)
    lit = draws.uniform(0.0, 1.0, count, most) < draws.uniform(0.0, 1.0, count, 1)
    colors = _colors(LAMPS, draws, count * most).view(count, most, 3) * lit[..., None]
    light = torch.zeros(count, 3, height, width, device=draws.device)
    for least, largest, dim, bright in ((0.004, 0.02, 0.5, 3.0), (0.03, 0.1, 0.05, 0.3), (0.1, 0.3, 0.02, 0.1)):
        radius = draws.uniform(least, largest, count, most, 1) * height
        down, across = (
            torch.exp(-(((torch.arange(side, device=draws.device) - at[..., None]) / radius) ** 2))
            for side, at in ((height, places // width), (width, places % width))
        )
        strength = colors * draws.uniform(dim, bright, count, most, 1)
        light += torch.einsum("nmh,nmw,nmc->nchw", down, across, strength)
    return light


def _exposed(light: Tensor, dim: Tensor, draws: Draws) -> Tensor:
    """Return linear light as sRGB, as a camera that is not perfect exposes it: the mean goes some way toward middle gray."""
    count = len(light)
    mean = (light[..., ::8, ::8].mean(1, keepdim=True) + 1e-3).log().mean((1, 2, 3), keepdim=True).exp()
    gain = (0.2 / mean) ** draws.uniform(0.35, 0.75, count, 1, 1, 1) * draws.normal(0.28, count, 1, 1, 1).exp()
    light = light * gain * dim
    grain = draws.uniform(0.0006, 0.014, count, 1, 1, 1)
    light = light + draws.normal(1.0, *light.shape) * grain * (light.clamp(0.0, 1.0) + 0.01).sqrt()
    soft = torch.where(light > 0.6, 0.6 + 0.4 * torch.tanh((light - 0.6) / 0.5), light)  # film-like; else highlights clip
    return _encode(torch.where(draws.uniform(0.0, 1.0, count, 1, 1, 1) < 0.6, soft, light))


def _colors(palette: Palette, draws: Draws, count: int) -> Tensor:
    """Draw linear colors (count, 3, 1, 1) of an sRGB palette, varied a little."""
    known = torch.from_numpy(np.stack([linear(*color) for color in palette])).to(draws.device)
    varied = torch.exp(draws.normal(0.06, count, 3) + draws.normal(0.12, count, 1))
    return (known[draws.integers(len(palette), count)] * varied)[..., None, None]


def _smooth(x: Tensor, deviation: float) -> Tensor:
    """Return `x` (N, C, H, W) under a Gaussian filter; edges are repeated."""
    reach = round(3.0 * deviation)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=x.device) / deviation) ** 2)
    kernel = (weights / weights.sum()).expand(x.shape[1], 1, -1)
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel[:, :, None], groups=x.shape[1])
    return functional.conv2d(across, kernel[..., None], groups=x.shape[1])


def _decode(image: Tensor) -> Tensor:
    """Return the linear light of sRGB in [0, 1]; see `edge_runtime.images.srgb`."""
    image = image.clamp(0.0, 1.0)
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def _encode(light: Tensor) -> Tensor:
    light = light.clamp(0.0, 1.0)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
