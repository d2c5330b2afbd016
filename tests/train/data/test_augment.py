"""Random views: seeded, of the right shape, and the label stays on its pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_runtime.images.dataset import Labeled, find_pairs, read_pair
from edge_runtime.images.mask_file import VOID
from edge_runtime.images.resize import resize_rgb
from scenes.render import generate
from train.data.augment import Geometry, jpeg, random_view, sample, split, to_input, whole_view
from train.data.conditions import CONDITIONS
from train.data.draws import Draws
from train.data.resident import Resident


def white_sky(height: int = 90, width: int = 120, row: int = 40) -> Labeled:
    """White above `row`, black below, sky where it is white."""
    sky = np.zeros((height, width), np.float32)
    sky[:row] = 1.0
    image = np.repeat((sky * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    return Labeled(image, sky, np.ones(sky.shape, dtype=bool))


@dataclass(frozen=True)
class View:
    """A view as arrays: image (H, W, 3) in 0..255, sky and valid (H, W)."""

    image: np.ndarray
    sky: np.ndarray
    valid: np.ndarray


def as_arrays(image: torch.Tensor, sky: torch.Tensor, valid: torch.Tensor) -> list[View]:
    pixels = (image * 128 + 127).permute(0, 2, 3, 1).numpy()
    return [View(*parts) for parts in zip(pixels, sky[:, 0].numpy(), valid[:, 0].numpy() > 0, strict=True)]


def views(pair: Labeled, count: int, size: int = 64) -> list[View]:
    return [as_arrays(*random_view(pair, size, seed))[0] for seed in range(count)]


def resident_views(pair: Labeled, count: int, size: int = 64, conditions: Sequence[str] = ()) -> list[View]:
    planes = (whole_view(pair, 2 * size)[None] * 255).round().to(torch.uint8)
    return as_arrays(*Resident(planes, torch.ones(1), conditions).views(size, count, 0, 0))


def whole(pair: Labeled, size: int) -> View:
    image, sky, valid = split(whole_view(pair, size)[None])
    return as_arrays(to_input(image), sky, valid)[0]


@pytest.mark.parametrize("shape", [(90, 120), (33, 200), (7, 5), (1, 1)])
def test_shapes_and_ranges(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pair = Labeled(
        rng.integers(0, 256, (*shape, 3), dtype=np.uint8), rng.random(shape, dtype=np.float32), rng.random(shape) > 0.2
    )
    for view in [*views(pair, 20), *resident_views(pair, 20, conditions=CONDITIONS), whole(pair, 64)]:
        assert view.image.shape == (64, 64, 3) and np.allclose(view.image, np.rint(view.image), atol=1e-3)
        assert view.image.min() >= -1e-3 and view.image.max() < 255.01
        assert view.sky.shape == (64, 64) and view.sky.dtype == np.float32
        assert view.valid.shape == (64, 64)
        assert np.isfinite(view.sky).all() and view.sky.min() >= 0.0 and view.sky.max() <= 1.0


def test_the_seed_is_the_only_chance() -> None:
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


@pytest.mark.parametrize("make", [views, resident_views])
def test_the_label_follows_the_image(make: Callable[[Labeled, int], list[View]]) -> None:
    """In an image that is white where there is sky, brightness tells sky in every view, however turned and cropped."""
    seen = 0
    for view in make(white_sky(), 60):
        gray = view.image.mean(axis=2)
        sure_sky, sure_other = view.sky > 0.95, view.sky < 0.05
        if sure_sky.any() and sure_other.any() and view.image.mean() > 20:  # not the darkest nights
            assert np.median(gray[sure_sky]) > np.median(gray[sure_other]) + 8
            middle = (np.median(gray[sure_sky]) + np.median(gray[sure_other])) / 2
            wrong = ((gray > middle) != (view.sky > 0.5)) & (sure_sky | sure_other)
            assert wrong.mean() < 0.02
            seen += 1
    assert seen > 30


def test_a_lens_moves_image_and_label_alike() -> None:
    """In an image that is white where there is sky, it still is; the rim is black, not sky, and counts."""
    geometry = Geometry.draw(200, Draws(0, torch.device("cpu")), fisheye=True)
    bent = geometry.lens[:, 0, 0] > 0
    assert 0.02 < bent.float().mean() < 0.15
    assert not Geometry.draw(200, Draws(0, torch.device("cpu")), fisheye=False).lens.any()
    planes = whole_view(white_sky(), 96)[None].expand(200, -1, -1, -1)
    rims = 0
    image, sky, valid = sample(planes, geometry, 96)
    for view in as_arrays(to_input(image), sky, valid):
        assert np.abs(view.image.mean(axis=2) / 255.0 - view.sky).max() < 0.06
        assert view.valid.all()
        rims += bool((view.sky[[0, 0, -1, -1], [0, -1, 0, -1]] == 0.0).all() and (view.image[0, 0] == 0.0).all())
    assert rims >= 3


def test_compression_is_that_of_jpeg() -> None:
    """Beside libjpeg at the same quality: as near to the image, and the same blocks."""
    image = generate(3, (64, 96)).image
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255.0

    class Quality30(Draws):
        def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
            return torch.full(shape, 30.0)

    ours = np.rint(jpeg(tensor, Quality30(0, torch.device("cpu")))[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255)
    packed = io.BytesIO()
    Image.fromarray(image).save(packed, "JPEG", quality=30)
    theirs = np.asarray(Image.open(packed).convert("RGB")).astype(float)
    lost, ours_lost = (np.abs(each - image).mean() for each in (theirs, ours))
    assert ours_lost == pytest.approx(lost, rel=0.1) and np.abs(ours - theirs).mean() < 0.35 * lost


def test_void_never_leaks_into_the_label() -> None:
    """Void is stored as 128 / 255. Mixed into its neighbors it would show as other values in an all-sky image."""
    pair = Labeled(np.full((90, 120, 3), 200, np.uint8), np.full((90, 120), 1.0, np.float32), np.ones((90, 120), dtype=bool))
    pair.sky[20:50, 30:70] = VOID / 255
    pair.valid[20:50, 30:70] = False
    shares = []
    for view in [*views(pair, 60), *resident_views(pair, 60), whole(pair, 64)]:
        assert (view.sky[view.valid] > 0.98).all()
        shares.append(1.0 - view.valid.mean())
    assert shares[-1] == pytest.approx(30 * 40 / (90 * 120), abs=0.01)
    assert 0 < np.mean(shares) < 0.3


def test_all_void() -> None:
    pair = white_sky()
    void = Labeled(pair.image, pair.sky, np.zeros_like(pair.valid))
    assert not any(view.valid.any() for view in [*views(void, 20), *resident_views(void, 20), whole(void, 64)])


def test_whole_view_is_what_inference_sees() -> None:
    labels = white_sky(77, 101)
    noise = np.random.default_rng(3).integers(0, 256, (77, 101, 3), dtype=np.uint8)
    pair = Labeled(noise, labels.sky, labels.valid)
    assert np.array_equal(np.rint(whole(pair, 64).image), resize_rgb(pair.image, 64, 64))
    assert whole(pair, 64).sky.mean() == pytest.approx(pair.sky.mean(), abs=0.005)


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
