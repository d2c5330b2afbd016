"""The ADE20K networks of CSAIL's semantic-segmentation-pytorch (Zhao et al. 2017, PSPNet), and the sky out of their 150 classes.

A dilated ResNet-50 with a stem of three 3x3 convolutions, and pyramid pooling at four scales. Parameters are named as in the
files `encoder_epoch_20.pth` and `decoder_epoch_20.pth` of `ade20k-resnet50dilated-ppm_deepsup`; `train/from_csail.py` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train.models.resnet import WIDTHS, ResNet50, bilinear

POOLED_SIDES = (1, 2, 3, 6)
POOLED_WIDTH = 512
ADE20K_CLASSES, ADE20K_SKY = 150, 2


class DeepStemResNet50(ResNet50):
    """ResNet-50 at output stride 8 whose first 7x7 convolution is three 3x3 ones, the last twice as wide."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(output_stride=8, widths=widths, stem=2 * widths[0])
        inputs = (3, widths[0], widths[0])
        for number, (source, width) in enumerate(zip(inputs, (widths[0], widths[0], 2 * widths[0]), strict=True), start=1):
            self.add_module(f"conv{number}", nn.Conv2d(source, width, 3, 2 if number == 1 else 1, padding=1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(width))

    def stem(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 2 width, H / 2, W / 2)."""
        for number in (1, 2, 3):
            x = self.relu(self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x)))
        return x


class PyramidPooling(nn.Module):
    """Class scores from the features and their means over a grid of 1, 4, 9 and 36 parts of the image."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.ppm = nn.ModuleList()
        for side in POOLED_SIDES:
            unit = nn.Conv2d(inputs, POOLED_WIDTH, 1, bias=False), nn.BatchNorm2d(POOLED_WIDTH), nn.ReLU()
            self.ppm.append(nn.Sequential(nn.AdaptiveAvgPool2d(side), *unit))
        joined = inputs + len(POOLED_SIDES) * POOLED_WIDTH
        self.conv_last = nn.Sequential(
            nn.Conv2d(joined, POOLED_WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(POOLED_WIDTH), nn.ReLU(), nn.Dropout2d(0.1),
            nn.Conv2d(POOLED_WIDTH, classes, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, inputs, H, W) to scores (N, classes, H, W)."""
        return self.conv_last(torch.cat([x, *(bilinear(pool(x), x) for pool in self.ppm)], dim=1))


class SkyFromClasses(nn.Module):
    """Log-odds of the sky class in the softmax of an encoder and a decoder with many classes."""

    encoder_name = "encoder"

    def __init__(self, encoder: ResNet50, decoder: nn.Module, classes: int, sky: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.sky = sky

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits as a list of one; see `forward`."""
        return [self(x)]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB, (pixel - 127) / 128, to sky logits (N, 1, H, W); exports take multiples of 96."""
        scores = self.decoder(self.encoder(x)[-1])
        before, after = scores[:, : self.sky], scores[:, self.sky + 1 :]
        rest = torch.logsumexp(torch.cat((before, after), dim=1), dim=1, keepdim=True)
        return bilinear(scores[:, self.sky : self.sky + 1] - rest, x)


def csail_resnet50_ppm(widths: Sequence[int] = WIDTHS) -> SkyFromClasses:
    """ResNet50dilated + PPM of ADE20K, reduced to its sky class."""
    encoder = DeepStemResNet50(widths)
    return SkyFromClasses(encoder, PyramidPooling(encoder.channels[-1], ADE20K_CLASSES), ADE20K_CLASSES, ADE20K_SKY)
