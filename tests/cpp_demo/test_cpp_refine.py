"""`skyedge refine` against edge_runtime/masks/refine.py: the same method, so the same mask, but for rounding."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.refine import refine
from edge_runtime.segmenter import Segmenter
from scenes.render import generate

pytestmark = pytest.mark.slow
# Sums in another order; and OpenCV rounds a half to even where the mean of the image's pixels is taken.
ATOL, SHARE = 2, 0.999


def run(skyedge: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run([skyedge, *words], capture_output=True, text=True)


def read_mask(path: Path) -> np.ndarray:
    """Read an 8-bit mask as (H, W) int."""
    with Image.open(path) as mask:
        assert mask.mode == "L"
        return np.asarray(mask).astype(int)


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Fail where too many pixels differ by more than `ATOL`."""
    assert got.shape == wanted.shape
    difference = np.abs(got - wanted)
    assert (difference <= ATOL).mean() >= SHARE, f"{(difference > ATOL).mean():.5f} differ, by up to {difference.max()}"


# Seeds and sizes: the working image is the image; of half its size; of a third, which divides neither side.
SCENES = ((3, (384, 512)), (4, (97, 61)), (5, (900, 1300)), (6, (1111, 2050)))


@pytest.mark.parametrize(("seed", "size"), SCENES)
def test_masks_are_pythons(skyedge: Path, tmp_path: Path, seed: int, size: tuple[int, int]) -> None:
    scene = generate(seed, size, kind="trees")
    Image.fromarray(scene.image).save(tmp_path / "image.png", compress_level=0)
    for side in (64, 200):  # what a network gives: smooth, at another size than the image's
        small = to_mask8(np.clip(resize_probability(scene.alpha, side, side), 0, 1))
        small = np.asarray(Image.fromarray(small).resize((side // 2, side // 2), Image.Resampling.BILINEAR))
        Image.fromarray(small).save(tmp_path / "mask.png")
        words = ("--mask", tmp_path / "mask.png", "--input", tmp_path / "image.png", "--output", tmp_path / "out.png")
        done = run(skyedge, "refine", *words)
        assert done.returncode == 0, done.stderr
        wanted = to_mask8(refine(scene.image, small.astype(np.float32) / 255))
        assert_close(read_mask(tmp_path / "out.png"), wanted.astype(int))
        assert np.abs(wanted.astype(int) - to_mask8(resize_probability(small / np.float32(255), *size))).max() > 30  # it refines


def test_a_mask_of_the_images_size(skyedge: Path, tmp_path: Path) -> None:
    scene = generate(8, (1030, 700), kind="city")
    Image.fromarray(scene.image).save(tmp_path / "image.png", compress_level=0)
    rng = np.random.default_rng(8)
    mask = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 7), dtype=np.uint8)).resize((700, 1030)))
    Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ("--mask", tmp_path / "mask.png", "--input", tmp_path / "image.png", "--output", tmp_path / "out.png")
    assert run(skyedge, "refine", *words).returncode == 0
    assert_close(read_mask(tmp_path / "out.png"), to_mask8(refine(scene.image, mask.astype(np.float32) / 255)).astype(int))


@pytest.mark.parametrize("level", [0, 97, 255])
def test_a_constant_mask_stays(skyedge: Path, tmp_path: Path, level: int) -> None:
    Image.fromarray(generate(9, (64, 80)).image).save(tmp_path / "image.png")
    Image.new("L", (5, 4), level).save(tmp_path / "mask.png")
    words = ("--mask", tmp_path / "mask.png", "--input", tmp_path / "image.png", "--output", tmp_path / "out.png")
    assert run(skyedge, "refine", *words).returncode == 0
    assert np.abs(read_mask(tmp_path / "out.png") - level).max() <= 1


def test_from_the_network(skyedge: Path, artifacts: dict[str, Path], scene_dir: Path, tmp_path: Path) -> None:
    path = sorted((scene_dir / "test" / "images").iterdir())[0]
    segmenter = Segmenter.load(artifacts["ncnn-fp32"])
    image = read_rgb(path)
    wanted = to_mask8(refine(image, segmenter.low_res(image))).astype(int)
    words = ("--model", artifacts["ncnn-fp32"], "--input", path, "--timing", "--output", tmp_path / "out.png")
    done = run(skyedge, "refine", *words)
    assert done.returncode == 0 and "ms  refine: apply at full resolution" in done.stdout, done.stderr
    assert_close(read_mask(tmp_path / "out.png"), wanted)
    again = run(skyedge, "segment", "--refine", *words[:-1], tmp_path / "again.png")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_refusals(skyedge: Path, tmp_path: Path) -> None:
    image, color = tmp_path / "image.png", tmp_path / "color.png"
    for path in (image, color):
        Image.fromarray(generate(9, (64, 80)).image).save(path)
    output = ("--input", image, "--output", tmp_path / "out.png")
    for words, said in (
        (output, "got neither --mask nor --model"),
        (("--mask", color, "--model", tmp_path, *output), "--model excludes --mask"),
        (("--mask", color, *output), "an image in color, expected a gray mask"),
        (("--mask", tmp_path / "none.png", *output), "cannot read"),
        (("--mask", color, "--refine", *output), "not expected: --refine"),
        (("--mask", color, "--input", image, "--output", color), "the same file"),
    ):
        done = run(skyedge, "refine", *words)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["color.png", "image.png"]
