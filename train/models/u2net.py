"""U2-Net and U2-Netp (Qin et al. 2020, "U^2-Net: Going deeper with nested U-structure for salient object detection").

Both are the same graph with other channel counts (table 1 of the paper); U2-Netp has 1,131,181 parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Stage:
    """One RSU: `height` levels (0 means the dilated RSU-4F), `mid` channels inside, `out` channels after it."""

    height: int
    mid: int
    out: int


HEIGHTS = (7, 6, 5, 4, 0, 0)
U2NETP_ENCODER = tuple(Stage(height, 16, 64) for height in HEIGHTS)
U2NETP_DECODER = tuple(Stage(height, 16, 64) for height in HEIGHTS[:5])
U2NET_ENCODER = tuple(
    Stage(height, mid, out)
    for height, mid, out in zip(HEIGHTS, (32, 32, 64, 128, 256, 256), (64, 128, 256, 512, 512, 512), strict=True)
)
U2NET_DECODER = tuple(
    Stage(height, mid, out) for height, mid, out in zip(HEIGHTS[:5], (16, 32, 64, 128, 256), (64, 64, 128, 256, 512), strict=True)
)


def _unit(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, stride=2)  # sides are multiples of 32: no pixel is left over for a ceil mode


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class RSU(nn.Module):
    """Residual U-block of `height` levels: a small U-Net of `mid` channels added to its own input convolution."""

    def __init__(self, height: int, inputs: int, mid: int, outputs: int) -> None:
        super().__init__()
        self.entry = _unit(inputs, outputs)
        self.down = nn.ModuleList([_unit(outputs, mid)] + [_unit(mid, mid) for _ in range(height - 2)])
        self.bottom = _unit(mid, mid, dilation=2)
        self.up = nn.ModuleList([_unit(2 * mid, mid) for _ in range(height - 2)] + [_unit(2 * mid, outputs)])
        self.pool = _pool()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        entry = self.entry(x)
        skips: list[Tensor] = []
        y = entry
        for index, unit in enumerate(self.down):
            y = unit(self.pool(y) if index else y)
            skips.append(y)
        y = self.bottom(y)
        for unit, skip in zip(self.up, reversed(skips), strict=True):
            y = unit(torch.cat((_resize(y, skip), skip), dim=1))
        return y + entry


class RSU4F(nn.Module):
    """Residual U-block of four levels that dilates (1, 2, 4, 8) instead of pooling."""

    def __init__(self, inputs: int, mid: int, outputs: int) -> None:
        super().__init__()
        self.entry = _unit(inputs, outputs)
        self.down = nn.ModuleList([_unit(outputs, mid), _unit(mid, mid, 2), _unit(mid, mid, 4)])
        self.bottom = _unit(mid, mid, 8)
        self.up = nn.ModuleList([_unit(2 * mid, mid, 4), _unit(2 * mid, mid, 2), _unit(2 * mid, outputs)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        entry = self.entry(x)
        skips: list[Tensor] = []
        y = entry
        for unit in self.down:
            y = unit(y)
            skips.append(y)
        y = self.bottom(y)
        for unit, skip in zip(self.up, reversed(skips), strict=True):
            y = unit(torch.cat((y, skip), dim=1))
        return y + entry


def _rsu(inputs: int, stage: Stage) -> nn.Module:
    return RSU(stage.height, inputs, stage.mid, stage.out) if stage.height else RSU4F(inputs, stage.mid, stage.out)


class U2Net(nn.Module):
    """Nested U-Net with six side outputs and their fusion.

    Parameters
    ----------
    encoder
        Six stages, En1 to En6.
    decoder
        Five stages, De1 to De5.
    """

    def __init__(self, encoder: tuple[Stage, ...], decoder: tuple[Stage, ...]) -> None:
        super().__init__()
        widths = [3, *(stage.out for stage in encoder)]
        self.encoder = nn.ModuleList(_rsu(widths[i], stage) for i, stage in enumerate(encoder))
        below = [*(stage.out for stage in decoder[1:]), encoder[5].out]
        self.decoder = nn.ModuleList(_rsu(below[i] + encoder[i].out, stage) for i, stage in enumerate(decoder))
        sides = [*(stage.out for stage in decoder), encoder[5].out]
        self.side = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for width in sides)
        self.fuse = nn.Conv2d(6, 1, 1)
        self.pool = _pool()

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the seven logit maps for deep supervision, each (N, 1, H, W): the fused one, then the sides 1 to 6.

        `x` is (N, 3, H, W) float, RGB, (pixel - 127) / 128.
        """
        skips: list[Tensor] = []
        y = x
        for index, stage in enumerate(self.encoder):
            y = stage(self.pool(y) if index else y)
            skips.append(y)
        features = [skips.pop()]
        for stage in reversed(self.decoder):
            skip = skips.pop()
            features.insert(0, stage(torch.cat((_resize(features[0], skip), skip), dim=1)))
        maps = [_resize(side(feature), x) for side, feature in zip(self.side, features, strict=True)]
        return [self.fuse(torch.cat(maps, dim=1)), *maps]

    def forward(self, x: Tensor) -> Tensor:
        """Return the fused logits, (N, 1, H, W)."""
        return self.forward_all(x)[0]


def u2netp() -> U2Net:
    """U2-Netp: 16 channels inside every block, 64 between them."""
    return U2Net(U2NETP_ENCODER, U2NETP_DECODER)


def u2net() -> U2Net:
    """U2-Net, the full-size network (44.0 M parameters)."""
    return U2Net(U2NET_ENCODER, U2NET_DECODER)
