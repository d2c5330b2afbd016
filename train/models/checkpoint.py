"""Checkpoints: the weights of one network with what a reader must know about them. Reading one runs no code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from train.models.channel_plan import ChannelPlan, apply_plan, read_plan
from train.models.registry import MODELS, add_network, count_macs, plain_name

SIZE_LIMITS = (32, 4096)  # sides of the input, pixels
FIELD_TYPES: dict[str, type] = {
    "arch": str,
    "size": int,
    "weights": dict,
    "weights_license": str,
    "training": dict,
    "plan": dict,
}
REQUIRED = ("arch", "size", "weights", "weights_license")


@dataclass(frozen=True)
class Checkpoint:
    """Weights of one network, and what a reader must know about them.

    Attributes
    ----------
    arch
        Key of `MODELS`; FILE.py:function for a network of your own.
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
        """Name of the network for people: `arch`, and for a pruned one the share of its MACs that is left, as in u2netp_p15."""
        name = plain_name(self.arch)
        if not self.plan:
            return name
        left = count_macs(self.build(), self.size) / count_macs(MODELS[self.arch](), self.size)
        return f"{name}_p{round(100 * left)}"


def plan_of(model: nn.Module, arch: str) -> ChannelPlan:
    """Return the plan that a checkpoint of `model` needs, see `Checkpoint.plan`."""
    return read_plan(model, MODELS[arch]())


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint in one step."""
    # A network that was not pruned is saved without a plan, as before plans existed.
    save_tensors({key: value for key, value in vars(checkpoint).items() if key != "plan" or value}, path)


def save_tensors(values: dict[str, Any], path: Path) -> None:
    """Write plain values and tensors in one step; when the disk is full, the file that was there stays as it was."""
    try:
        # Given a path, torch would write the name of the partial file into the archive, another name every time.
        with partial_file(path) as partial, partial.open("wb") as file:
            torch.save(values, file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError when it cannot write
        raise InputError(
            f"cannot write {path}: {error}; {shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free there. "
            "Whatever was saved before is kept. Free some space, or choose a folder on another disk"
        ) from error


def load_tensors(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read a mapping that `save_tensors` wrote, on the CPU; `what` and `remedy` complete the error message."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file, and advises to run the code in it
        reason = str(error) if isinstance(error, OSError) else f"{type(error).__name__} in torch.load"
        raise InputError(f"cannot read {path}: {reason}; expected {what}. {remedy}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"got a {type(values).__name__} in {path}, expected {what}. {remedy}")
    return values


def check_types(values: dict[str, Any], types: dict[str, type], path: Path, remedy: str) -> None:
    """Raise `InputError` where a field of a file is missing or has another type than `types` says."""
    for name, kind in types.items():
        if name not in values:
            raise InputError(f"got {path} without the field {name!r} of type {kind.__name__}. {remedy}")
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            got = type(values[name]).__name__
            raise InputError(f"got {name!r} of type {got} in {path}, expected {kind.__name__}. {remedy}")


def check_finite(tensors: dict[str, Any], path: Path, remedy: str) -> None:
    """Raise `InputError` unless all values are tensors without NaN and infinity."""
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor) or not isinstance(name, str):
            raise InputError(f"got {name!r} of type {type(value).__name__} in {path}, expected a tensor with a name. {remedy}")
        if not torch.isfinite(value).all():
            raise InputError(f"got NaN or infinity in {name!r} of {path}, expected finite weights. {remedy}")


def load_checkpoint(path: Path, arch: str | None = None) -> Checkpoint:
    """Read a checkpoint; raises `InputError` where it is missing, damaged, not finite, or does not fit its network.

    The network of a checkpoint may be your own. Building it runs code, so `arch` must name the file: FILE.py:function.
    """
    if arch is not None:
        add_network(arch)
    if not path.is_file():
        raise InputError(f"got {path}, expected a checkpoint.pt; train one with `python train/fit.py PRESET`")
    remedy = "Train it again, or use a copy that is whole"
    values = load_tensors(path, "a checkpoint written by train/fit.py", remedy)
    unknown = sorted(set(values) - set(FIELD_TYPES))
    if unknown:
        some = ", ".join(unknown[:3])
        raise InputError(f"got {len(unknown)} unknown fields ({some}) in {path}, expected a checkpoint of train/fit.py. {remedy}")
    given = {name: kind for name, kind in FIELD_TYPES.items() if name in values or name in REQUIRED}
    check_types(values, given, path, remedy)
    checkpoint = Checkpoint(**values)
    if checkpoint.arch not in MODELS:
        own = f"; it runs code, so name its file: --arch {checkpoint.arch}" if ":" in checkpoint.arch else ""
        raise InputError(f"{path} is for {checkpoint.arch!r}, expected one of {', '.join(MODELS)}{own}")
    if not SIZE_LIMITS[0] <= checkpoint.size <= SIZE_LIMITS[1] or checkpoint.size % 32:
        raise InputError(f"got size {checkpoint.size} in {path}, expected a multiple of 32 from 32 to 4096. {remedy}")
    check_finite(checkpoint.weights, path, remedy)
    try:
        checkpoint.build()
    except (InputError, RuntimeError) as error:
        raise InputError(f"the weights of {path} do not fit {checkpoint.arch}: {error}. {remedy}") from error
    return checkpoint
