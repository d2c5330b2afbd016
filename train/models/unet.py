"""U-Net (Ronneberger et al. 2015).

The original pads no convolution, so that its mask is smaller than the image; here all are padded, which changes no parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 1024)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (inputs, outputs):
        layers += [nn.Conv2d(source, outputs, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _up_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Upsampling followed by a 2x2 convolution, in the paper's words; padded below and to the right."""
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, outputs, 2))


class UNet(nn.Module):
    """The original: two 3x3 convolutions a level, max pooling, 2x2 up-convolutions, no batch norm (31.0 M parameters)."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(_double(source, width) for source, width in zip(inputs, widths, strict=True))
        levels = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.enlarge = nn.ModuleList(_up_convolution(below, width) for below, width in levels)
        self.up = nn.ModuleList(_double(below, width) for below, width in levels)
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.pool = nn.MaxPool2d(2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # section 3 of the paper: standard deviation sqrt(2 / fan-in)
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB, (pixel - 127) / 128, to sky logits (N, 1, H, W); H and W multiples of 16."""
        skips: list[Tensor] = []
        for index, level in enumerate(self.down):
            x = level(self.pool(x) if index else x)
            skips.append(x)
        skips.pop()
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            x = level(torch.cat((skips.pop(), enlarge(x)), dim=1))
        return self.head(x)
