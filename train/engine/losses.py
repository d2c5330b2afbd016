"""The training loss: binary cross-entropy and Dice on every supervised map, void pixels left out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from train.engine.parallel import global_sum


def sky_loss(maps: list[Tensor], sky: Tensor, valid: Tensor) -> Tensor:
    """Return the sum of the BCEs of all maps (Qin et al. 2020, eq. 1) plus the Dice loss of the first.

    Parameters
    ----------
    maps
        Logits, each (N, 1, H, W); the first is the one that inference uses.
    sky, valid
        (N, 1, H, W) float: share of sky in [0, 1]; 1 where the label counts, 0 where it is void.
    """
    # Sums over a batch are too long for bfloat16, in which the maps come under autocast.
    first, *sides = (logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in maps)
    total = sum((masked_bce(logits, sky, valid) for logits in sides), masked_bce(first, sky, valid))
    return total + dice_loss(first, sky, valid)


def masked_bce(logits: Tensor, sky: Tensor, valid: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over valid pixels, of all processes where there are several."""
    each = functional.binary_cross_entropy_with_logits(logits, sky, weight=valid, reduction="sum")
    total, count = global_sum(torch.stack([each, valid.sum()]))
    return total / count.clamp_min(1.0)


def dice_loss(logits: Tensor, sky: Tensor, valid: Tensor) -> Tensor:
    """Return 1 - Dice over the whole batch (per picture it would be undefined where there is no sky)."""
    probability = torch.sigmoid(logits) * valid
    truth = sky * valid
    sums = torch.stack([(probability * truth).sum(), probability.sum(), truth.sum()])
    overlap, predicted, true = global_sum(sums)
    return 1.0 - (2.0 * overlap + 1.0) / (predicted + true + 1.0)
