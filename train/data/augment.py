"""Random views of labeled images, in batches on any device: crop, flip, tilt, lens, and what cameras do to light.

Images come from memory (`train.data.resident`, for GPUs: one sampling does crop and turn together) or from files
(`train.data.datasets`, for CPUs: Pillow crops, and only views that are turned are sampled again). All else is the same for both.
Chance comes from a generator alone, so that a view is a function of its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from edge_runtime.images.dataset import Labeled
from edge_runtime.images.network_input import MEAN, STD
from train.data.conditions import change_some
from train.data.draws import Draws

Views = tuple[Tensor, Tensor, Tensor]  # image (N, 3, size, size), (pixel - 127) / 128; sky, valid (N, 1, size, size); float32
PLANES = 5  # of a labeled image: red, green, blue, sky times valid, valid; each in [0, 1]
WHOLE = 0.4  # share of views that show the whole image, as inference does
TILT, FISHEYE = 0.25, 0.06
BLUR, NOISE, LOW_RES, JPEG = 0.15, 0.3, 0.1, 0.15


@dataclass(frozen=True)
class Geometry:
    """Where N views look; all (N, 1, 1) float32.

    Attributes
    ----------
    left, top, width, height
        The crop, as shares of the image.
    mirror
        -1 where left and right are exchanged, else 1.
    angle, zoom
        Turn in radians, and how much is cut off so that no corner of the turned view is empty.
    lens, reach, bend
        1 where a fisheye lens bends straight lines outward, else 0; the radius of its circle, in half sides; half of its angle
        of view in radians.
    """

    left: Tensor
    top: Tensor
    width: Tensor
    height: Tensor
    mirror: Tensor
    angle: Tensor
    zoom: Tensor
    lens: Tensor
    reach: Tensor
    bend: Tensor

    @classmethod
    def draw(cls, count: int, draws: Draws, fisheye: bool) -> Geometry:
        """Draw where `count` views look; `fisheye`: whether some look through such a lens."""
        chance = draws.uniform(0.0, 1.0, 12, count, 1, 1)
        tilt, turn = draws.normal(1.0, 2, count, 1, 1)
        area, aspect = 0.25 + 0.75 * chance[0], torch.exp(0.6 * chance[1] - 0.3)
        whole = chance[2] < WHOLE
        width = torch.where(whole, 1.0, (area * aspect).sqrt().clamp_max(1.0))
        height = torch.where(whole, 1.0, (area / aspect).sqrt().clamp_max(1.0))
        left, top = (1.0 - width) * chance[3], (1.0 - height) * chance[4]
        mirror = torch.where(chance[5] < 0.5, -1.0, 1.0)
        tilt = torch.where(chance[6] < TILT, math.radians(8.0) * tilt, 0.0)
        lens = (chance[7] < FISHEYE).float() * fisheye
        turn = torch.where(chance[8] < 0.7, 0.3 * turn, math.pi * (chance[8] - 0.85) / 0.15)
        reach = (0.75 + 0.4 * chance[9]) * torch.where(chance[11] < 0.5, math.sqrt(2.0), 1.0)
        bend = 0.6 + 0.75 * chance[10]
        angle, zoom = torch.where(lens > 0, turn, tilt), torch.where(lens > 0, 1.0, tilt.cos() + tilt.sin().abs())
        return cls(left, top, width, height, mirror, angle, zoom, lens, reach, bend)

    def uncropped(self) -> Geometry:
        """Return what is left to do on views that are cropped."""
        none, one = torch.zeros_like(self.left), torch.ones_like(self.left)
        return replace(self, left=none, top=none, width=one, height=one)

    def grid(self, size: int) -> tuple[Tensor, Tensor | None]:
        """Return positions (N, size, size, 2) in the image, [-1, 1], and which of them (N, size, size) lie in it; None: all."""
        line = (torch.arange(size, device=self.left.device) + 0.5) / size * 2.0 - 1.0
        x, y = line[None, None, :], line[None, :, None]
        lens = bool(self.lens.any())
        if lens:
            radius = torch.hypot(x, y) / self.reach
            stretch = torch.tan(radius.clamp_max(1.0) * self.bend) / self.bend.tan() / radius.clamp_min(1e-6) / self.reach
            stretch = torch.where(self.lens > 0, torch.where(radius > 1.0, 99.0, stretch), 1.0 / self.zoom)
            x, y = x * stretch, y * stretch
        cos, sin = (each if lens else each / self.zoom for each in (self.angle.cos(), self.angle.sin()))
        x, y = cos * x - sin * y, sin * x + cos * y
        inside = torch.maximum(x.abs(), y.abs()) <= 1.0 if lens else None
        left, top = (2.0 * low + share - 1.0 for low, share in ((self.left, self.width), (self.top, self.height)))
        grid = torch.stack([left + self.width * self.mirror * x, top + self.height * y], dim=3)
        return grid.clamp_(-1.0, 1.0) if lens else grid, inside


def random_view(pair: Labeled, size: int, seed: int, conditions: Sequence[str] = ()) -> Views:
    """Return one random view (N = 1) of an image, of which `seed` alone decides; see `change_some` for `conditions`."""
    draws = Draws(seed, torch.device("cpu"))
    geometry = Geometry.draw(1, draws, "fisheye" in conditions)
    height, width = pair.sky.shape
    left, top = width * float(geometry.left), height * float(geometry.top)
    box = (left, top, left + width * float(geometry.width), top + height * float(geometry.height))
    planes = crop(pair, size, box)[None]
    if geometry.angle.any() or geometry.lens.any():
        views = sample(planes, geometry.uncropped(), size, fine=1)
    else:
        views = split(planes.flip(3) if float(geometry.mirror) < 0 else planes)
    return relight(views, draws, conditions)


def whole_view(pair: Labeled, size: int) -> Tensor:
    """Return the planes (5, size, size) of the whole image, stretched as at inference."""
    height, width = pair.sky.shape
    return crop(pair, size, (0.0, 0.0, float(width), float(height)))


def crop(pair: Labeled, size: int, box: tuple[float, float, float, float]) -> Tensor:
    """Return the planes (5, size, size) of a box (left, top, right, bottom in pixels), resized with the contract's filter."""

    def resized(plane: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR, box=box)))

    planes, all_valid = torch.full((PLANES, size, size), 255.0), bool(pair.valid.all())
    planes[:3] = resized(pair.image).permute(2, 0, 1)
    planes[3] = resized((255.0 * (pair.sky if all_valid else pair.sky * pair.valid) + 0.5).astype(np.uint8))
    if not all_valid:
        planes[4] = resized(pair.valid.view(np.uint8) * np.uint8(255))
    return planes.mul_(1.0 / 255.0)


def sample(planes: Tensor, geometry: Geometry, size: int, fine: int = 2) -> Views:
    """Return what N views show of planes (N, 5, H, W); with `fine` 2 as the mean of 2 x 2 samples, so that nothing aliases."""
    grid, inside = geometry.grid(fine * size)
    planes = functional.grid_sample(planes, grid, align_corners=False, padding_mode="border")
    if inside is not None:  # beyond the rim of a lens the image is black, and known not to be sky
        planes *= inside[:, None]
        planes[:, 4] += ~inside
    return split(functional.avg_pool2d(planes, fine) if fine > 1 else planes)


def split(planes: Tensor) -> Views:
    """Return image, sky and valid of planes (N, 5, H, W): the label is the share of sky among the pixels that are not void."""
    weight = planes[:, 4:]
    sky = (planes[:, 3:4] / weight.clamp_min(1e-3)).clamp(0.0, 1.0)
    return planes[:, :3], torch.where(weight > 0.01, sky, 0.0), (weight > 0.5).float()


def relight(views: Views, draws: Draws, conditions: Sequence[str]) -> Views:
    """Change the conditions and the light of views in [0, 1], and make them the input of a network."""
    image, sky, valid = views
    image = change_some(image, sky, draws, conditions)
    return to_input(light(image, draws)), sky, valid


def to_input(image: Tensor) -> Tensor:
    """Round images in [0, 1] to bytes and return (byte - 127) / 128, in place."""
    return image.clamp_(0.0, 1.0).mul_(255.0).round_().sub_(MEAN).mul_(1.0 / STD)


def light(image: Tensor, draws: Draws) -> Tensor:
    """Change gamma, contrast, colors, sharpness, noise and JPEG quality, each with its own chance; images may change in place."""
    for share, change in CHANGES:
        image = draws.on_some(image, share, change)
    return image


def _gamma(x: Tensor, draws: Draws) -> Tensor:
    return x.clamp_(0.0, 1.0).pow_(draws.normal(0.25, len(x), 1, 1, 1).exp())


def _contrast(x: Tensor, draws: Draws) -> Tensor:
    gain = draws.normal(0.15, len(x), 1, 1, 1).exp()
    return x.mul_(gain).add_(0.5 * (1.0 - gain) + draws.normal(0.08, len(x), 1, 1, 1))


def _white_balance(x: Tensor, draws: Draws) -> Tensor:
    return x.mul_(draws.normal(0.07, len(x), 3, 1, 1).exp())


def _saturation(x: Tensor, draws: Draws) -> Tensor:
    gray = x.mean(1, keepdim=True)
    pale = draws.uniform(0.0, 1.0, len(x), 1, 1, 1) < 0.15
    strength = draws.uniform(0.0, 1.0, len(x), 1, 1, 1)
    return torch.lerp(gray, x, torch.where(pale, 0.5 * strength, 0.5 + strength))


def _dusk(x: Tensor, draws: Draws) -> Tensor:
    """Make the whole image far darker, the shadows first."""
    power, level = draws.uniform(1.3, 2.2, len(x), 1, 1, 1), draws.uniform(0.15, 0.6, len(x), 1, 1, 1)
    return x.clamp_(0.0, 1.0).pow_(power).mul_(level)


def _blur(x: Tensor, draws: Draws) -> Tensor:
    """Mix in the image under two means of 3 x 3 pixels."""
    soft = functional.pad(x, (2, 2, 2, 2), mode="replicate")
    for _ in range(2):
        soft = soft[..., :-2] + soft[..., 1:-1] + soft[..., 2:]
        soft = soft[..., :-2, :] + soft[..., 1:-1, :] + soft[..., 2:, :]
    return torch.lerp(x, soft / 81.0, draws.uniform(0.3, 1.0, len(x), 1, 1, 1))


def _low_res(x: Tensor, _draws: Draws) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear", align_corners=False)


def _noise(x: Tensor, draws: Draws) -> Tensor:
    return x.add_(draws.normal(1.0, *x.shape).mul_(draws.uniform(0.005, 0.05, len(x), 1, 1, 1)))


def jpeg(x: Tensor, draws: Draws) -> Tensor:
    """Quantize blocks of 8 x 8 as JPEG of quality 25 to 90 does (ITU-T T.81, annex K), color at half resolution."""
    quality = draws.uniform(25.0, 90.0, len(x), 1, 1, 1)
    coarse = torch.where(quality < 50.0, 50.0 / quality, 2.0 - quality / 50.0)  # factor on the tables, as in libjpeg
    to_color = x.new_tensor(YCBCR)
    planes = torch.einsum("ij,njhw->nihw", to_color, x.clamp(0.0, 1.0) * 255.0) - x.new_tensor([128.0, 0.0, 0.0])[:, None, None]
    color = functional.interpolate(_quantized(functional.avg_pool2d(planes[:, 1:], 2), coarse, CHROMA), scale_factor=2.0)
    planes = torch.cat([_quantized(planes[:, :1], coarse, LUMA) + 128.0, color], 1)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(to_color), planes) / 255.0


def _quantized(planes: Tensor, coarse: Tensor, table: tuple[tuple[int, ...], ...]) -> Tensor:
    """Round the cosine transform of blocks of planes (N, C, H, W), H and W multiples of 8, to multiples of a table."""
    count, channels, height, width = planes.shape
    number = torch.arange(8.0, device=planes.device)
    transform = torch.cos(math.pi / 8.0 * number[:, None] * (number + 0.5)) * 0.5
    transform[0] *= math.sqrt(0.5)
    steps = (planes.new_tensor(table) * coarse[..., None, None]).clamp_min(1.0)
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    waves = transform @ blocks @ transform.T
    blocks = transform.T @ ((waves / steps).round() * steps) @ transform
    return blocks.transpose(3, 4).reshape(planes.shape)


CHANGES: tuple[tuple[float, Callable[[Tensor, Draws], Tensor]], ...] = (
    (0.7, _gamma),
    (0.7, _contrast),
    (0.5, _white_balance),
    (0.5, _saturation),
    (0.08, _dusk),
    (BLUR, _blur),
    (LOW_RES, _low_res),
    (NOISE, _noise),
    (JPEG, jpeg),
)
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *(((99,) * 8,) * 4),
)  # fmt: skip
