"""Refinement: its equations, odd input, what it gains on scenes with exact masks, what it must not damage, the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import edge_runtime.masks.refine as refinement
from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.color_density import color_bin, color_density
from edge_runtime.masks.refine import RefineConfig, confidence, refine, solve_symmetric
from edge_runtime.segment.run import Segment, main
from edge_runtime.segmenter import Segmenter
from scenes.render import Scene, generate

PLAIN = RefineConfig(density=False, guard=False)
METHODS = (RefineConfig(), RefineConfig(density=False), RefineConfig(guard=False), PLAIN, RefineConfig(method="guided"))
GRAY = np.full((30, 40, 3), 90, np.uint8)


def coarse(alpha: np.ndarray, side: int = 64) -> np.ndarray:
    """Return what a perfect network of that input size would give."""
    return np.clip(cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA), 0, 1)


def iou(probability: np.ndarray, alpha: np.ndarray) -> float:
    called, truth = probability >= 0.5, alpha >= 0.5
    return np.count_nonzero(called & truth) / np.count_nonzero(called | truth)


@pytest.fixture(scope="module")
def trees() -> list[Scene]:
    """Return scenes with branches: seeds on which no setting was chosen."""
    return [generate(seed, (480, 640), "trees", "clear") for seed in (800_001, 800_002, 800_003)]


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("config", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (299, 2), (97, 131), (64, 64), (33, 1500)])
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_a_constant_map_stays(
    config: RefineConfig, shape: tuple[int, int], value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All-sky and no-sky maps stay exactly that, also where the image is larger than the working image."""
    monkeypatch.setattr(refinement, "WORK_SIDE", 500)
    found = refine(noise(shape), np.full((16, 24), value, np.float32), config)
    assert found.shape == shape and found.dtype == np.float32
    assert np.abs(found - value).max() <= (0 if value in (0.0, 1.0) else 2e-3)


def test_a_gray_image_and_one_without_any_edge() -> None:
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1))
    gray = np.repeat(np.rint(255 * ramp).astype(np.uint8)[..., None], 3, 2)
    step = (ramp > 0.5).astype(np.float32)
    for config in METHODS:
        for image in (gray, GRAY):
            found = refine(image, step, config)
            assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert np.abs(refine(GRAY, step) - step).mean() < 0.02  # color says nothing: the map comes back


def test_a_linear_model_is_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where p = A . I + b holds, also between the samples, the fit finds it: all that is lost is eps."""
    y, x = np.mgrid[:128, :192].astype(np.float32)
    image = np.dstack([100 + 50 * np.sin(x / 9), 120 + 60 * np.sin(y / 7 + 1), 90 + 40 * np.sin((x + y) / 11)])
    image = np.rint(image).astype(np.uint8)
    truth = (image.astype(np.float32) / 255) @ np.array([0.9, -0.5, 0.3], np.float32) + 0.3
    assert truth.min() > 0 and truth.max() < 1
    assert np.abs(refine(image, truth.astype(np.float32), PLAIN) - truth).mean() < 5e-3  # with EPS as it ships
    monkeypatch.setattr(refinement, "EPS", 1e-3)
    assert np.abs(refine(image, truth.astype(np.float32), PLAIN) - truth).max() < 5e-3


def test_the_closed_form_is_numpys_solution() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(500, 3, 3))
    matrices = root @ root.transpose(0, 2, 1) + 1e-4 * np.eye(3)
    right = rng.normal(size=(500, 3))
    found = solve_symmetric([matrices[:, i, j] for i in range(3) for j in range(i, 3)], list(right.T))
    wanted = np.linalg.solve(matrices, right[..., None])[..., 0]
    assert np.allclose(np.stack(found, 1), wanted, rtol=1e-6, atol=1e-6)


def test_confidence_is_the_papers() -> None:
    p = np.array([0.0, 0.15, 0.3, 0.4, 0.5, 0.75, 1.0])
    half = 0.5 / ((1 / 0.8 - 2) * 0.5 + 1)
    assert np.allclose(confidence(p), [1, half, 0.01, 0.01, 0.01, half, 1])


@pytest.mark.parametrize("sigma", [0.02, 0.04])
def test_density_is_the_brute_force_sum(trees: list[Scene], sigma: float) -> None:
    """Against p_i = mean_j exp(-|I_i - I_j|^2 / 2 sigma^2), the square dividing, for the colors of a scene.

    The sums themselves, and what they decide: the share of the sky's density in both.
    """
    scene = trees[0]
    rng = np.random.default_rng(0)
    asked = scene.image.reshape(-1, 3)[rng.choice(scene.alpha.size, 1000, replace=False)]
    found, wanted = [], []
    for part in (scene.image[scene.alpha > 0.99], scene.image[scene.alpha < 0.01]):
        samples = part[rng.choice(len(part), 1024, replace=False)]
        square = ((asked[:, None].astype(float) - samples[None].astype(float)) ** 2).sum(-1) / 255**2
        wanted.append(np.exp(-square / (2 * sigma**2)).mean(1))
        found.append(color_density(samples, sigma)[color_bin(asked)])
        error, top = np.abs(found[-1] - wanted[-1]), wanted[-1].max()
        assert top > 0.02 and error.mean() < 0.05 * top and error.max() < 0.3 * top
    shares = [(sky + 1e-4) / (sky + other + 2e-4) for sky, other in (found, wanted)]
    assert np.abs(shares[0] - shares[1]).mean() < 0.005


@pytest.mark.parametrize("config", METHODS)
def test_a_flipped_image_gives_the_flipped_mask(trees: list[Scene], config: RefineConfig) -> None:
    """Exactly in the equations where the grid fits the image; here up to rounding."""
    image, p = trees[1].image, coarse(trees[1].alpha)
    found = refine(image, p, config)
    for turn in (np.fliplr, np.flipud):
        turned = refine(np.ascontiguousarray(turn(image)), np.ascontiguousarray(turn(p)), config)
        assert np.abs(turn(turned) - found).max() < 2e-3


@pytest.mark.parametrize("work_side", [300, 500, 2000])
def test_strips_join_and_padding_and_the_size_of_the_map_do_not_matter(
    trees: list[Scene], work_side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = cv2.resize(trees[0].image, (1283, 961), interpolation=cv2.INTER_CUBIC)  # no factor divides these sides
    p = coarse(trees[0].alpha)
    monkeypatch.setattr(refinement, "WORK_SIDE", work_side)
    found = refine(image, p)
    monkeypatch.setattr(refinement, "STRIP_PIXELS", 1 << 30)  # one strip
    assert np.abs(refine(image, p) - found).max() < 1e-5
    monkeypatch.setattr(refinement, "STRIP_PIXELS", 1)  # the narrowest
    assert np.abs(refine(image, p) - found).max() < 1e-5
    full = refine(image, resize_probability(p, 961, 1283))
    assert np.abs(full - found).mean() < 3e-3
    fitting = refine(cv2.resize(image, (1280, 960), interpolation=cv2.INTER_AREA), p)
    assert np.abs(resize_probability(fitting, 961, 1283) - found).mean() < 0.02


def test_bad_input_is_refused() -> None:
    p = np.full((8, 8), 0.5, np.float32)
    broken = p.copy()
    broken[2, 3] = np.nan
    for image, probability, message in (
        (GRAY, broken, "nan.*look for NaN"),
        (GRAY, p * 3, "expected 0..1"),
        (GRAY, -p, "expected 0..1"),
        (GRAY, p[..., None], r"expected float \(h, w\)"),
        (GRAY, (p * 255).astype(np.uint8), "divide 8-bit masks by 255"),
        (GRAY, p[:0], r"expected float \(h, w\)"),
        (GRAY[..., 0], p, r"expected uint8 \(H, W, 3\)"),
        (GRAY.astype(np.float32), p, r"expected uint8 \(H, W, 3\)"),
    ):
        with pytest.raises(InputError, match=message):
            refine(image, probability)


def test_the_input_is_left_alone(trees: list[Scene]) -> None:
    image, p = trees[0].image.copy(), coarse(trees[0].alpha)
    before = p.copy()
    refine(image, p)
    assert np.array_equal(image, trees[0].image) and np.array_equal(p, before)


def test_refined_beats_bilinear_and_the_plain_guided_filter_on_branches(trees: list[Scene]) -> None:
    """On every scene; and density on beats off."""

    def error(scene: Scene, config: RefineConfig | None) -> float:
        p = coarse(scene.alpha)
        found = resize_probability(p, *scene.alpha.shape) if config is None else refine(scene.image, p, config)
        return float(np.abs(found - scene.alpha).mean())

    for scene in trees:
        best = error(scene, RefineConfig())
        assert best < 0.75 * error(scene, None)
        assert best < 0.75 * error(scene, RefineConfig(method="guided"))
        assert best < 0.75 * error(scene, RefineConfig(density=False))


def white_tower(contrast: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (400, 600, 3) of a tower and a house before an overcast sky, and its sky (400, 600).

    The walls' color is `contrast` levels from the sky's; the windows and the street are dark, the sensor is noisy.
    """
    sky = np.zeros((400, 600), np.float32)
    sky[:300] = 1
    sky[80:, 200:290] = 0
    sky[180:, 350:] = 0
    image = np.full((400, 600, 3), (228, 231, 234), np.float32)
    image[sky == 0] -= contrast
    for x in range(365, 590, 30):
        image[210:230, x : x + 14] = image[250:270, x : x + 14] = 60
    image[300:] = (95, 92, 90)
    image += np.random.default_rng(2).normal(0, 2, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), sky


@pytest.mark.parametrize("contrast", [0, 2, 5, 10])
@pytest.mark.parametrize("side", [64, 128])
def test_walls_of_the_skys_color_are_not_damaged(contrast: int, side: int) -> None:
    """The guard: never more than half a point of IoU below the unrefined mask; without it, and in the plain filter, more."""
    image, sky = white_tower(contrast)
    p = cv2.GaussianBlur(coarse(sky, side), (0, 0), 1.5)
    before = iou(resize_probability(p, *sky.shape), sky)
    assert iou(refine(image, p), sky) > before - 0.005
    if contrast == 0:
        assert iou(refine(image, p, RefineConfig(guard=False)), sky) < before - 0.005
        assert iou(refine(image, p, RefineConfig(method="guided")), sky) < before - 0.005


def test_walls_of_another_color_are_sharpened() -> None:
    image, sky = white_tower(70)
    p = cv2.GaussianBlur(coarse(sky), (0, 0), 1.5)
    assert iou(refine(image, p), sky) > iou(resize_probability(p, *sky.shape), sky) + 0.003


@pytest.mark.slow
def test_segment_refine(artifacts: dict[str, Path], trees: list[Scene], tmp_path: Path) -> None:
    """The command: masks of the image's size that follow its edges, remade by --resume where the option differs."""
    model, image_dir = artifacts["onnx-fp32"], tmp_path / "image_dir"
    image_dir.mkdir()
    for number, scene in enumerate(trees):
        Image.fromarray(scene.image).save(image_dir / f"{number}.png")
    words = [sys.executable, "-m", "edge_runtime.segment", image_dir, "--model", model, "--out", tmp_path / "out"]
    done = subprocess.run([str(word) for word in [*words, "--refine"]], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("3 masks written, 0 failed"), done.stderr
    segmenter = Segmenter.load(model)
    for number in range(3):
        image = read_rgb(image_dir / f"{number}.png")
        with Image.open(tmp_path / "out" / f"{number}.png") as opened:
            mask = np.asarray(opened)
        assert np.array_equal(mask, to_mask8(refine(image, segmenter.low_res(image))))
        assert not np.array_equal(mask, to_mask8(segmenter(image)))
    times = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").iterdir())]
    main(Segment((image_dir,), (model,), tmp_path / "out", refine=True, resume=True))
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "out").iterdir())] == times
    main(Segment((image_dir,), (model,), tmp_path / "out", resume=True))
    assert all(path.stat().st_mtime_ns not in times for path in (tmp_path / "out").iterdir())
