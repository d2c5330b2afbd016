"""Corrections: what is written is read again, regions become void, and bad lines are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair
from train.data.corrections import correct, read_corrections
from train.engine.run import fingerprint

HEAD = "id,height,width,runs,reason\n"


@pytest.mark.parametrize(
    ("runs", "cells"),
    [("1 2 3", [[0, 1, 1], [0, 0, 0]]), ("0 1 4 1", [[1, 0, 0], [0, 0, 1]]), ("6", [[0] * 3] * 2), ("0 6", [[1] * 3] * 2)],
)
def test_runs_are_cells_that_stay_and_cells_that_become_void(runs: str, cells: list[list[int]], tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f'{HEAD}one,2,3,{runs},"a, b"\n')
    (found,) = read_corrections(tmp_path / "c.csv").values()
    assert found.id == "one" and found.reason == "a, b" and np.array_equal(found.cells, cells)


def test_the_region_of_an_image_becomes_void(scene_dir: Path, tmp_path: Path) -> None:
    pairs = find_pairs(scene_dir, "test")
    (tmp_path / "c.csv").write_text(f"{HEAD}{pairs[1].id},2,4,3 1 4,sky labeled as other\nnot here,2,4,3 1 4,\n")
    corrected = correct(pairs, tmp_path / "c.csv")
    before, after = read_pair(pairs[1]), read_pair(corrected[1])
    height, width = before.valid.shape
    assert not after.valid[: height // 2, 3 * width // 4 :].any()
    assert np.array_equal(after.valid[height // 2 :], before.valid[height // 2 :])
    assert np.array_equal(after.valid[:, : 3 * width // 4], before.valid[:, : 3 * width // 4])
    assert np.array_equal(after.sky, before.sky)
    assert [pair for pair in corrected if pair.void is not None] == [corrected[1]]
    assert correct(pairs, None) == pairs and fingerprint(corrected) != fingerprint(pairs)  # a run does not go on with others
    assert fingerprint([dataclasses.replace(corrected[1], void=None)]) == fingerprint([pairs[1]])


@pytest.mark.parametrize(
    "text",
    [
        "id,height\na,2\n",
        *(HEAD + lines for lines in ("a,2,3,4 1,\n", "a,2,3,4 -1 3,\n", "a,x,3,6,\n", "a,0,3,,\n", "a,1,2,2,\na,1,2,2,\n")),
    ],
)
def test_a_bad_line_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(InputError, match=rf"c\.csv, line {len(text.splitlines())}: got "):
        read_corrections(tmp_path / "c.csv")


def test_the_corrections_of_the_project_fit_its_data(project_root: Path, sky_data: Path) -> None:
    corrections = read_corrections(project_root / "train" / "data" / "sky_corrections.csv")
    assert all(0 < one.cells.mean() < 0.5 and one.reason for one in corrections.values())
    assert set(corrections) <= {path.stem for split in ("train", "val") for path in (sky_data / split / "images").iterdir()}
