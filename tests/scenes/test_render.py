"""Procedural scenes: the same seed gives the same bytes, and alpha is the sky's exact share of every pixel."""

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import InputError
from scenes import render as scenes
from scenes.parts.canvas import SUPERSAMPLE, Canvas
from scenes.parts.land import ridge
from scenes.parts.light import Light

SIZE = (72, 96)


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_every_kind_gives_an_image_and_its_alpha(kind):
    for seed in range(2):
        scene = scenes.generate(seed, SIZE, kind=kind)
        assert scene.kind == kind and scene.sky in scenes.SKIES
        assert scene.image.shape == (*SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.alpha.shape == SIZE and scene.alpha.dtype == np.float32
        assert np.isfinite(scene.alpha).all() and scene.alpha.min() >= 0 and scene.alpha.max() <= 1
        assert scene.image.std() > 1, "an image is not one flat color"
        if not scenes.KINDS[kind].has_sky:
            assert scene.sky == "none" and not scene.alpha.any()


@pytest.mark.parametrize("sky", scenes.SKIES)
def test_every_sky_can_be_asked_for(sky):
    scene = scenes.generate(5, SIZE, sky=sky)
    assert scene.sky == sky
    assert scene.alpha.any() == (sky != "none")


def test_all_sky_is_all_sky():
    assert all(scenes.generate(seed, SIZE, kind="allsky").alpha.mean() > 0.9 for seed in range(12))


def test_same_seed_same_bytes_and_other_seed_another_scene():
    for seed in range(4):
        first = scenes.generate(seed, SIZE)
        np.random.seed(seed + 1)  # the global generator must not matter
        again = scenes.generate(seed, SIZE)
        assert first.image.tobytes() == again.image.tobytes() and first.alpha.tobytes() == again.alpha.tobytes()
        assert first.image.tobytes() != scenes.generate(seed + 1, SIZE).image.tobytes()


def test_generating_leaves_the_global_generator_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    scenes.generate(0, SIZE)
    assert np.random.random() == expected


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (41, 160), (131, 33), (101, 101)])
def test_odd_sizes(size):
    for seed in range(6):
        scene = scenes.generate(seed, size)
        assert scene.image.shape == (*size, 3) and scene.alpha.shape == size


@pytest.mark.parametrize("kind", [name for name, kind in scenes.KINDS.items() if kind.has_sky])
def test_alpha_and_the_foreground_share_every_pixel(kind, monkeypatch):
    """Paint every layer white: what the foreground then shows is its share, and the rest must be alpha."""
    over = Canvas.over
    white = np.ones(3, np.float32)
    monkeypatch.setattr(Canvas, "over", lambda self, cover, color, top=0, left=0: over(self, cover, white, top, left))
    for seed in range(2):
        canvas = scenes.compose(np.random.default_rng(seed), SIZE, kind, "cloudy")
        np.testing.assert_allclose(canvas.paint, np.repeat(1 - canvas.alpha[..., None], 3, 2), atol=1e-5)
        canvas.sky = np.ones_like(canvas.sky)
        np.testing.assert_allclose(canvas.image(), 1, atol=1e-5)


def test_coverage_of_shapes_is_their_area():
    light = Light(0.5, 0.1, np.ones(3), np.ones(3), np.ones(3))
    canvas = Canvas(40, 60, light, np.ones((40, 60, 3), np.float32))
    canvas.below(np.full(60 * SUPERSAMPLE, 30.25, np.float32), np.zeros(3, np.float32))
    np.testing.assert_allclose(canvas.alpha[30], 0.25, atol=1e-6)
    assert (canvas.alpha[:30] == 1).all() and (canvas.alpha[31:] == 0).all()
    canvas = Canvas(40, 60, light, np.ones((40, 60, 3), np.float32))
    canvas.fill([[5, 5], [45, 5], [5, 35]], np.zeros(3, np.float32))
    covered = 40 * 60 - float(canvas.alpha.sum())
    # OpenCV fills the rim of a polygon too: at most one step of the fine grid all around.
    assert 600 <= covered <= 600 + (40 + 30 + 50) / SUPERSAMPLE
    canvas = Canvas(40, 60, light, np.ones((40, 60, 3), np.float32))
    canvas.strokes([[[2, 20], [58, 20]]], 0.1, np.zeros(3, np.float32))
    assert 56 * 0.05 < 40 * 60 - float(canvas.alpha.sum()) < 56 * 0.2, "a wire thinner than the grid is faint, not gone"


def test_camera_moves_alpha_with_the_image(monkeypatch):
    """White sky over black ground, untouched by exposure: after tilt and blur the image still is alpha."""
    seen = {}

    def flat(rng, size, kind, sky):
        light = Light(0.5, 0.1, np.zeros(3), np.zeros(3), np.zeros(3))
        canvas = Canvas(*size, light, np.ones((*size, 3), np.float32))
        ridge(canvas, rng, 0.6, 0.3, 3, np.zeros(3, np.float32), 0.0)
        return canvas

    def keep(rng, image, light, sky):
        seen["image"] = image
        return np.zeros(image.shape, np.uint8)

    monkeypatch.setattr(scenes, "compose", flat)
    monkeypatch.setattr(scenes, "expose", keep)
    for seed in range(30):  # some of them tilted, blurred, mirrored
        alpha = scenes.generate(seed, SIZE, kind="mountain", sky="clear").alpha
        np.testing.assert_allclose(seen["image"], np.repeat(alpha[..., None], 3, 2), atol=1e-5)


def test_mask_bytes_never_say_ignore():
    alpha = np.linspace(0, 1, 2001, dtype=np.float32)[None]
    mask = scenes.mask_bytes(alpha)
    assert mask.dtype == np.uint8 and mask.min() == 0 and mask.max() == 255 and not (mask == 128).any()
    assert (np.abs(mask / 255 - alpha) <= 1.51 / 255).all()
    assert ((mask >= 128) == (np.round(alpha * 255) >= 128)).all(), "129 for 128 keeps the class"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": (15, 40)}, "16 to 8192"),
        ({"kind": "beach"}, "expected one of mountain"),
        ({"sky": "green"}, "expected one of clear"),
        ({"kind": "indoor", "sky": "clear"}, "leave one of the two out"),
        ({"kind": "street", "sky": "none"}, "leave one of the two out"),
    ],
)
def test_errors_say_what_to_do(arguments, said):
    with pytest.raises(InputError, match=said):
        scenes.generate(0, **arguments)


def test_command_writes_the_layout_of_the_trainer(tmp_path):
    scenes.main(scenes.RenderConfig(tmp_path, count=3, seed=40, size=(32, 48)))
    scenes.main(scenes.RenderConfig(tmp_path, count=2, seed=90, size=(32, 48), split="test"))
    scenes.main(scenes.RenderConfig(tmp_path, count=2, seed=41, size=(32, 48)))  # again: its rows are replaced, not doubled
    with open(tmp_path / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["id"] for row in rows) == [f"scene_{seed:06d}" for seed in (40, 41, 42, 90, 91)]
    for row in rows:
        image = cv2.imread(str(tmp_path / row["split"] / "images" / f"{row['id']}.png"))[..., ::-1]
        mask = cv2.imread(str(tmp_path / row["split"] / "masks" / f"{row['id']}.png"), cv2.IMREAD_UNCHANGED)
        scene = scenes.generate(int(row["id"][6:]), (32, 48))
        assert (image == scene.image).all() and (mask == scenes.mask_bytes(scene.alpha)).all()
        assert row["scene"] == f"{scene.kind}, {scene.sky}" and (row["width"], row["height"]) == ("48", "32")
        assert float(row["sky_fraction"]) == pytest.approx(scene.alpha.mean(), abs=1e-6)


def _command(project_root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command from another folder than the project's."""
    command = [sys.executable, "-m", "scenes.render", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_command_line_runs_from_any_folder(project_root, tmp_path):
    arguments = ("--out", "data", "--count", "2", "--seed", "7", "--size", "32", "48", "--split", "test")
    done = _command(project_root, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"2 scenes in {Path('data/test')}\n", "results go to stdout, progress to stderr"
    image = cv2.imread(str(tmp_path / "data" / "test" / "images" / "scene_000008.png"))[..., ::-1]
    assert (image == scenes.generate(8, (32, 48)).image).all(), "another process gives the same bytes"
    assert len((tmp_path / "data" / "manifest.csv").read_text().splitlines()) == 3


def test_command_line_refuses_bad_values(project_root, tmp_path):
    done = _command(project_root, tmp_path, "--out", "data", "--count", "0")
    assert done.returncode == 2 and "expected at least 1" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("changes", [{"count": 0}, {"seed": -1}, {"size": (8, 8)}, {"size": (64, 10**9)}, {"split": "../train"}])
def test_command_refuses_bad_values_and_writes_nothing(tmp_path, changes):
    with pytest.raises(InputError):
        scenes.main(scenes.RenderConfig(**{"out": tmp_path / "data", "count": 1, **changes}))
    assert not (tmp_path / "data").exists()
