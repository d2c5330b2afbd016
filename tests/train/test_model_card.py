"""Model cards say what the files beside them say, and nothing that was typed in."""

from __future__ import annotations
from edge_runtime.cli import parse

import json
import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from train.engine.presets import HELPFUL, PRESETS, PRUNE_PRESETS, FitConfig, PruneConfig
from train.model_card import PUBLIC, card, recipe
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
    assert fit == "python train/fit.py unet_lite_s --data ../shared/data/sky runs/train-scenes --out runs/step-1"
    assert soften.startswith("python train/distill.py models/teacher/checkpoint.pt ")
    folders = "--data runs/softened runs/train-scenes --out runs/step-2 --init runs/step-1/checkpoint.pt"
    assert again == f"python train/fit.py unet_lite_s {folders} --steps 7 --lr 0.5"
    settings = vars(PRUNE_PRESETS["u2netp"]) | {"data": ["sky"], "macs": 0.05, "final_steps": 9, "conditions": []}
    pruned = "python train/prune.py u2netp --checkpoint runs/step-1/checkpoint.pt --data ../shared/data/sky --out runs/step-2"
    assert recipe({"pruned": settings, "before": first}) == [scenes, more, fit, f"{pruned} --macs 0.05 --final-steps 9"]


@pytest.mark.parametrize("name", RELEASED)
def test_recipes_are_command_lines_with_the_recorded_settings(name: str, project_root: Path) -> None:
    training = load_checkpoint(project_root / "models" / name / "checkpoint.pt").training
    commands = recipe(training)
    fits = [parse(command.split()[2:], FitConfig, PRESETS) for command in commands if command.startswith("python train/fit.py")]
    assert fits[-1].arch == training["arch"] and len({fit.out for fit in fits}) == len(fits)
    for key in ("sizes", "steps", "batches", "lr", "seed", "resident", "conditions"):
        recorded = training.get(key, HELPFUL if key == "conditions" and "resident" in training else getattr(FitConfig("x"), key))
        assert getattr(fits[-1], key) == (tuple(recorded) if isinstance(recorded, list) else recorded), key
    init = fits[-1].init
    assert init is None or init.name == PUBLIC or any(f"--out {init.parent} " in f"{command} " for command in commands)
    for command in commands:
        if command.startswith("python train/prune.py"):
            assert parse(command.split()[2:], PruneConfig, PRUNE_PRESETS).macs == 0.05
