"""Correction: strokes are obeyed, what is joined to them follows, the rest stays; bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.mask_file import VOID
from skyedge.correct.run import Correct, correct, main


def drawn(scale: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of (200, 300) times scale, its sky, and a mask that takes one white house for sky, of two."""
    sky = np.zeros((200, 300), np.float32)
    sky[:100] = 1
    color = np.where(sky[..., None] > 0, (120, 160, 220), (70, 90, 60)).astype(np.float32)
    houses = np.zeros(sky.shape, bool)
    houses[60:120, 40:90] = houses[60:120, 200:260] = True
    color[houses] = (230, 226, 220)
    sky[houses] = 0
    mask = sky.copy()
    mask[60:120, 40:90] = mask[60:120, 200:260] = 0.9
    noisy = color + np.random.default_rng(0).normal(0, 2, color.shape)
    grown = [np.repeat(np.repeat(plane, scale, 0), scale, 1) for plane in (np.clip(np.rint(noisy), 0, 255), sky, mask)]
    return grown[0].astype(np.uint8), grown[1], grown[2]


def strokes(shape: tuple[int, ...], **points: tuple[int, int]) -> np.ndarray:
    given = np.full(shape, VOID, np.uint8)
    for name, (x, y) in points.items():
        given[y, x] = 255 if name.startswith("sky") else 0
    return given


def iou(mask: np.ndarray, sky: np.ndarray) -> float:
    called, truth = mask >= 0.5, sky >= 0.5
    return np.count_nonzero(called & truth) / np.count_nonzero(called | truth)


@pytest.mark.parametrize("scale", [1, 5])
def test_a_click_mends_its_house_and_leaves_the_other(scale: int) -> None:
    image, sky, mask = drawn(scale)
    found = correct(image, mask, strokes(sky.shape, other=(65 * scale, 90 * scale)))
    left, right = np.s_[:, : 140 * scale], np.s_[:, 140 * scale :]
    assert iou(mask[left], sky[left]) < 0.85 and iou(found[left], sky[left]) > 0.97
    assert np.array_equal(found[right], mask[right])
    assert (found <= mask).all()  # a stroke of not sky adds no sky
    both = correct(image, mask, strokes(sky.shape, other=(65 * scale, 90 * scale), other2=(230 * scale, 90 * scale)))
    assert iou(both, sky) > 0.97


def test_a_click_of_sky_adds_sky() -> None:
    image, sky, mask = drawn()
    wrong = np.where(mask == 0.9, 0, mask).astype(np.float32)
    wrong[:50, 100:160] = 0.1
    found = correct(image, wrong, strokes(sky.shape, sky=(130, 20)))
    assert iou(wrong, sky) < 0.9 < 0.97 < iou(found, sky)
    assert (found >= wrong).all()


def test_strokes_are_obeyed_exactly_and_agreement_changes_nothing() -> None:
    image, sky, mask = drawn(4)
    given = np.full(sky.shape, VOID, np.uint8)
    given[10:12, 10:1100] = given[500, 3] = 0  # across a sure sky, and a single pixel
    given[790, 5:700] = 255
    found = correct(image, mask, given)
    assert (found[given == 0] == 0).all() and (found[given == 255] == 1).all()
    right = strokes(sky.shape, sky=(300, 20), other=(300, 700))
    assert np.array_equal(correct(image, sky, right), sky)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (299, 2), (700, 3)])
def test_images_of_any_shape(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    found = correct(image, np.full(shape, 0.8, np.float32), strokes(shape, other=(shape[1] // 2, shape[0] // 2)))
    assert found.shape == shape and found[shape[0] // 2, shape[1] // 2] == 0
    assert found.min() >= 0 and found.max() <= 1


@pytest.fixture
def files(tmp_path: Path) -> Path:
    image, _, mask = drawn()
    Image.fromarray(image).save(tmp_path / "house.png")
    Image.fromarray(np.rint(mask * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path


def test_bad_input_is_refused(files: Path) -> None:
    def config(**changes: object) -> Correct:
        values = {"mask": files / "mask.png", "not_sky": ("65,90",), "out": files / "out.png"} | changes
        return Correct(files / "house.png", **values)  # type: ignore[arg-type]

    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(files / "small.png")
    Image.fromarray(np.full((200, 300), 77, np.uint8)).save(files / "gray.png")
    Image.fromarray(np.full((200, 300), VOID, np.uint8)).save(files / "empty.png")
    (files / "broken.png").write_bytes(b"no image")
    for changes, message in (
        ({"strokes": files / "small.png"}, r"\(20, 30\), expected \(200, 300\)"),
        ({"strokes": files / "gray.png"}, "value 77, expected 255 sky"),
        ({"strokes": files / "empty.png"}, "got no stroke"),
        ({"strokes": files / "broken.png"}, "cannot read strokes"),
        ({"not_sky": ()}, "got no stroke"),
        ({"not_sky": ("300,90",)}, "expected 0,0 to 299,199"),
        ({"not_sky": ("-1,90",)}, "expected 0,0 to 299,199"),
        ({"not_sky": ("here",)}, "expected X,Y"),
        ({"sky": ("65,90",)}, "the opposite is given too"),
        ({"mask": None}, "both or neither"),
        ({"out": files / "house.png"}, "would be overwritten"),
    ):
        with pytest.raises(InputError, match=message):
            main(config(**changes))
    assert not (files / "out.png").exists()


def test_strokes_as_a_transparent_png_give_what_points_give(files: Path) -> None:
    drawn = np.zeros((200, 300, 4), np.uint8)
    drawn[90, 65] = (0, 0, 0, 255)
    Image.fromarray(drawn).save(files / "strokes.png")
    words = [sys.executable, "-m", "skyedge.correct", files / "house.png", "--mask", files / "mask.png"]
    by_points = [*words, "--not-sky", "65,90", "--out", files / "points.png"]
    by_strokes = [*words, "--strokes", files / "strokes.png", "--out", files / "strokes_out.png"]
    for command in (by_points, by_strokes):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0 and "of the pixels changed, 1 were given" in done.stdout, done.stderr
    assert (files / "points.png").read_bytes() == (files / "strokes_out.png").read_bytes()
