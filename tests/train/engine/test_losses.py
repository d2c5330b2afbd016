"""The training loss: by hand, and blind to void."""

from __future__ import annotations

import math

import pytest
import torch

from train.engine.losses import dice_loss, masked_bce, near_edges, sky_loss, soft_target

pytestmark = pytest.mark.slow


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 8, 8, generator=generator)
    sky = (torch.rand(2, 1, 8, 8, generator=generator) > 0.5).float()
    valid = (torch.rand(2, 1, 8, 8, generator=generator) > 0.3).float()
    return logits, sky, valid


def test_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 0.0]]]])
    sky = torch.tensor([[[[1.0, 0.0]]]])
    valid = torch.ones_like(sky)
    assert masked_bce(logits, sky, valid).item() == pytest.approx(math.log(2.0))
    assert dice_loss(logits, sky, valid).item() == pytest.approx(1.0 - (2 * 0.5 + 1) / (1.0 + 1.0 + 1.0))
    assert masked_bce(logits, sky, torch.tensor([[[[1.0, 0.0]]]])).item() == pytest.approx(math.log(2.0))


def test_kinds_of_loss() -> None:
    """Two maps: BCE counts both and Dice the first by default; a Dice loss alone counts both."""
    logits, sky, valid = sample()
    bce, dice = masked_bce(logits, sky, valid), dice_loss(logits, sky, valid)
    assert torch.isclose(sky_loss([logits, logits], sky, valid), 2 * bce + dice)
    assert torch.isclose(sky_loss([logits, logits], sky, valid, "bce"), 2 * bce)
    assert torch.isclose(sky_loss([logits, logits], sky, valid, "dice"), 2 * dice)


def test_soft_target_is_the_mix_and_fills_void() -> None:
    sky, valid, opinion = (torch.tensor(values) for values in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.7]))
    assert torch.allclose(soft_target(sky, valid, opinion, 0.2), torch.tensor([0.9, 0.1, 0.7]))


def test_void_pixels_have_no_effect() -> None:
    logits, sky, valid = sample()
    wild_logits = torch.where(valid > 0, logits, torch.full_like(logits, 30.0))
    wild_sky = torch.where(valid > 0, sky, 1.0 - sky)
    assert torch.equal(sky_loss([logits, logits], sky, valid), sky_loss([wild_logits, wild_logits], wild_sky, valid))
    logits.requires_grad_()
    sky_loss([logits], sky, valid).backward()
    assert logits.grad is not None
    assert (logits.grad[valid == 0] == 0).all() and (logits.grad[valid == 1] != 0).all()


def test_edges_weigh_more_in_the_cross_entropy_alone() -> None:
    sky, valid, logits = torch.zeros(1, 1, 4, 16), torch.ones(1, 1, 4, 16), torch.zeros(1, 1, 4, 16)
    sky[..., 8:] = 1.0
    edge = near_edges(sky, valid)
    assert edge[0, 0, 0].tolist() == [0.0] * 6 + [1.0] * 4 + [0.0] * 6
    expected = masked_bce(logits, sky, 1 + 3 * edge) + dice_loss(logits, sky, valid)
    assert sky_loss([logits], sky, valid, boundary=3.0).item() == pytest.approx(expected.item())
    half = torch.where(sky > 0, 0.0, valid)  # with the sky void there is no edge, whatever the label says there
    assert not near_edges(sky, half).any() and not near_edges(1.0 - sky, half).any()


def test_all_void_is_finite_and_still() -> None:
    logits, sky, _ = sample()
    logits.requires_grad_()
    loss = sky_loss([logits, logits], sky, torch.zeros_like(sky))
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and not logits.grad.any()


def test_all_maps_are_supervised_and_dice_counts_for_the_first() -> None:
    logits, sky, valid = sample()
    other, _, _ = sample(1)
    expected = masked_bce(logits, sky, valid) + 2 * masked_bce(other, sky, valid) + dice_loss(logits, sky, valid)
    assert sky_loss([logits, other, other], sky, valid).item() == pytest.approx(expected.item())


def test_right_is_better_than_wrong_and_no_sky_is_learnt() -> None:
    _, sky, valid = sample()
    right = (sky * 2 - 1) * 20
    assert sky_loss([right], sky, valid).item() < 1e-3 < 10 < sky_loss([-right], sky, valid).item()
    empty = torch.zeros_like(sky)
    quiet, loud = torch.full_like(sky, -20.0), torch.full_like(sky, 2.0)
    assert sky_loss([quiet], empty, valid).item() < 1e-3 < sky_loss([loud], empty, valid).item()


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, sky, valid = sample()
    loss = sky_loss([logits.bfloat16()], sky, valid)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(sky_loss([logits.bfloat16().float()], sky, valid).item())
