"""Views made in batches: the same for the same step, labels that follow their images, and images drawn as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.images.dataset import Pair
from train.data.balance import SHARES, condition, divide
from train.data.resident import Resident


def pair(name: str, source: str, scene: str) -> Pair:
    return Pair(name, Path(name), None, source, scene, name)


@pytest.fixture(scope="module")
def held() -> Resident:
    """Two images: sky is the blue upper half of one, and nowhere in the other, whose left half is void."""
    planes = torch.full((2, 5, 64, 64), 60, dtype=torch.uint8)
    planes[:, 3], planes[:, 4] = 0, 255
    planes[0, 2, :32] = 250
    planes[0, 3, :32] = 255
    planes[1, 4, :, :32] = 0
    return Resident(planes, torch.tensor([1.0, 1.0]), ("night", "fisheye"))


def test_views_are_a_function_of_seed_and_step(held: Resident) -> None:
    first, again, other = (held.views(32, 4, seed, 5) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_labels_follow_their_images(held: Resident) -> None:
    image, sky, valid = held.views(32, 256, 0, 0)
    assert image.shape == (256, 3, 32, 32) and sky.shape == valid.shape == (256, 1, 32, 32)
    assert float(image.min()) >= -127 / 128 and float(image.max()) <= 1.0
    assert float(sky.min()) >= 0.0 and float(sky.max()) <= 1.0 and set(valid.unique().tolist()) == {0.0, 1.0}
    blue = (image[:, 2:] - image[:, :1]) > 0.3  # at night and in gray views nothing is blue
    assert (blue & (valid == 1)).sum() > 10_000
    assert float(sky[blue & (valid == 1)].mean()) > 0.95


def test_images_are_drawn_by_their_shares() -> None:
    planes = torch.zeros(2, 5, 32, 32, dtype=torch.uint8)
    planes[1, 3], planes[:, 4] = 255, 255
    held = Resident(planes, torch.tensor([0.0, 1.0]))
    assert float(held.views(32, 16, 0, 0)[1].min()) == 1.0


def test_conditions_come_from_the_manifest() -> None:
    assert condition(pair("a", "webcams", "harbor by night"), 0.3) == "night"
    assert condition(pair("b", "webcams", "harbor by night"), 0.0) == "no sky"
    assert condition(pair("c", "webcams", "unlabeled night"), 0.3) == "unlabeled"
    assert condition(pair("d", "scenes", ""), 0.3) == "scenes"
    assert condition(pair("e", "camvid", "driving"), 0.3) == "street"
    assert condition(pair("f", "msrc21", "sheep"), 0.3) == "other"


def test_shares_by_condition() -> None:
    groups = [("night", "one"), ("street", "one"), ("street", "two"), ("street", "two")]
    night, street = 0.15 / 0.33, 0.18 / 0.33
    root = 2**0.5
    expected = [night, street / (1 + root), street * root / (1 + root) / 2, street * root / (1 + root) / 2]
    assert np.allclose(divide(groups, SHARES), expected)
