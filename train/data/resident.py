"""Training images held in memory on the device that trains, for GPUs: a batch of views is a few tensor operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_runtime.images.dataset import Pair, read_pair
from train.data.augment import PLANES, Geometry, Views, relight, sample, whole_view
from train.data.balance import Balance, shares
from train.data.draws import Draws


class Resident:
    """Planes (N, 5, side, side) uint8 of N images on one device; `shares` (N,) draws from them.

    Every batch is a pure function of (seed, step) on one kind of device.
    """

    def __init__(self, planes: Tensor, shares: Tensor, conditions: Sequence[str] = ()) -> None:
        self.planes, self.shares, self.conditions = planes, shares, conditions

    def views(self, size: int, count: int, seed: int, step: int) -> Views:
        """Return `count` random views."""
        draws = Draws(seed * 1_000_003 + step, self.planes.device)
        drawn = torch.multinomial(self.shares, count, replacement=True, generator=draws.rng)
        geometry = Geometry.draw(count, draws, "fisheye" in self.conditions)
        return relight(sample(self.planes[drawn].float() / 255.0, geometry, size), draws, self.conditions)


def keep_in_memory(
    pairs: Sequence[Pair], side: int, device: torch.device, balance: Balance, conditions: Sequence[str]
) -> Resident:
    """Read `pairs`, stretch each to (side, side) and keep them on `device`: 5 side^2 bytes for each."""
    planes = torch.empty(len(pairs), PLANES, side, side, dtype=torch.uint8)
    for index, pair in enumerate(pairs):
        planes[index] = (whole_view(read_pair(pair), side) * 255.0).round().to(torch.uint8)
    weights = torch.from_numpy(shares(pairs, balance)).float()
    return Resident(planes.to(device), weights.to(device), conditions)
