"""Conditions: sky stays apart from what is not sky, and chance comes from the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edge_runtime.images.dataset import find_pairs, read_pair
from train.data.augment import split, whole_view
from train.data.conditions import CHANGES, MIN_SKY, change_some
from train.data.draws import Draws

SIZE = 96


def changed(name: str, image: Tensor, sky: Tensor, seed: int = 0) -> Tensor:
    return CHANGES[name][1](image, sky, Draws(seed, torch.device("cpu")))


@pytest.fixture(scope="module")
def outdoors(scene_dir: Path) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) with sky and their shares of it."""
    planes = torch.stack([whole_view(read_pair(pair), SIZE) for pair in find_pairs(scene_dir, "test")])
    image, sky, _ = split(planes)
    chosen = sky.mean((1, 2, 3)) > 0.1
    assert chosen.sum() >= 5
    return image[chosen], sky[chosen]


@pytest.mark.parametrize("name", CHANGES)
def test_light_changes_and_chance_is_the_seed(name: str, outdoors: tuple[Tensor, Tensor]) -> None:
    image, sky = outdoors
    first, again, other = (changed(name, image, sky, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == image.shape and first.isfinite().all() and first.min() >= 0.0 and first.max() <= 1.0
    for one, before, share in zip(first, image, sky, strict=True):
        assert (one - before).abs()[share.expand_as(one) > 0.99].mean() > 3 / 255


def test_nothing_happens_without_sky() -> None:
    image, sky = torch.full((64, 3, SIZE, SIZE), 0.4), torch.zeros(64, 1, SIZE, SIZE)
    sky[:, :, 0, : int(MIN_SKY * SIZE)] = 1.0  # less than MIN_SKY of the image
    assert torch.equal(change_some(image, sky, Draws(0, torch.device("cpu")), tuple(CHANGES)), image)


def test_nights_are_dark(outdoors: tuple[Tensor, Tensor]) -> None:
    image, sky = outdoors
    means = torch.cat([changed("night", image, sky, seed).mean((1, 2, 3)) for seed in range(4)])
    assert means.median() < 80 / 255


def test_fog_takes_contrast_and_leaves_the_foreground(outdoors: tuple[Tensor, Tensor]) -> None:
    image, sky = outdoors
    for foggy, before, share in zip(changed("fog", image, sky), image, sky, strict=True):
        above = share.expand_as(before) > 0.99
        assert foggy[above].std() <= before[above].std() + 2 / 255
        assert (foggy[:, -3:] - before[:, -3:]).abs().mean() < 40 / 255


def test_no_old_sky_shines_through(outdoors: tuple[Tensor, Tensor]) -> None:
    """With a bright red sky before, pixels that are half sky are not red after."""
    _, sky = outdoors
    plain = torch.full((len(sky), 3, SIZE, SIZE), 90 / 255)
    red = torch.lerp(plain, torch.tensor([1.0, 0.0, 0.0])[:, None, None], sky)
    edge = ((sky > 0.4) & (sky < 0.95)).expand_as(red)
    assert (changed("other_sky", red, sky) - changed("other_sky", plain, sky)).abs()[edge].mean() < 12 / 255


@pytest.mark.parametrize("names", [("fog", "fisheye"), tuple(CHANGES)])
def test_every_condition_has_its_share(names: Sequence[str], outdoors: tuple[Tensor, Tensor]) -> None:
    image, sky = (each[:1].expand(300, -1, -1, -1) for each in outdoors)
    after = change_some(image, sky, Draws(0, torch.device("cpu")), names)
    share = (after != image).flatten(1).any(1).float().mean()
    assert float(share) == pytest.approx(sum(CHANGES[name][0] for name in names if name in CHANGES), abs=0.06)


def test_without_names_the_generator_is_not_touched(outdoors: tuple[Tensor, Tensor]) -> None:
    draws, fresh = (Draws(3, torch.device("cpu")) for _ in range(2))
    assert change_some(*outdoors, draws, ()) is outdoors[0]
    assert torch.equal(draws.uniform(0.0, 1.0, 3), fresh.uniform(0.0, 1.0, 3))
