"""Builders of all networks by name. Each network maps (N, 3, H, W) to logits and has `forward_all` for deep supervision."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from train.models.u2net import u2net, u2netp
from train.models.unet_lite import teacher, unet_lite, unet_lite_s

MODELS: dict[str, Callable[[], nn.Module]] = {
    "unet_lite": unet_lite,
    "unet_lite_s": unet_lite_s,
    "u2netp": u2netp,
    "u2net": u2net,
    "teacher": teacher,
}
