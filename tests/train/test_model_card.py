"""Model cards say what the files beside them say, and nothing that was typed in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from train.engine.presets import PRESETS, PRUNE_PRESETS
from train.model_card import card, recipe
from train.models import load_checkpoint

pytestmark = pytest.mark.slow
RELEASED = sorted(path.parent.name for path in (Path(__file__).parents[2] / "models").glob("*/checkpoint.pt"))


@pytest.mark.parametrize("name", RELEASED)
def test_released_cards_are_those_of_their_files(name: str, project_root: Path) -> None:
    folder = project_root / "models" / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == card(folder), "python train/model_card.py writes it anew"
    terms = "CC BY 4.0" if name.endswith("_open") else "research, non-commercial"
    assert f"`weights_license: {terms}`" in text and load_checkpoint(folder / "checkpoint.pt").weights_license == terms
    iou = json.loads((folder / "metrics.json").read_text())["pooled"]["iou"]["value"]
    assert f"{iou:.3f}" in text


def test_metrics_must_be_there(project_root: Path, tmp_path: Path) -> None:
    shutil.copy(project_root / "models" / "unet_lite_s" / "checkpoint.pt", tmp_path)
    with pytest.raises(InputError, match="train/evaluate.py"):
        card(tmp_path)


def test_recipe_names_every_run_that_led_to_the_weights() -> None:
    preset = PRESETS["unet_lite_s"]
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(preset).items()}
    first = settings | {"data": ["sky", "train-scenes"], "init": None}
    second = settings | {"data": ["softened", "train-scenes"], "init": "checkpoint.pt", "steps": [7], "lr": 0.5, "before": first}
    scenes, more, fit, soften, again = recipe(second)
    assert "100000" in scenes and "200000" in more
    assert fit == "python train/fit.py unet_lite_s --data ../shared/data/sky runs/train-scenes"
    assert soften.startswith("python train/distill.py models/teacher/checkpoint.pt ")
    folders = "--data runs/softened runs/train-scenes --init runs/FIRST/checkpoint.pt"
    assert again == f"python train/fit.py unet_lite_s {folders} --steps 7 --lr 0.5"
    batched = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(PRESETS["teacher_gpu"]).items()}
    assert recipe(batched | {"data": ["sky"], "init": None}) == ["python train/fit.py teacher_gpu --data ../shared/data/sky"]
    settings = vars(PRUNE_PRESETS["u2netp"]) | {"data": ["sky"], "macs": 0.05, "final_steps": 9, "conditions": []}
    pruned = recipe({"pruned": settings, "before": first})
    assert pruned == [scenes, more, fit, "python train/prune.py u2netp --data ../shared/data/sky --macs 0.05 --final-steps 9"]
