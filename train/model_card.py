"""Write a released network's model card from the files beside it: `python train/model_card.py models/NAME`."""

from __future__ import annotations
from edge_runtime.cli import run_command

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import jinja2
import tyro

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import InputError
from edge_runtime.files import write_text
from train.engine.presets import HELPFUL, OPEN_SOURCES, PRESETS, PRUNE_PRESETS, FitConfig, PruneConfig
from train.models import count_macs, count_parameters, load_checkpoint

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
SUMMARIES = {
    "unet_lite": "A lightweight U-Net: EfficientNet-Lite0 encoder to stride 32, depthwise-separable decoder.",
    "unet_lite_s": "The small sister of unet_lite: the encoder ends at stride 16, and the input is smaller.",
    "u2netp": "U2-Netp (Qin et al. 2020), the full-precision reference.",
    "u2netp_pruned": "U2-Netp with whole channels taken out, most of them at full resolution.",
    "u2netp_open": "U2-Netp (Qin et al. 2020), fine-tuned from the public sky weights of xiongzhu666 (MIT).",
    "teacher": "A U-Net with the EfficientNet-Lite2 encoder: the accuracy reference, and what the small networks learned from.",
}
PUBLIC = "u2netp_public_384.pt"  # the public U2-Netp (MIT), which u2netp_open starts from
# Folder name in a checkpoint's record -> where it is found, or the commands that make it; {} is the teacher's checkpoint.
FOUND = {"sky": "../shared/data/sky", "open": "../shared/data/open"}
SCENES = "python -m scenes.render --out runs/{} --split train"
SOFTEN = "python train/distill.py {{}} --data {} --unlabeled ../shared/data/unlabelled{} --out runs/{}"


def _with_negatives(name: str, general: int, indoor: int, others: int) -> list[str]:
    """Return the commands that paint scenes and, since networks see sky in them, rooms, walls, close-ups and flat frames."""
    shares = {"flat": 80, "": general, "indoor": indoor, "wall": others, "closeup": others}
    return [
        f"{SCENES.format(name)} --count {count} --seed {300000 + 10000 * number}{kind and ' --kind ' + kind}"
        for number, (kind, count) in enumerate(shares.items())
    ]


SEEN = (  # unlabeled images for the masks of three networks
    "sun8 imagenet_sample openimages dicm_lime wall_stunning scenes15_gray jetson sflckr upview wall_oceanic superglue "
    "wall_deepin depthany ccsn_sample wbsrgb wall_elementary wall_kde opensfm wall_pop expocorr wall_jlopez openpano"
)
TAUGHT = " ".join((*OPEN_SOURCES[:-1], "wall_oceanic"))  # the last of unlabeled images
MADE = {
    "train-scenes": [f"{SCENES.format('train-scenes')} --count 700 --seed {seed}" for seed in (100000, 200000)],
    "open-scenes": _with_negatives("open-scenes", 420, 120, 60),
    "mixed-scenes": _with_negatives("mixed-scenes", 400, 100, 50),
    "softened": [SOFTEN.format(FOUND["sky"], "", "softened")],
    "soft3": [
        "python train/distill.py models/teacher/checkpoint.pt models/u2netp/checkpoint.pt models/unet_lite/checkpoint.pt "
        f"--unlabeled ../shared/data/unlabelled --sources {SEEN} --unsure 0.1 --out runs/soft3"
    ],
    "open-soft": [SOFTEN.format(f"{FOUND['open']} {FOUND['sky']}", f" --sources {TAUGHT}", "open-soft")],
}
FLAGS = (
    "corrections", "conditions", "resident", "balance", "boundary", "sizes", "steps", "batches", "lr", "warmup", "ema", "seed",
    "precision",
)  # fmt: skip
PRUNING_FLAGS = ("size", "macs", "rounds", "steps", "final_steps", "batch", "conditions", "lr", "ema", "seed", "precision")
# What was done to released weights by hand, with code that is not kept: key of a checkpoint's record -> what the card says.
BY_HAND = {
    "started_from": "It started from {}; no flag of train/fit.py takes a part of the weights.",
    "head_bias_shift": "After training {} was added to the bias of the last layer: fewer pixels count as sky.",
    "boundary_in_dice": "The weight of pixels near edges entered the Dice loss too.",
    "drawn": "Images were drawn so: {}.",
}
COLUMNS = (
    ("iou", "pooled IoU"),
    ("iou_per_image", "per-image IoU"),
    ("boundary_iou", "boundary IoU"),
    ("iou_excluding_edges", "IoU without 2 px at edges"),
    ("mae", "MAE"),
    ("nosky_fpr", "no-sky pixels predicted as sky"),
)


@dataclass(frozen=True)
class ModelCardConfig:
    """Write README.md of a released model folder."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with checkpoint.pt, metrics.json and metrics_indoor.json (of train/evaluate.py) and FORMAT-PRECISION artifacts."""


def card(folder: Path) -> str:
    """Return the model card of `folder` as Markdown; every figure is read from the folder's files."""
    checkpoint = load_checkpoint(folder / "checkpoint.pt")
    kind = (
        checkpoint.arch
        + "_pruned" * bool(checkpoint.plan)
        + "_open" * (checkpoint.arch == "u2netp" and "terms" in checkpoint.training)
    )
    if kind not in SUMMARIES:
        raise InputError(f"got a checkpoint of {kind}, expected a released one: {', '.join(SUMMARIES)}")
    metrics, indoor = _read(folder / "metrics.json"), _read(folder / "metrics_indoor.json")
    model = checkpoint.build()
    tagged = {f"*scene: {tag}*": values for tag, values in metrics["tags"].items()}
    sets = {"**all**": metrics["pooled"], **metrics["sources"], **tagged}
    return jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined).render(
        name=folder.resolve().name,
        checkpoint=checkpoint,
        summary=SUMMARIES[kind],
        parameters=count_parameters(model),
        gmacs=count_macs(model, checkpoint.size) / 1e9,
        begins=_begins(checkpoint.training),
        recipe=recipe(checkpoint.training),
        by_hand=[said.format(checkpoint.training[key]) for key, said in BY_HAND.items() if key in checkpoint.training],
        settings=[(name, _plain(value)) for name, value in _settings(checkpoint.training).items() if value not in (None, [], {})],
        rounds=_rounds(checkpoint.training),
        metrics=metrics,
        indoor_count=indoor["pooled"]["count"],
        indoor_called_sky=_cell(indoor["pooled"]["nosky_fpr"], digits=5),
        columns=COLUMNS,
        rows=[[name, values["count"], *(_cell(values.get(key)) for key, _ in COLUMNS)] for name, values in sets.items()],
        artifacts=[read_artifact(path.parent) for path in sorted(folder.glob("*/model.json"))],
    )


def recipe(training: dict[str, Any]) -> list[str]:
    """Return the commands of a checkpoint's record, first things first; an earlier run that it started from is part of it."""
    settings = _settings(training)
    if "data" not in settings:
        return []  # weights from elsewhere
    commands = recipe(training["before"]) if training.get("before") else []
    teacher = "models/teacher/checkpoint.pt"
    for taught_by in (each for each in training.get("teachers", ()) if each["training"]):  # an artifact tells no recipe
        taught = recipe(taught_by["training"])
        commands += [line for line in taught if line not in commands]
        teacher = f"{taught[-1].split('--out ')[1].split()[0]}/checkpoint.pt"
    data = settings["data"]
    made = [line.format(teacher) for name in data for line in MADE.get(name, ())]
    commands += [line for line in made if line not in commands]
    folders = " ".join(FOUND.get(name, f"runs/{name}") for name in data)
    done = sum("--out runs/step-" in command for command in commands)
    before, out = f"runs/step-{done}/checkpoint.pt", f"--out runs/step-{done + 1}"
    if settings.get("corrections"):
        settings["corrections"] = f"train/data/{settings['corrections']}"
    if settings.get("init") == PUBLIC:
        before = f"../shared/data/pretrained/{PUBLIC}"
    if "pruned" in training:
        flags = _flags(settings, PRUNE_PRESETS["u2netp"], PRUNING_FLAGS)
        return [*commands, " ".join([f"python train/prune.py u2netp --checkpoint {before} --data {folders} {out}", *flags])]
    if settings.get("resident") and "conditions" not in settings:  # such views had them built in
        settings["conditions"] = list(HELPFUL)
    # Views in batches have presets of their own.
    preset = settings["arch"] + ("_open" if training.get("terms") else "_gpu" * bool(settings.get("resident")))
    flags = [f"--init {before}"] * bool(settings["init"]) + _flags(settings, PRESETS[preset], FLAGS)
    return [*commands, " ".join([f"python train/fit.py {preset} --data {folders} {out}", *flags])]


def _begins(training: dict[str, Any]) -> str:
    """Return the sentence that says where weights begin that are not ours or ImageNet's alone; empty for the others."""
    public = "the public U2-Netp (MIT, Copyright (c) 2021 xiongzhu666)"
    if training.get("init") == PUBLIC:
        return (
            f"It starts from {public} of https://github.com/xiongzhu666/Sky-Segmentation-and-Post-processing, whose author "
            "does not say which images it was trained on."
        )
    if "terms" in training:
        taught = f" Its teacher [u2netp_open](../u2netp_open/README.md) starts from {public}." if training.get("teachers") else ""
        return f"It starts from ImageNet weights of the encoder (Apache-2.0).{taught}"
    return _begins(training["before"]) if training.get("before") else ""


def _flags(settings: dict[str, Any], preset: FitConfig | PruneConfig, names: Sequence[str]) -> list[str]:
    """Return the flags of those settings that are not the preset's; what a record lacks was the default."""
    flags = []
    defaults = {field.name: field.default for field in fields(preset)}
    for name in names:
        values, wanted = settings.get(name, defaults[name]), getattr(preset, name)
        values = list(values) if isinstance(values, tuple) else values
        values = values if isinstance(values, list) else [values]
        if values != list(wanted if isinstance(wanted, tuple) else [wanted]):
            flags.append(" ".join([f"--{name.replace('_', '-')}", *map(str, values)]))
    return flags


def _rounds(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the pruning run wrote of its rounds, wherever it stands in the chain of runs; empty where there was none."""
    return training.get("history") or (_rounds(training["before"]) if training.get("before") else [])


def _settings(training: dict[str, Any]) -> dict[str, Any]:
    return (
        dict(training["pruned"])
        if "pruned" in training
        else {name: value for name, value in training.items() if name not in ("before", "terms", "teachers", "sources_seen")}
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; write it with train/evaluate.py") from error


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cell(metric: dict[str, float | None] | None, digits: int = 3) -> str:
    if metric is None or metric["value"] is None:
        return "–"
    if metric.get("low") is None:
        return f"{metric['value']:.{digits}f}"
    return f"{metric['value']:.{digits}f} ({metric['low']:.{digits}f}–{metric['high']:.{digits}f})"


def main(config: ModelCardConfig) -> None:
    """Write the card and print its path."""
    path = config.folder / "README.md"
    write_text(path, card(config.folder))
    print(path)


if __name__ == "__main__":
    run_command(main, ModelCardConfig)
