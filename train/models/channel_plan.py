"""Which layers of a pruned network are narrower than its builder makes them: plain values, so that a checkpoint can hold them.

A plan maps the name of a layer to its channels: [outputs, inputs] for a convolution, [channels] for a batch norm. Layers as the
builder makes them are not named. A depthwise convolution has as many groups as inputs, so it needs no entry of another kind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edge_runtime.errors import InputError

ChannelPlan = dict[str, list[int]]


def read_plan(model: nn.Module, full: nn.Module) -> ChannelPlan:
    """Return what makes `full`, as its builder made it, as narrow as `model`; empty where nothing was pruned."""
    before = _channels(full)
    return {name: channels for name, channels in _channels(model).items() if channels != before[name]}


def apply_plan(model: nn.Module, plan: ChannelPlan) -> nn.Module:
    """Put narrower layers, with fresh weights, into a network that its builder has just made, and return it.

    Raises `InputError` for layers that are not there, and for widths that do not fit them or each other.
    """
    known = _channels(model)
    if not isinstance(plan, dict):
        raise InputError(f"got a channel plan of type {type(plan).__name__}, expected a mapping of layers to channels")
    for name, channels in plan.items():
        if name not in known or not _fits(channels, known[name]):
            expected = f"up to {known[name]} channels, 1 or more" if name in known else "the name of a convolution or batch norm"
            raise InputError(f"got {channels} for {name!r} in the channel plan, expected {expected}; prune the network again")
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, _narrow(model.get_submodule(name), channels))
    if plan:
        try:
            with torch.no_grad():
                model.eval()(torch.zeros(1, 3, 32, 32))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"the widths of the channel plan do not fit each other: {error}; prune the network again") from error
    return model.train()


def _channels(model: nn.Module) -> ChannelPlan:
    found: ChannelPlan = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            found[name] = [layer.out_channels, layer.in_channels]
        elif isinstance(layer, nn.BatchNorm2d):
            found[name] = [layer.num_features]
    return found


def _fits(channels: Any, full: list[int]) -> bool:
    whole = isinstance(channels, list) and len(channels) == len(full) and all(type(count) is int for count in channels)
    return whole and all(1 <= count <= most for count, most in zip(channels, full, strict=True))


def _narrow(layer: nn.Module, channels: list[int]) -> nn.Module:
    if isinstance(layer, nn.BatchNorm2d):
        return nn.BatchNorm2d(channels[0], eps=layer.eps, momentum=layer.momentum)
    assert isinstance(layer, nn.Conv2d)
    outputs, inputs = channels
    depthwise = layer.groups > 1
    if depthwise and outputs != inputs:
        raise InputError(f"got {channels} for a depthwise convolution, expected as many outputs as inputs; prune again")
    shape: dict[str, Any] = {key: getattr(layer, key) for key in ("kernel_size", "stride", "padding", "dilation")}
    return nn.Conv2d(inputs, outputs, **shape, groups=inputs if depthwise else 1, bias=layer.bias is not None)
