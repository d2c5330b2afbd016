"""Training images held in memory, and random views of them made in batches on the device that trains.

Reading, cropping and lighting one image at a time (`train.data.datasets.Samples`) feeds one CPU core that trains; a GPU would
wait. Here all images lie on the device at one size, and a batch of views is a few tensor operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge_runtime.images.dataset import Pair, read_pair
from edge_runtime.images.network_input import MEAN, STD
from train.data.augment import whole_view
from train.data.balance import shares_by_condition, shares_by_source

WHOLE = 0.4  # share of views that show the whole image, as inference does
# Chance of each change of light; `night` and `fisheye` are the conditions that helped in results/ablation/ablation.md.
NIGHT, FISHEYE, TILT, BLUR, NOISE, LOW_RES = 0.08, 0.06, 0.25, 0.15, 0.3, 0.1


class Resident:
    """Images (N, 3, side, side), sky and valid (N, 1, side, side), all uint8, on one device; `shares` (N,) draws from them.

    Every batch is a pure function of (seed, step) on one kind of device.
    """

    def __init__(self, image: Tensor, sky: Tensor, valid: Tensor, shares: Tensor) -> None:
        self.image, self.sky, self.valid, self.shares = image, sky, valid, shares

    @property
    def device(self) -> torch.device:
        """Where the images are, and where the views are made."""
        return self.image.device

    def views(self, size: int, count: int, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return `count` random views: image (count, 3, size, size), sky and valid (count, 1, size, size), float32."""
        rng = torch.Generator(self.device).manual_seed(seed * 1_000_003 + step)
        drawn = torch.multinomial(self.shares, count, replacement=True, generator=rng)
        grid = random_grid(count, 2 * size, rng)
        image, sky, valid = (each[drawn].float() / 255.0 for each in (self.image, self.sky, self.valid))
        inside = grid.abs().amax(dim=3) <= 1.0
        grid = grid.clamp(-1.0, 1.0)
        planes = functional.grid_sample(
            torch.cat([image, sky * valid, valid], 1), grid, align_corners=False, padding_mode="border"
        )
        # Twice as fine, then the mean of four: a view that is smaller than its image does not alias.
        planes = functional.avg_pool2d(planes * inside[:, None], 2)
        # Beyond the rim of a fisheye image is black, and known not to be sky.
        covered = functional.avg_pool2d(inside[:, None].float(), 2)
        image, weight = planes[:, :3], planes[:, 4:]
        sky = (planes[:, 3:4] / weight.clamp_min(1e-3)).clamp(0.0, 1.0) * (weight > 0.01)
        valid = ((weight > 0.5) | (covered < 0.5)).float()
        image = night(image, sky, rng)
        return normalize(light(image, rng)), sky, valid


def normalize(image: Tensor) -> Tensor:
    """Round images in [0, 1] to bytes and return (byte - 127) / 128."""
    return ((image.clamp(0.0, 1.0) * 255.0).round() - MEAN) / STD


def hold(pairs: Sequence[Pair], side: int, device: torch.device, by_condition: bool) -> Resident:
    """Read `pairs`, stretch each to (side, side) and keep them on `device`: 5 side^2 bytes for each.

    Images are drawn by condition (train/data/balance.py), or else by source.
    """
    image = torch.empty(len(pairs), 3, side, side, dtype=torch.uint8)
    sky = torch.empty(len(pairs), 1, side, side, dtype=torch.uint8)
    valid = torch.empty_like(sky)
    for index, pair in enumerate(pairs):
        view = whole_view(read_pair(pair), side)
        image[index] = torch.from_numpy(view.image.copy()).permute(2, 0, 1)
        sky[index, 0] = torch.from_numpy(np.rint(view.sky * view.valid * 255.0).astype(np.uint8))
        valid[index, 0] = torch.from_numpy(view.valid.astype(np.uint8) * 255)
    covered = (sky.flatten(1).float().mean(1) / 255.0).tolist()
    shares = shares_by_condition(pairs, covered) if by_condition else shares_by_source(pairs)
    return Resident(image.to(device), sky.to(device), valid.to(device), torch.from_numpy(shares).float().to(device))


def random_grid(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Return sampling positions (count, size, size, 2) in [-1, 1]: crop, flip, tilt, and for some a fisheye lens."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=rng, device=rng.device)

    area, aspect = uniform(0.25, 1.0), uniform(-0.3, 0.3).exp()
    whole = uniform(0.0, 1.0) < WHOLE
    scale_x = torch.where(whole, 1.0, (area * aspect).sqrt().clamp_max(1.0))
    scale_y = torch.where(whole, 1.0, (area / aspect).sqrt().clamp_max(1.0))
    center_x, center_y = (1.0 - scale_x) * uniform(-1.0, 1.0), (1.0 - scale_y) * uniform(-1.0, 1.0)
    angle = torch.randn(count, 1, 1, generator=rng, device=rng.device) * math.radians(8.0)
    angle = torch.where(uniform(0.0, 1.0) < TILT, angle, 0.0)
    zoom = angle.cos() + angle.sin().abs()  # no corner of the tilted view is empty
    mirror = torch.where(uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
    line = (torch.arange(size, device=rng.device) + 0.5) / size * 2.0 - 1.0
    y, x = torch.meshgrid(line, line, indexing="ij")
    x, y = x.expand(count, -1, -1), y.expand(count, -1, -1)
    lens = uniform(0.0, 1.0) < FISHEYE
    reach = uniform(0.75, 1.15) * torch.where(uniform(0.0, 1.0) < 0.5, math.sqrt(2.0), 1.0)
    radius, bend = torch.hypot(x, y) / reach, uniform(0.6, 1.35)
    stretch = torch.tan(radius.clamp_max(1.0) * bend) / bend.tan() / radius.clamp_min(1e-6)
    # 3 is outside of every image: views() makes it black.
    bent_x, bent_y = (torch.where(radius > 1.0, 3.0, each / reach * stretch) for each in (x, y))
    turn = torch.where(uniform(0.0, 1.0) < 0.7, 0.3 * (uniform(0.0, 1.0) - 0.5) * 3.0, uniform(-math.pi, math.pi))
    angle, zoom = torch.where(lens, turn, angle), torch.where(lens, 1.0, zoom)
    x, y = torch.where(lens, bent_x, x / zoom), torch.where(lens, bent_y, y / zoom)
    x, y = angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y
    return torch.stack([center_x + scale_x * mirror * x, center_y + scale_y * y], dim=3)


def night(image: Tensor, sky: Tensor, rng: torch.Generator) -> Tensor:
    """Turn some of the images by day into images by night: dark ground, lamps with a glow, a sky from black to skyglow."""
    count, _, height, width = image.shape
    device = image.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1, 1)), generator=rng, device=device)

    chosen = (uniform(0.0, 1.0) < NIGHT) & (sky.mean((1, 2, 3), keepdim=True) > 0.02)
    if not chosen.any():
        return image
    tint = uniform(0.8, 1.2, 3, 1, 1) * torch.tensor([1.0, 0.85, 0.7], device=device)[None, :, None, None]
    ground = image.clamp_min(0.0) ** uniform(1.4, 2.4) * uniform(0.06, 0.55) * tint
    spots = (torch.rand(count, 1, height // 8, width // 8, generator=rng, device=device) < uniform(0.0, 0.02)).float()
    spots = functional.interpolate(spots, size=(height, width), mode="nearest")
    low = functional.avg_pool2d(spots, 17, 1, 8)
    lamps = (functional.avg_pool2d(spots, 3, 1, 1) + 2.0 * low) * (1.0 - sky) * uniform(0.5, 1.0)
    rows = torch.linspace(0.0, 1.0, height, device=device)[None, None, :, None]
    horizon = uniform(0.3, 1.0)
    glow = torch.exp(-((rows - horizon) / uniform(0.1, 0.6)).abs()) * uniform(0.0, 0.45)
    warm = uniform(0.3, 1.0, 3, 1, 1)
    clouds = functional.interpolate(uniform(-1.0, 1.0, 1, 5, 5), size=(height, width), mode="bicubic", align_corners=False)
    base = uniform(0.0, 0.18) * torch.cat([uniform(0.3, 0.9), uniform(0.4, 0.9), uniform(0.7, 1.2)], 1)
    stars = (torch.rand(count, 1, height, width, generator=rng, device=device) < uniform(-0.004, 0.004)).float()
    above = (base + glow * warm) * (1.0 + uniform(0.0, 0.7) * clouds) + stars * uniform(0.2, 0.8)
    dark = above * sky + (ground + lamps * tint) * (1.0 - sky)
    dark = dark * uniform(0.7, 1.8) + 0.03 * torch.randn(image.shape, generator=rng, device=device) * uniform(0.0, 1.0)
    return torch.where(chosen, dark, image)


def light(image: Tensor, rng: torch.Generator) -> Tensor:
    """Exposure, gamma, contrast, white balance, saturation, blur, low resolution and noise, each with its own chance."""
    count, device = len(image), image.device

    def chance(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=rng, device=device) < share

    def normal(scale: float, *shape: int) -> Tensor:
        return scale * torch.randn(count, *(shape or (1, 1, 1)), generator=rng, device=device)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng, device=device)

    x = image.clamp(0.0, 1.0)
    x = torch.where(chance(0.7), x ** normal(0.25).exp(), x)
    x = torch.where(chance(0.7), (x - 0.5) * normal(0.15).exp() + 0.5 + normal(0.08), x)
    x = torch.where(chance(0.5), x * normal(0.07, 3, 1, 1).exp(), x)
    gray = x.mean(1, keepdim=True)
    x = torch.where(chance(0.5), gray + (x - gray) * torch.where(chance(0.15), uniform(0.0, 0.5), uniform(0.5, 1.5)), x)
    # Dusk to night: the whole image far darker, the shadows first.
    x = torch.where(chance(0.08), x.clamp(0.0, 1.0) ** uniform(1.3, 2.2) * uniform(0.15, 0.6), x)
    soft = functional.avg_pool2d(functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 3, 1, 1, count_include_pad=False)
    x = torch.where(chance(BLUR), torch.lerp(x, soft, uniform(0.3, 1.0)), x)
    low_res = functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    x = torch.where(chance(LOW_RES), low_res, x)
    noise = torch.randn(image.shape, generator=rng, device=device) * uniform(0.005, 0.05)
    return torch.where(chance(NOISE), x + noise, x)
