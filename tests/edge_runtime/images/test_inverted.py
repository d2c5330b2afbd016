"""Masks in which 0 is sky are told, by position and color or by a network that is sure, and masks as they should be never are."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.images.dataset import find_pairs, read_pair, spread
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.inverted import LEAST_IMAGES, contradicts
from edge_runtime.images.mask_file import VOID, read_mask
from edge_runtime.metrics.iou import evaluate_pairs

ONE_CLASS = {"houses_indoor", "neon_snow", "nosky_imagenet", "nosky_sun8", "swinseg_night", "weather_rain_nosky"}


def inverted(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == VOID, VOID, 255 - labels).astype(np.uint8)


@pytest.fixture
def turned(scene_dir: Path, tmp_path: Path) -> Path:
    """Return the scenes of the tests with inverted masks."""
    shutil.copytree(scene_dir / "test", tmp_path / "turned")
    for path in (tmp_path / "turned" / "masks").iterdir():
        Image.fromarray(inverted(np.asarray(Image.open(path)))).save(path)
    return tmp_path / "turned"


def test_position_and_color_tell(scene_dir: Path, turned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_pairs(scene_dir, "test")
    assert "warning" not in capsys.readouterr().err
    find_pairs(turned)
    said = capsys.readouterr().err
    assert "position and color contradict the masks of" in said and "--sky-value 0" in said and str(turned) in said


def test_a_network_that_is_sure_tells(scene_dir: Path, turned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It needs no image with both: here all that a mask calls ground is the whole image."""
    pairs, truth = find_pairs(turned), find_pairs(scene_dir, "test")
    without = [index for index, pair in enumerate(truth) if not read_pair(pair).sky.any()]
    assert len(without) >= LEAST_IMAGES
    capsys.readouterr()
    for chosen, warns in ((truth, False), (pairs, True)):
        evaluate_pairs(lambda image: np.full(image.shape[:2], 0.02, np.float32), [chosen[index] for index in without])
        assert ("predictions contradict the masks" in capsys.readouterr().err) == warns
    evaluate_pairs(lambda image: np.full(image.shape[:2], 0.5, np.float32), pairs)
    assert "warning" not in capsys.readouterr().err, "a network that knows nothing accuses nobody"


@pytest.mark.slow
def test_no_source_of_the_data_is_accused_and_all_are_when_inverted(sky_data: Path) -> None:
    with (sky_data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        sources: dict[str, list[Path]] = {}
        for row in csv.DictReader(file):
            sources.setdefault(row["source"], []).append(sky_data / row["split"] / "masks" / f"{row['id']}.png")
    for source, masks in sources.items():
        as_is, turned = [], []
        for path in spread(masks, 24):
            image, labels = read_rgb(next((path.parent.parent / "images").glob(f"{path.stem}.*"))), read_mask(path)
            as_is.append(contradicts(image, labels))
            turned.append(contradicts(image, inverted(labels)))
        assert 2 * sum(map(bool, as_is)) <= len([each for each in as_is if each is not None]), source
        if source not in ONE_CLASS:
            known = [each for each in turned if each is not None]
            assert sum(known) >= LEAST_IMAGES and 2 * sum(known) > len(known), source
