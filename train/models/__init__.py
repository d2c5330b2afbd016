"""The networks, by name, and their checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from train.models.channel_plan import ChannelPlan, apply_plan, read_plan
from train.models.u2net import u2net, u2netp
from train.models.unet_lite import teacher, unet_lite, unet_lite_s

MODELS: dict[str, Callable[[], nn.Module]] = {
    "unet_lite": unet_lite,
    "unet_lite_s": unet_lite_s,
    "u2netp": u2netp,
    "u2net": u2net,
    "teacher": teacher,
}


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one network, and what a reader must know about them.

    Attributes
    ----------
    arch
        Key of `MODELS`.
    size
        Side of the square input in pixels that the network was trained for.
    weights
        State dict, float32, or float16 to halve the file; `build` makes float32 of either.
    weights_license
        Terms of the weights, which follow the training data.
    training
        How they were made (config, steps, data); plain values only.
    plan
        Layers that pruning made narrower (train/models/channel_plan.py); empty for a network as its builder makes it.
    """

    arch: str
    size: int
    weights: dict[str, torch.Tensor]
    weights_license: str
    training: dict[str, Any] = field(default_factory=dict)
    plan: ChannelPlan = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the network with these weights, in eval mode; raises `InputError` for a plan that does not fit it."""
        model = apply_plan(MODELS[self.arch](), self.plan)
        model.load_state_dict(self.weights)
        return model.eval()

    @property
    def name(self) -> str:
        """Name of the network for people: `arch`, and of a pruned one how much of its MACs is left, as in u2netp_p15."""
        if not self.plan:
            return self.arch
        left = count_macs(self.build(), self.size) / count_macs(MODELS[self.arch](), self.size)
        return f"{self.arch}_p{round(100 * left)}"


def plan_of(model: nn.Module, arch: str) -> ChannelPlan:
    """Return the plan that a checkpoint of `model` needs, see `Checkpoint.plan`."""
    return read_plan(model, MODELS[arch]())


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a weights-only checkpoint atomically."""
    # A network that was not pruned is saved without a plan, as before there were any.
    save_state({key: value for key, value in vars(checkpoint).items() if key != "plan" or value}, path)


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write what `torch.save` can write in one step."""
    # Given a path, torch writes the file's name into the archive: that of the partial file, another one every time.
    with partial_file(path) as partial, partial.open("wb") as file:
        torch.save(state, file)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint (weights only, no code is run); raises `InputError` where it is missing, broken or foreign."""
    if not path.is_file():
        raise InputError(f"got {path}, expected a checkpoint.pt; train one with `python train/fit.py PRESET`")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**values)
    except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
        raise InputError(f"cannot read checkpoint {path}: {error}; expected one written by train/fit.py") from error
    if checkpoint.arch not in MODELS:
        raise InputError(f"{path} is for {checkpoint.arch!r}, expected one of {', '.join(MODELS)}")
    try:
        checkpoint.build()
    except (InputError, RuntimeError, TypeError) as error:
        raise InputError(f"the weights of {path} do not fit {checkpoint.arch}: {error}") from error
    return checkpoint


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, size: int) -> int:
    """Return the multiply-accumulates of all convolutions for one (1, 3, size, size) input."""
    return sum(macs_by_layer(model, size, size).values())


def macs_by_layer(model: nn.Module, height: int, width: int) -> dict[str, int]:
    """Return the multiply-accumulates of every convolution for one (1, 3, height, width) input, by module name."""
    was_training = model.training
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.eval()(torch.zeros(1, 3, height, width))
    finally:
        model.train(was_training)
    flops = counter.get_flop_counts()  # by the class of the outermost module and the path below it
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    return {name: sum(flops[f"{type(model).__name__}.{name}"].values()) // 2 for name in names}
