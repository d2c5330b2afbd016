"""VGG-16 and VGG-19 encoders with batch norm (Simonyan and Zisserman 2015, configurations D and E), without their classifier.

Parameters are named as torchvision names them, so its ImageNet weights load (train/models/encoder_weights.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # of each stage; a pooling ends it


class VGG(nn.Module):
    """Encoder of six feature maps of `channels`: the five stages before their pooling, and the last one pooled."""

    def __init__(self, depth: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.channels = (*widths, widths[-1])
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, count in zip(widths, CONVOLUTIONS[depth], strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to six feature maps, from (N, 64, H, W) to (N, 512, H / 32, W / 32)."""
        features = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                features.append(x)
            x = layer(x)
        return [*features, x]
