"""Which images calibrate, which check, and what is written down of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.artifact.artifact import Calibration
from edge_runtime.errors import InputError
from edge_runtime.images.network_input import Size
from quantize.calibration.calibration_set import divide, fingerprint, group_alike, perceptual_hash, read_resized

pytestmark = pytest.mark.slow
SIZE = Size(height=16, width=24)


def _images(folder: Path, count: int, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / f"p{index:02d}.png")
    return folder


def test_a_seeded_quarter_is_kept_back(tmp_path: Path) -> None:
    folder = _images(tmp_path / "images", 20)
    chosen = divide(folder, 200, seed=1)
    assert (len(chosen.calibration), len(chosen.held_out)) == (15, 5)
    assert {*chosen.calibration, *chosen.held_out} == set(folder.iterdir())
    assert divide(folder, 200, seed=1) == chosen
    assert divide(folder, 200, seed=2).held_out != chosen.held_out


def test_count_limits_calibration_and_not_the_check(tmp_path: Path) -> None:
    folder = _images(tmp_path / "images", 20)
    few, many = divide(folder, 4, seed=1), divide(folder, 200, seed=1)
    assert few.calibration == many.calibration[:4] and few.held_out == many.held_out


@pytest.mark.parametrize(
    "made,read",
    [
        (["."], "."),
        (["images"], "images"),
        (["train/images", "val/images", "test/images"], "train/images"),
        (["val/images", "test/images"], "val/images"),
        (["test/images"], "test/images"),
    ],
)
def test_layouts(tmp_path: Path, made: list[str], read: str) -> None:
    root = tmp_path / "data"
    for seed, place in enumerate(made):
        _images(root / place, 8, seed)
    chosen = divide(root, 200, 0)
    assert {path.parent for path in (*chosen.calibration, *chosen.held_out)} == {root / read}


def test_splits_that_only_report_are_not_guessed_from(tmp_path: Path) -> None:
    for place in ("test", "night"):
        _images(tmp_path / place / "images", 8)
    with pytest.raises(InputError, match="has the splits night, test; expected train or val, or name one"):
        divide(tmp_path, 200, 0)


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got 7 images in .*, expected at least 8 distinct ones; 200 varied ones are usual"):
        divide(_images(tmp_path / "images", 7), 200, 0)
    with pytest.raises(InputError, match="got --count 0"):
        divide(_images(tmp_path / "more", 8), 0, 0)
    with pytest.raises(InputError, match="got --seed -1, expected 0 or more"):
        divide(tmp_path / "more", 8, -1)
    with pytest.raises(InputError, match="expected an existing folder"):
        divide(tmp_path / "none", 200, 0)


def test_an_image_saved_again_cannot_check_itself(tmp_path: Path, project_root: Path) -> None:
    photos = sorted((project_root / "docs" / "photos").glob("*.jpg"))
    folder = tmp_path / "images"
    folder.mkdir()
    with Image.open(photos[0]) as photo:
        for number in range(50):
            photo.save(folder / f"copy{number:02d}.jpg", quality=20 + number)
        photo.resize((333, 250)).convert("L").save(folder / "small_and_gray.png")
    with pytest.raises(InputError, match=r"got 51 images in .*, 1 of them distinct, expected at least 8 distinct ones; .*Add"):
        divide(folder, 200, 0)
    _images(tmp_path / "others", 8)
    for path in (tmp_path / "others").iterdir():
        shutil.copy(path, folder)
    for seed in range(4):
        chosen = divide(folder, 200, seed)
        sides = [{path.name[:4] == "copy" for path in side} for side in (chosen.calibration, chosen.held_out)]
        assert (True in sides[0]) != (True in sides[1]), "copies are on one side"
        assert len(chosen.calibration) + len(chosen.held_out) == 59
    hashes = [perceptual_hash(path) for path in photos]
    assert len(set(group_alike(hashes))) == len(photos) > 4, "other photographs are distinct"


def test_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    chosen = divide(_images(tmp_path / "a" / "train" / "images", 12).parent.parent, 200, 0)
    made = fingerprint(chosen)
    images = [
        {"name": path.relative_to(chosen.root).as_posix(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in chosen.calibration
    ]
    text = json.dumps({"images": images, "seed": 0}, separators=(",", ":"))
    assert made == Calibration(hashlib.sha256(text.encode()).hexdigest(), 9)
    moved = divide(_images(tmp_path / "b" / "train" / "images", 12).parent.parent, 200, 0)
    assert fingerprint(moved) == made, "the same images elsewhere are the same calibration set"
    other = dataclasses.replace(chosen, calibration=chosen.calibration[::-1])
    assert fingerprint(other).sha256 != made.sha256


def test_images_are_read_as_the_contract_says(tmp_path: Path) -> None:
    folder = _images(tmp_path / "images", 8)
    first = sorted(folder.iterdir())[0]
    (resized,) = read_resized([first], SIZE)
    with Image.open(first) as image:
        assert np.array_equal(resized, np.asarray(image.resize((24, 16), Image.Resampling.BILINEAR)))
    first.write_bytes(first.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot read image"):
        read_resized([first], SIZE)
