"""Inputs that are not square: which part of an image an artifact is given, and the whole command on scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Labeled
from export import to_onnx
from export.pipeline import ExportConfig
from studies.shapes import STUDY, ShapesConfig, crop, has_shape

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [((90, 160), 4 / 3, (90, 120)), ((160, 90), 4 / 3, (68, 90)), ((100, 100), 0.5, (100, 50)), ((60, 80), 4 / 3, (60, 80))],
)
def test_crops_are_the_largest_around_the_center(size: tuple[int, int], ratio: float, expected: tuple[int, int]) -> None:
    sky = np.arange(size[0] * size[1], dtype=np.float32).reshape(size)
    part = crop(Labeled(np.repeat(sky[..., None], 3, axis=2), sky, sky > 0), ratio)
    assert part.sky.shape == part.valid.shape == part.image.shape[:2] == expected
    assert np.array_equal(part.image[..., 0], part.sky)
    rows, columns = np.unravel_index(part.sky.astype(int), size)
    assert abs(rows.mean() - (size[0] - 1) / 2) <= 0.5 and abs(columns.mean() - (size[1] - 1) / 2) <= 0.5


def test_shapes_within_a_tenth_are_one() -> None:
    assert has_shape(np.zeros((75, 100, 3)), 4 / 3) and has_shape(np.zeros((80, 100, 3)), 4 / 3)
    assert not has_shape(np.zeros((100, 100, 3)), 4 / 3) and not has_shape(np.zeros((100, 75, 3)), 4 / 3)


def test_command_compares_with_the_square_artifact(scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    wide = to_onnx.export(ExportConfig(tiny_checkpoint, "128x96", out=tmp_path / "wide"))
    square = Path("models/unet_lite_s/onnx-fp32")
    STUDY.main(ShapesConfig(data=scene_dir, models=(wide.folder,), square=square, limit=0, out=tmp_path / "out"))
    (row,) = json.loads((tmp_path / "out" / "unet_lite_s.json").read_text())["rows"]
    assert (row["name"], row["width"], row["height"]) == ("unet_lite_s-128x96-fp32-onnx", 128, 96)
    for kind in ("cut", "whole"):  # the scenes are 4:3 as they are
        (own, other) = row[kind]
        assert own["images"] == other["images"] == 12 and own["iou"] > 0.5 and own["iou"] != other["iou"]
    assert row["cut"] == row["whole"]
    page = (tmp_path / "out" / "unet_lite_s.md").read_text()
    assert "| unet\\_lite\\_s-128x96-fp32-onnx |" in page or "| unet_lite_s-128x96-fp32-onnx |" in page
    with pytest.raises(InputError, match="got no --data or no --models"):
        STUDY.main(ShapesConfig(data=scene_dir, out=tmp_path / "none"))
