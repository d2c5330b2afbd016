"""Label errors: regions that two opinions contradict, found in scenes whose labels were spoilt."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Labeled
from scenes.render import RenderConfig
from scenes.render import main as render
from studies.label_errors import LabelErrorsConfig, find_label_errors, suspect_cells
from train.data.corrections import read_corrections

pytestmark = pytest.mark.slow


def test_a_region_is_suspect_where_all_opinions_are_sure_of_the_opposite() -> None:
    sky = np.zeros((100, 200), np.float32)
    sky[:50] = 1.0
    valid = np.ones(sky.shape, bool)
    labeled = Labeled(np.zeros((100, 200, 3), np.uint8), sky, valid)
    true = sky.copy()
    true[60:90, 100:160] = 0.95  # sky that the label leaves out
    cells, reason = suspect_cells(labeled, [true, true[::2, ::2]], 0.8, 0.01)
    assert reason == "sky labeled as other" and cells.shape == (32, 64)
    inside = cells[60 * 32 // 100 : 90 * 32 // 100, 100 * 64 // 200 : 160 * 64 // 200]
    assert inside.all() and cells.sum() < 1.6 * inside.size
    assert not suspect_cells(labeled, [true, sky], 0.8, 0.01)[0].any()  # one disagrees
    assert not suspect_cells(labeled, [true, true], 0.99, 0.01)[0].any()  # not sure enough
    assert not suspect_cells(labeled, [true, true], 0.8, 0.2)[0].any()  # too small
    valid[60:90, 100:160] = False
    assert not suspect_cells(labeled, [true, true], 0.8, 0.01)[0].any()  # no label there
    assert suspect_cells(labeled, [1.0 - sky], 0.8, 0.01)[1] == "sky labeled as other, other labeled as sky"


def test_a_spoilt_label_is_found(tmp_path: Path) -> None:
    data, opinions = tmp_path / "data", tmp_path / "opinions"
    render(RenderConfig(data, 40, seed=7, size=(96, 128), split="train", kind="field"))
    opinions.mkdir()
    masks = sorted((data / "train" / "masks").iterdir())
    for mask in masks:
        Image.open(mask).save(opinions / mask.name)
    spoilt = max(masks, key=lambda path: float((np.asarray(Image.open(path)) == 255).mean()))
    Image.fromarray(np.zeros_like(np.asarray(Image.open(spoilt)))).save(spoilt)  # all its sky is lost
    config = LabelErrorsConfig(
        data=(data,), opinions=opinions, folds=2, size=64, steps=80, batch=8, sure=0.5, out=tmp_path / "out"
    )  # fmt: skip
    found = read_corrections(find_label_errors(config))
    assert list(found) == [spoilt.stem] and found[spoilt.stem].reason == "sky labeled as other"
    assert (tmp_path / "out" / "sheet_00.jpg").is_file()
    with pytest.raises(InputError, match="got --keep 2, expected numbers of the sheets, 1 to 1"):
        find_label_errors(dataclasses.replace(config, keep=(2,)))
