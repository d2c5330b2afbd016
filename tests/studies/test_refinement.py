"""The proof of refinement: its gradient error, its same-color scenes, and one small run of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenes.render import generate
from studies.refinement import KINDS, METHODS, Case, compare, fade

pytestmark = pytest.mark.slow


def half(shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    sky = np.zeros(shape, np.float32)
    sky[:30] = 1
    return sky


def case(sky: np.ndarray, valid: np.ndarray | None = None) -> Case:
    blank = np.zeros((*sky.shape, 3), np.uint8)
    return Case(blank, sky, np.ones(sky.shape, bool) if valid is None else valid, sky)


def test_the_gradient_error_is_the_difference_of_slopes() -> None:
    ramp = np.tile(np.linspace(0, 1, 81, dtype=np.float32), (60, 1))
    found = compare(np.full_like(ramp, 0.5), case(ramp))
    across = found.gradient_sum / found.gradient_pixels
    assert across == pytest.approx(1 / 80, rel=0.1)  # the ramp ends at the image's border
    same = compare(half(), case(half()))
    assert same.gradient_sum == 0 and same.gradient_pixels > 0
    moved = compare(np.roll(half(), 1, axis=0), case(half()))
    assert moved.gradient_sum > 0


def test_void_is_left_out_of_the_gradient_error() -> None:
    valid = np.ones((60, 80), bool)
    valid[20:40] = False
    found = compare(np.zeros((60, 80), np.float32), case(half(), valid))
    assert found.gradient_pixels == 0 and found.counts.pixels == 40 * 80


def test_fading_takes_the_color_away_at_the_edge_alone() -> None:
    scene = generate(3, (192, 256), "city", "clear")
    plain = fade(scene.image, scene.alpha, 0.0, np.random.default_rng(0)).astype(float)
    faded = fade(scene.image, scene.alpha, 1.0, np.random.default_rng(0)).astype(float)
    assert np.abs(plain - scene.image).mean() < 1  # the noise
    sky = scene.alpha == 1
    assert np.array_equal(plain[sky], faded[sky])
    assert np.abs(faded - plain)[scene.alpha == 0].mean() > 1


def test_the_command(project_root: Path, tmp_path: Path) -> None:
    words = ["studies/refinement.py", "--parts", "scenes", "--scenes", "1", "--scene-size", "96", "128"]
    words += ["--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=project_root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "unet_lite.json").read_text())
    assert set(report) == {"model", "scenes"}
    for maps in ("network_map", "exact_map"):
        assert set(report["scenes"][maps]) == set(KINDS)
        assert all(set(found) == set(METHODS) for found in report["scenes"][maps].values())
    with Image.open(tmp_path / "example.jpg") as example:
        assert example.size == (3 * 96, 96)
    done = subprocess.run([sys.executable, *words[:1], "--parts", "data"], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 2 and "got no --data" in done.stderr
