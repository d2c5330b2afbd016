"""DeepLabV3-ResNet50 (Chen et al. 2017, "Rethinking atrous convolution for semantic image segmentation", section 3.3).

Atrous spatial pyramid pooling (ASPP): 1x1 and dilated 3x3 convolutions and image-level features side by side. Parameters are
named as torchvision names them. With 21 classes at output stride 8 the network has 42,004,074 parameters, as published there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train.models.fcn import DilatedNetwork
from train.models.resnet import WIDTHS, ResNet50, bilinear

WIDTH = 256
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}  # dilations by output stride


def _unit(inputs: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, WIDTH, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)]


class ASPP(nn.Module):
    """Five views of the same features, each of another reach, joined by a 1x1 convolution."""

    def __init__(self, inputs: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Sequential(*_unit(inputs, 1))])
        self.convs.extend(nn.Sequential(*_unit(inputs, 3, rate)) for rate in rates)
        self.convs.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *_unit(inputs, 1)))
        self.project = nn.Sequential(*_unit(len(self.convs) * WIDTH, 1), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 256, H, W)."""
        views = [conv(x) for conv in self.convs]
        views[-1] = bilinear(views[-1], x)
        return self.project(torch.cat(views, dim=1))


def deeplabv3_resnet50(classes: int = 1, output_stride: int = 8, widths: Sequence[int] = WIDTHS) -> DilatedNetwork:
    """DeepLabV3-ResNet50 at output stride 8; 16 takes a third of the time and predicts at half the resolution."""
    backbone = ResNet50(output_stride, widths)
    head = nn.Sequential(ASPP(backbone.channels[-1], RATES[output_stride]), *_unit(WIDTH, 3), nn.Conv2d(WIDTH, classes, 1))
    return DilatedNetwork(backbone, head, classes)


def deeplabv3_resnet50_os16() -> DilatedNetwork:
    """DeepLabV3-ResNet50 at output stride 16."""
    return deeplabv3_resnet50(output_stride=16)
