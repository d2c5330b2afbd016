"""ResNet-50 encoder (He et al. 2016, "Deep residual learning for image recognition", table 1), without its classifier.

Parameters are named as torchvision names them, so its ImageNet weights load (train/models/encoder_weights.py). As there, the
stride of a block sits in its 3x3 convolution, and dilation may replace the stride of the last stages.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EXPANSION = 4  # channels of a block's output for each of its 3x3 convolution
BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """Encoder of five feature maps of `channels`, at `output_stride` (32, 16 or 8) from the stage on that reaches it.

    Other `widths` make a narrower network of the same graph.
    """

    def __init__(self, output_stride: int = 32, widths: Sequence[int] = WIDTHS, stem: int | None = None) -> None:
        super().__init__()
        self.channels = (stem or widths[0], *(EXPANSION * width for width in widths))
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs, reached, dilation = self.channels[0], 4, 1
        for number, (width, count) in enumerate(zip(widths, BLOCKS, strict=True), start=1):
            stride, first_dilation = (1 if number == 1 else 2), dilation
            if stride == 2 and reached == output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            layers = [Bottleneck(inputs, width, stride, first_dilation)]
            inputs = EXPANSION * width
            layers += [Bottleneck(inputs, width, 1, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*layers))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, channels[0], H / 2, W / 2)."""
        return self.relu(self.bn1(self.conv1(x)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to five feature maps, the first at half the size, the last with 2048 channels."""
        features = [self.stem(x)]
        y = self.maxpool(features[0])
        for number in range(1, 5):
            y = self.get_submodule(f"layer{number}")(y)
            features.append(y)
        return features


def bilinear(x: Tensor, like: Tensor) -> Tensor:
    """Resize (N, C, h, w) to the height and width of `like`, half-pixel centers."""
    return torch.nn.functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
