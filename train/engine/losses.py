"""The training loss, void pixels left out, and the target of a student that learns from a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Loss = Literal["bce_dice", "bce", "dice"]


def sky_loss(maps: list[Tensor], sky: Tensor, valid: Tensor, kind: Loss = "bce_dice", boundary: float = 0.0) -> Tensor:
    """Return the loss of all supervised maps.

    `bce` is the sum of the BCEs of all maps (Qin et al. 2020, eq. 1), `dice` the sum of their Dice losses, and `bce_dice` the
    sum of the BCEs plus the Dice loss of the first map. `maps` are logits, each (N, 1, H, W); inference uses the first. `sky` is
    the share of sky in [0, 1], `valid` 1 where the label counts and 0 where it is void, both (N, 1, H, W) float.
    `boundary` is added to the weight of pixels near the label's edge, in the BCE alone: such weights in the Dice loss would move
    the edge outward.
    """
    # Sums over a batch are too long for bfloat16, in which the maps come under autocast.
    first, *sides = (logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in maps)
    each = dice_loss if kind == "dice" else masked_bce
    near = kind != "dice" and boundary > 0.0
    weight = valid * (1.0 + boundary * near_edges(sky, valid)) if near else valid
    total = sum((each(logits, sky, weight) for logits in sides), each(first, sky, weight))
    return total + dice_loss(first, sky, valid) if kind == "bce_dice" else total


def near_edges(sky: Tensor, valid: Tensor) -> Tensor:
    """Return 1 where the valid values of `sky` (N, 1, H, W) within 5 x 5 pixels differ by more than 0.3, else 0."""
    most_sky, most_other = (functional.max_pool2d(share * valid, 5, 1, 2) for share in (sky, 1.0 - sky))
    return (most_sky + most_other - 1.0 > 0.3).float()


def soft_target(sky: Tensor, valid: Tensor, opinion: Tensor, share: float) -> Tensor:
    """Mix `share` of a teacher's probability into the label; void pixels (`valid` 0) get the teacher's alone.

    Knowledge distillation (Hinton et al. 2015, section 2) for one class: BCE is linear in its target, so the BCE to this
    target is (1 - share) BCE(label) + share BCE(teacher).
    """
    return torch.where(valid > 0, (1.0 - share) * sky + share * opinion, opinion)


def soften_batch(batch: Sequence[Tensor], teacher: nn.Module, share: float, bf16: bool = False) -> list[Tensor]:
    """Replace the labels of a batch (image, sky, valid) by `soft_target` of the teacher's prediction; no pixel is void then."""
    image, sky, valid = batch
    if share == 0.0:
        return [image, sky, valid]
    with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        opinion = torch.sigmoid(teacher(image.contiguous(memory_format=torch.channels_last)).float())
    return [image, soft_target(sky, valid, opinion, share), torch.ones_like(valid)]


def masked_bce(logits: Tensor, sky: Tensor, weight: Tensor) -> Tensor:
    """Return the mean binary cross-entropy, pixels weighing `weight` (0: void)."""
    each = functional.binary_cross_entropy_with_logits(logits, sky, weight=weight, reduction="sum")
    return each / weight.sum().clamp_min(1.0)


def dice_loss(logits: Tensor, sky: Tensor, valid: Tensor) -> Tensor:
    """Return 1 - Dice over the whole batch (per image it is undefined where there is no sky)."""
    probability = torch.sigmoid(logits) * valid
    target = sky * valid
    overlap = (probability * target).sum()
    return 1.0 - (2.0 * overlap + 1.0) / (probability.sum() + target.sum() + 1.0)
