"""Conditions: the label still holds, sky stays apart from what is not sky, and chance comes from the generator alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.images.dataset import Labeled, find_pairs, read_pair
from train.data.augment import whole_view
from train.data.conditions import CONDITIONS, SHARES, under_condition

SIZE = 96


@pytest.fixture(scope="module")
def views(scene_dir: Path) -> list[Labeled]:
    return [whole_view(read_pair(pair), SIZE) for pair in find_pairs(scene_dir, "test")]


@pytest.fixture(scope="module")
def outdoors(views: list[Labeled]) -> list[Labeled]:
    found = [view for view in views if view.sky.mean() > 0.1]
    assert len(found) >= 5
    return found


@pytest.mark.parametrize("name", CONDITIONS)
def test_shapes_ranges_and_chance(name: str, views: list[Labeled]) -> None:
    for seed, view in enumerate(views):
        first, second = (CONDITIONS[name](view, np.random.default_rng(seed)) for _ in range(2))
        assert first.image.shape == (SIZE, SIZE, 3) and first.image.dtype == np.uint8
        assert first.sky.shape == (SIZE, SIZE) and first.sky.dtype == np.float32
        assert first.valid.shape == (SIZE, SIZE) and first.valid.dtype == bool
        assert np.isfinite(first.sky).all() and first.sky.min() >= 0.0 and first.sky.max() <= 1.0
        assert all(np.array_equal(getattr(first, part), getattr(second, part)) for part in ("image", "sky", "valid"))


@pytest.mark.parametrize("name", ["other_sky", "night", "fog"])
def test_light_changes_and_the_label_does_not(name: str, outdoors: list[Labeled]) -> None:
    for seed, view in enumerate(outdoors):
        changed = CONDITIONS[name](view, np.random.default_rng(seed))
        assert np.array_equal(changed.sky, view.sky) and np.array_equal(changed.valid, view.valid)
        assert np.abs(changed.image.astype(int) - view.image)[view.sky > 0.99].mean() > 3


@pytest.mark.parametrize("name", ["other_sky", "night", "fog"])
def test_nothing_happens_without_sky(name: str) -> None:
    view = Labeled(np.full((SIZE, SIZE, 3), 99, np.uint8), np.zeros((SIZE, SIZE), np.float32), np.ones((SIZE, SIZE), bool))
    assert np.array_equal(CONDITIONS[name](view, np.random.default_rng(0)).image, view.image)


def test_nights_are_dark(outdoors: list[Labeled]) -> None:
    means = [CONDITIONS["night"](view, np.random.default_rng(seed)).image.mean() for seed, view in enumerate(outdoors * 4)]
    assert np.median(means) < 80


def test_fog_takes_contrast_and_leaves_the_foreground(outdoors: list[Labeled]) -> None:
    for seed, view in enumerate(outdoors):
        foggy = CONDITIONS["fog"](view, np.random.default_rng(seed)).image.astype(float)
        assert foggy[view.sky > 0.99].std() <= view.image[view.sky > 0.99].std() + 2
        assert np.abs(foggy[-3:] - view.image[-3:]).mean() < 40


def test_no_old_sky_shines_through(outdoors: list[Labeled]) -> None:
    """With a bright red sky before, pixels that are half sky are not red after."""
    for seed, view in enumerate(outdoors[:4]):
        red = view.image.copy()
        mix = view.sky[..., None]
        red = np.rint(mix * np.array([255, 0, 0]) + (1 - mix) * 90).astype(np.uint8)
        changed = CONDITIONS["other_sky"](Labeled(red, view.sky, view.valid), np.random.default_rng(seed)).image.astype(int)
        edge = (view.sky > 0.4) & (view.sky < 0.95)
        plain = CONDITIONS["other_sky"](
            Labeled(np.full_like(red, 90), view.sky, view.valid), np.random.default_rng(seed)
        ).image.astype(int)
        assert np.abs(changed - plain)[edge].mean() < 12


def test_fisheye_moves_image_and_label_alike() -> None:
    """In an image that is white where there is sky, it still is; the rim is black, not sky, and counts."""
    sky = np.zeros((SIZE, SIZE), np.float32)
    sky[:40] = 1.0
    view = Labeled(np.repeat((sky * 255).astype(np.uint8)[..., None], 3, axis=2), sky, np.ones(sky.shape, bool))
    rims = 0
    for seed in range(20):
        bent = CONDITIONS["fisheye"](view, np.random.default_rng(seed))
        gray = bent.image.mean(axis=2) / 255.0
        assert np.abs(gray - bent.sky).max() < 0.06
        rims += bool((bent.sky[[0, 0, -1, -1], [0, -1, 0, -1]] == 0.0).all())
        assert bent.valid.all()
    assert rims >= 5


def test_every_condition_has_its_share(outdoors: list[Labeled]) -> None:
    assert SHARES.keys() == CONDITIONS.keys() and sum(SHARES.values()) < 0.5
    view, rng, count = outdoors[0], np.random.default_rng(0), 300
    changed = sum(under_condition(view, ("fog", "fisheye"), rng) is not view for _ in range(count))
    assert changed / count == pytest.approx(SHARES["fog"] + SHARES["fisheye"], abs=0.06)


def test_without_names_the_generator_is_not_touched(outdoors: list[Labeled]) -> None:
    rng = np.random.default_rng(3)
    assert under_condition(outdoors[0], (), rng) is outdoors[0]
    assert rng.random() == np.random.default_rng(3).random()
