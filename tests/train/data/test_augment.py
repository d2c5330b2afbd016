"""Random views: seeded, of the right shape, and the label stays on its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.images.dataset import Labeled, find_pairs, read_pair
from edge_runtime.images.mask_file import VOID
from edge_runtime.images.resize import resize_rgb
from train.data.augment import random_view, whole_view


def white_sky(height: int = 90, width: int = 120, row: int = 40) -> Labeled:
    """White above `row`, black below, sky where it is white."""
    sky = np.zeros((height, width), np.float32)
    sky[:row] = 1.0
    image = np.repeat((sky * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    return Labeled(image, sky, np.ones(sky.shape, dtype=bool))


def views(pair: Labeled, count: int, size: int = 64) -> list[Labeled]:
    return [random_view(pair, size, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("shape", [(90, 120), (33, 200), (7, 5), (1, 1)])
def test_shapes_and_ranges(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pair = Labeled(
        rng.integers(0, 256, (*shape, 3), dtype=np.uint8), rng.random(shape, dtype=np.float32), rng.random(shape) > 0.2
    )
    for view in [*views(pair, 20), whole_view(pair, 64)]:
        assert view.image.shape == (64, 64, 3) and view.image.dtype == np.uint8 and view.image.flags.c_contiguous
        assert view.sky.shape == (64, 64) and view.sky.dtype == np.float32 and view.sky.flags.c_contiguous
        assert view.valid.shape == (64, 64) and view.valid.dtype == bool
        assert np.isfinite(view.sky).all() and view.sky.min() >= 0.0 and view.sky.max() <= 1.0


def test_the_generator_is_the_only_chance() -> None:
    pair = white_sky()
    for first, second in zip(views(pair, 5), views(pair, 5), strict=True):
        for name in ("image", "sky", "valid"):
            assert np.array_equal(getattr(first, name), getattr(second, name))
    images = {view.image.tobytes() for view in views(pair, 10)}
    assert len(images) == 10


def test_the_pair_is_left_as_it_was() -> None:
    pair, copy = white_sky(), white_sky()
    views(pair, 20)
    for name in ("image", "sky", "valid"):
        assert np.array_equal(getattr(pair, name), getattr(copy, name))


def test_the_label_follows_the_image() -> None:
    """In an image that is white where there is sky, brightness tells sky in every view, however turned and cropped."""
    seen = 0
    for view in views(white_sky(), 60):
        gray = view.image.mean(axis=2)
        sure_sky, sure_other = view.sky > 0.95, view.sky < 0.05
        if sure_sky.any() and sure_other.any() and view.image.mean() > 20:  # not the darkest nights
            assert np.median(gray[sure_sky]) > np.median(gray[sure_other]) + 8
            middle = (np.median(gray[sure_sky]) + np.median(gray[sure_other])) / 2
            wrong = ((gray > middle) != (view.sky > 0.5)) & (sure_sky | sure_other)
            assert wrong.mean() < 0.02
            seen += 1
    assert seen > 30


def test_void_never_leaks_into_the_label() -> None:
    """Void is stored as 128 / 255. Mixed into its neighbors it would show as other values in an all-sky image."""
    pair = Labeled(np.full((90, 120, 3), 200, np.uint8), np.full((90, 120), 1.0, np.float32), np.ones((90, 120), dtype=bool))
    pair.sky[20:50, 30:70] = VOID / 255
    pair.valid[20:50, 30:70] = False
    shares = []
    for view in [*views(pair, 60), whole_view(pair, 64)]:
        assert (view.sky[view.valid] > 0.98).all()
        shares.append(1.0 - view.valid.mean())
    assert shares[-1] == pytest.approx(30 * 40 / (90 * 120), abs=0.01)
    assert 0 < np.mean(shares) < 0.3


def test_all_void() -> None:
    pair = white_sky()
    void = Labeled(pair.image, pair.sky, np.zeros_like(pair.valid))
    assert not any(view.valid.any() for view in [*views(void, 20), whole_view(void, 64)])


def test_whole_view_is_what_inference_sees() -> None:
    labels = white_sky(77, 101)
    noise = np.random.default_rng(3).integers(0, 256, (77, 101, 3), dtype=np.uint8)
    pair = Labeled(noise, labels.sky, labels.valid)
    assert np.array_equal(whole_view(pair, 64).image, resize_rgb(pair.image, 64, 64))
    assert whole_view(pair, 64).sky.mean() == pytest.approx(pair.sky.mean(), abs=0.005)


def test_views_vary_in_place_and_light() -> None:
    found = views(white_sky(row=45), 80)
    shares = [float(view.sky.mean()) for view in found]
    assert min(shares) < 0.4 and max(shares) > 0.6
    levels = [float(view.image[view.sky > 0.95].mean()) for view in found if (view.sky > 0.95).any()]
    assert np.std(levels) > 5


def test_real_images(sky_data: Path) -> None:
    pairs = find_pairs(sky_data, "val")
    for pair in pairs[:: len(pairs) // 5]:
        labeled = read_pair(pair)
        for view in views(labeled, 3, 96):
            assert view.valid.any() or not labeled.valid.all()
