"""`skyedge segment --refine` against edge_runtime/masks/refine.py: the same method, so the same mask, but for rounding."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.refine import refine
from edge_runtime.segmenter import Segmenter
from scenes.render import generate

pytestmark = pytest.mark.slow
# Sums in another order; and OpenCV rounds a half to even where the mean of the image's pixels is taken.
ATOL, SHARE = 2, 0.999


# Seeds and sizes: the working image is the image; of half its size; of a third, which divides neither side.
SCENES = ((3, (384, 512)), (4, (97, 61)), (5, (900, 1300)), (6, (1111, 2050)))


@pytest.mark.parametrize(("seed", "size"), SCENES)
def test_masks_are_pythons(skyedge: Path, artifacts: dict[str, Path], tmp_path: Path, seed: int, size: tuple[int, int]) -> None:
    image = generate(seed, size, kind="trees").image
    Image.fromarray(image).save(tmp_path / "image.png", compress_level=0)
    command = [skyedge, "segment", "--refine", "--model", artifacts["ncnn-fp32"], "--input", tmp_path / "image.png"]
    done = subprocess.run([*command, "--output", tmp_path / "out.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as mask:
        got = np.asarray(mask).astype(int)
    low_res = Segmenter.load(artifacts["ncnn-fp32"]).low_res(image)
    wanted = to_mask8(refine(image, low_res)).astype(int)
    assert got.shape == wanted.shape
    difference = np.abs(got - wanted)
    assert (difference <= ATOL).mean() >= SHARE, f"{(difference > ATOL).mean():.5f} differ, by up to {difference.max()}"
    assert np.abs(wanted - to_mask8(resize_probability(low_res, *size))).max() > 30  # it refines
