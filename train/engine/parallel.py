"""Data-parallel training under torchrun that follows the loss curve of one process with the same global batch.

Averaging gradients is not enough: batch norm must use the statistics of the whole batch, and a loss that is divided by counts
(valid pixels; Dice) must divide by the counts of the whole batch. `global_sum` adds both over all processes, and gradients flow
through it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edge_runtime.errors import InputError


@dataclass(frozen=True)
class World:
    """The processes of a run: this one's `rank` of `size`, and the device that it trains on."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files and shows the progress."""
        return self.rank == 0


def join_world() -> World:
    """Join the processes that torchrun started, by nccl on GPUs and gloo on CPUs; a run of one process without torchrun."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available()
    if on_gpu and local >= torch.cuda.device_count():
        raise InputError(f"got {local + 1} processes for {torch.cuda.device_count()} GPUs, expected no more than GPUs")
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    return World(rank, size, device)


def leave_world() -> None:
    """Leave the process group."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def global_sum(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes; just `values` in a run of one.

    Every process then holds the same loss L. Its backward pass adds the gradients of all processes, which is the gradient of
    size * L, and DistributedDataParallel divides by size: the gradient of L remains.
    """
    return _GlobalSum.apply(values) if distributed.is_initialized() else values


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the statistics of the batches of all processes; torch's own SyncBatchNorm does not run on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_full((1,), float(x.numel() // x.shape[1]))
        sums = global_sum(torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count]))
        channels, count = x.shape[1], sums[-1].detach()
        mean = sums[:channels] / count
        variance = sums[channels:-1] / count - mean.square()
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1.0), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (wide * scale[:, None, None] + shift[:, None, None]).to(x.dtype)


def globalise(model: nn.Module) -> None:
    """Turn every batch norm of `model` into a `GlobalBatchNorm2d`, in place; parameters and their names stay."""
    for layer in model.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = GlobalBatchNorm2d


class AllMaps(nn.Module):
    """Calls `forward_all` of the network that it holds: what DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 3, H, W) to logits (N, 1, H, W) of every supervised map."""
        maps: list[Tensor] = self.model.forward_all(x)  # type: ignore[operator]  # every network of ours has it
        return maps


def spread(model: nn.Module, world: World) -> nn.Module:
    """Return what to call in training: the maps of `model`, with gradients averaged over the world."""
    if world.size == 1:
        return AllMaps(model)
    globalise(model)
    return DistributedDataParallel(AllMaps(model), forward_sync_buffers=False)
