"""Model cards say what the files beside them say, and nothing that was typed in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from train.model_card import SUMMARIES, card


@pytest.mark.parametrize("name", SUMMARIES)
def test_released_cards_are_those_of_their_files(name: str, project_root: Path) -> None:
    folder = project_root / "models" / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == card(folder), "python train/model_card.py writes it anew"
    assert "weights_license: research, non-commercial" in text
    iou = json.loads((folder / "metrics.json").read_text())["pooled"]["iou"]["value"]
    assert f"{iou:.3f}" in text


def test_metrics_must_be_there(project_root: Path, tmp_path: Path) -> None:
    shutil.copy(project_root / "models" / "unet_lite_s" / "checkpoint.pt", tmp_path)
    with pytest.raises(InputError, match="train/evaluate.py"):
        card(tmp_path)
