"""The networks by name, and what they cost. Each maps (N, 3, H, W) to logits and has `forward_all` for deep supervision."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from train.models.csail import csail_resnet50_ppm
from train.models.deeplabv3 import deeplabv3_resnet50, deeplabv3_resnet50_os16
from train.models.fcn import fcn_resnet50
from train.models.u2net import u2net, u2netp
from train.models.unet import UNet, unet_resnet50, unet_vgg16, unet_vgg19
from train.models.unet_lite import teacher, unet_lite, unet_lite_s

MODELS: dict[str, Callable[[], nn.Module]] = {
    "unet_lite": unet_lite,
    "unet_lite_s": unet_lite_s,
    "u2netp": u2netp,
    "u2net": u2net,
    "teacher": teacher,
    "unet": UNet,
    "unet_resnet50": unet_resnet50,
    "unet_vgg16": unet_vgg16,
    "unet_vgg19": unet_vgg19,
    "fcn_resnet50": fcn_resnet50,
    "deeplabv3_resnet50": deeplabv3_resnet50,
    "deeplabv3_resnet50_os16": deeplabv3_resnet50_os16,
    "csail_resnet50_ppm": csail_resnet50_ppm,
}


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, size: int) -> int:
    """Return the multiply-accumulates of all convolutions for one (1, 3, size, size) input."""
    return sum(macs_by_layer(model, size, size).values())


def macs_by_layer(model: nn.Module, height: int, width: int) -> dict[str, int]:
    """Return the multiply-accumulates of every convolution for one (1, 3, height, width) input, by module name."""
    shapes_only = copy.deepcopy(model).eval().to("meta")  # computes nothing, so it takes no time or memory at any size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes_only(torch.zeros(1, 3, height, width, device="meta"))
    flops = counter.get_flop_counts()  # by the class of the outermost module and the path below it
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    return {name: sum(flops.get(f"{type(model).__name__}.{name}", {}).values()) // 2 for name in names}
