"""U-Net (Ronneberger et al. 2015), and U-Nets whose encoder is a ResNet-50 or a VGG.

The original pads no convolution, so that its mask is smaller than the image; here all are padded, which changes no parameter.
The U-Nets with an encoder upsample by nearest neighbor and use batch norm, as segmentation_models.pytorch does; with ResNet-50
and one class that network has 32,521,105 parameters, as this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.resnet import ResNet50
from train.models.vgg import VGG

WIDTHS = (64, 128, 256, 512, 1024)
DECODER = (256, 128, 64, 32, 16)


def _double(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (inputs, outputs):
        layers.append(nn.Conv2d(source, outputs, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _up_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Upsampling followed by a 2x2 convolution, in the paper's words; padded below and to the right."""
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, outputs, 2))


class UNet(nn.Module):
    """The original: two 3x3 convolutions a level, max pooling, 2x2 up-convolutions, no batch norm (31.0 M parameters)."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.down = nn.ModuleList(_double(source, width, batch_norm=False) for source, width in zip(inputs, widths, strict=True))
        levels = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.enlarge = nn.ModuleList(_up_convolution(below, width) for below, width in levels)
        self.up = nn.ModuleList(_double(below, width, batch_norm=False) for below, width in levels)
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.pool = nn.MaxPool2d(2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # section 3 of the paper: standard deviation sqrt(2 / fan-in)
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits as a list of one; see `forward`."""
        return [self(x)]

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


class EncoderUNet(nn.Module):
    """U-Net on the feature maps of an encoder, each half as large as the one before."""

    encoder_name = "encoder"

    def __init__(self, encoder: ResNet50 | VGG) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, below = encoder.channels
        sources = [*reversed(skips), *[0] * (len(DECODER) - len(skips))]
        blocks = []
        for skip, width in zip(sources, DECODER, strict=True):
            blocks.append(_double(below + skip, width, batch_norm=True))
            below = width
        self.decoder = nn.ModuleList(blocks)
        self.head = nn.Conv2d(below, 1, 3, padding=1)

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits as a list of one; see `forward`."""
        return [self(x)]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB, (pixel - 127) / 128, to sky logits (N, 1, H, W); H and W multiples of 32."""
        *skips, y = self.encoder(x)
        for block in self.decoder:
            y = functional.interpolate(y, scale_factor=2.0, mode="nearest")
            y = block(torch.cat((y, skips.pop()), dim=1) if skips else y)
        return self.head(y)


def unet_resnet50() -> EncoderUNet:
    """U-Net with a ResNet-50 encoder."""
    return EncoderUNet(ResNet50())


def unet_vgg16() -> EncoderUNet:
    """U-Net with a VGG-16 encoder."""
    return EncoderUNet(VGG(16))


def unet_vgg19() -> EncoderUNet:
    """U-Net with a VGG-19 encoder."""
    return EncoderUNet(VGG(19))
