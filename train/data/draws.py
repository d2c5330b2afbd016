"""Chance on one device: the same seed gives the same numbers there."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Draws:
    """A generator on a device, and the draws that augmentation needs."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.rng = torch.Generator(device).manual_seed(seed)
        self.device = device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return float32 numbers between `low` and `high`."""
        return torch.rand(shape, generator=self.rng, device=self.device).mul_(high - low).add_(low)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Return float32 normal numbers around 0."""
        return torch.randn(shape, generator=self.rng, device=self.device).mul_(deviation)

    def integers(self, below: int, *shape: int) -> Tensor:
        """Return int64 numbers from 0 to `below` - 1."""
        return torch.randint(below, shape, generator=self.rng, device=self.device)

    def on_some(self, x: Tensor, share: float, change: Callable[[Tensor, Draws], Tensor]) -> Tensor:
        """Return `x` (N, ...) with `change` done to a share of its N rows, which alone are computed."""
        rows = (self.uniform(0.0, 1.0, len(x)) < share).nonzero()[:, 0]
        if len(rows) in (0, len(x)):
            return change(x, self) if len(rows) else x
        return x.index_copy(0, rows, change(x[rows], self))
