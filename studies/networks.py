"""Networks of torchvision and segmentation-models-pytorch, for `--arch studies/networks.py:NAME` (docs/seeds.md).

`pip install torchvision segmentation-models-pytorch` first, in the builds that fit your torch. With the environment variable
IMAGENET=1 their encoders start from ImageNet weights, which both packages download.
"""

from __future__ import annotations

import os
from functools import partial

import torch
from torch import Tensor, nn

IMAGENET = "IMAGENET" in os.environ
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pixels / 255, as both packages feed them


class Adapted(nn.Module):
    """A network that takes ImageNet's normalization and may return several maps, made to take ours."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("scale", 128.0 / 255.0 / std, persistent=False)
        self.register_buffer("shift", (127.0 / 255.0 - mean) / std, persistent=False)

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W), (pixel - 127) / 128, to the logits (N, 1, H, W) of every head; see `forward`."""
        found = self.network(x * self.scale + self.shift)
        return list(found.values()) if isinstance(found, dict) else [found]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the first head; H and W are multiples of 32."""
        return self.forward_all(x)[0]


def _torchvision(name: str) -> Adapted:
    from torchvision.models import segmentation

    weights = "DEFAULT" if IMAGENET else None
    return Adapted(getattr(segmentation, name)(weights=None, weights_backbone=weights, num_classes=1, aux_loss=True))


def _unet(encoder: str) -> Adapted:
    import segmentation_models_pytorch

    return Adapted(segmentation_models_pytorch.Unet(encoder, encoder_weights="imagenet" if IMAGENET else None, classes=1))


# FCN (Long et al. 2015) and DeepLabV3 (Chen et al. 2017) at output stride 8, and U-Nets with three encoders.
fcn_resnet50, deeplabv3_resnet50 = partial(_torchvision, "fcn_resnet50"), partial(_torchvision, "deeplabv3_resnet50")
unet_resnet50, unet_vgg16, unet_vgg19 = partial(_unet, "resnet50"), partial(_unet, "vgg16_bn"), partial(_unet, "vgg19_bn")
