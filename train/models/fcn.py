"""FCN-ResNet50 (Long et al. 2015, "Fully convolutional networks for semantic segmentation") as torchvision builds it.

The encoder keeps stride 8 by dilation, a head of one 3x3 convolution predicts there, and the prediction is resized to the input.
Parameters are named as torchvision names them. With 21 classes the network has 35,322,218 parameters, as published there.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from train.models.resnet import WIDTHS, ResNet50, bilinear


class FCNHead(nn.Sequential):
    """3x3 convolution to a quarter of the channels, then one logit map for each class."""

    def __init__(self, inputs: int, classes: int) -> None:
        mid = inputs // 4
        super().__init__(
            nn.Conv2d(inputs, mid, 3, padding=1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(mid, classes, 1),
        )


class DilatedNetwork(nn.Module):
    """A dilated ResNet-50, a head on its last features, and in training a second head on the stage before (deep supervision)."""

    encoder_name = "backbone"

    def __init__(self, backbone: ResNet50, head: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = head
        self.aux_classifier = FCNHead(backbone.channels[-2], classes)

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits of both heads, each (N, classes, H, W); see `forward`."""
        *_, before, last = self.backbone(x)
        return [bilinear(self.classifier(last), x), bilinear(self.aux_classifier(before), x)]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) float RGB, (pixel - 127) / 128, to logits (N, classes, H, W); H and W multiples of 32."""
        return bilinear(self.classifier(self.backbone(x)[-1]), x)


def fcn_resnet50(classes: int = 1, widths: Sequence[int] = WIDTHS) -> DilatedNetwork:
    """FCN-ResNet50 at output stride 8."""
    backbone = ResNet50(8, widths)
    return DilatedNetwork(backbone, FCNHead(backbone.channels[-1], classes), classes)
