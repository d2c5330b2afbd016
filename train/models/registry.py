"""The networks by name, and what they cost.

Each maps (N, 3, H, W) to logits (N, 1, H, W). One with several supervised maps also has `forward_all`, which returns all of them,
the prediction first.
"""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_runtime.errors import InputError
from train.models.u2net import u2net, u2netp
from train.models.unet import UNet
from train.models.unet_lite import teacher, unet_lite, unet_lite_s

MODELS: dict[str, Callable[[], nn.Module]] = {
    "unet_lite": unet_lite,
    "unet_lite_s": unet_lite_s,
    "u2netp": u2netp,
    "u2net": u2net,
    "teacher": teacher,
    "unet": UNet,
}


def add_network(arch: str) -> str:
    """Return the key of `MODELS` for a name of a network, or for FILE.py:function, which is run and put there.

    The function takes nothing and returns a module that maps (N, 3, H, W), (pixel - 127) / 128, to logits (N, 1, H, W). Its key
    is FILE.py:function without the file's folder. Raises `InputError` where there is no such network.
    """
    file, _, function = arch.rpartition(":")
    if not file.endswith(".py"):
        if arch not in MODELS:
            raise InputError(f"got network {arch!r}, expected one of {', '.join(MODELS)}, or --arch FILE.py:function")
        return arch
    if not Path(file).is_file():
        raise InputError(f"got --arch {arch}, expected FILE.py:function of an existing file")
    try:
        build = runpy.run_path(file)[function]
        with torch.no_grad():
            logits = build().eval()(torch.zeros(1, 3, 64, 64))
    except Exception as error:
        got = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise InputError(f"got {got} from --arch {arch}, expected a function that takes nothing and returns a module") from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (1, 1, 64, 64):
        raise InputError(f"got {shape} of (1, 3, 64, 64) from --arch {arch}, expected logits (1, 1, 64, 64); wrap the network")
    key = f"{Path(file).name}:{function}"
    MODELS[key] = build
    return key


def plain_name(arch: str) -> str:
    """Return the name of a network for people and folders: without the file of a network of your own."""
    return arch.rpartition(":")[2]


def all_maps(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Return the logits of every supervised map, each (N, 1, H, W), the prediction first."""
    return model.forward_all(x) if hasattr(model, "forward_all") else [model(x)]  # type: ignore[operator]


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
