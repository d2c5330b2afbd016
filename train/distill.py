"""Mix teachers into masks: `python train/distill.py TEACHER [TEACHER ...] --data DIR ... --unlabeled DIR ... --out DIR`.

The softened targets (`train.engine.losses.soft_target`) are written once, as masks; `train/fit.py STUDENT --data OUT` then
trains the student by distillation without running the teachers again.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import track

from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256, partial_file, write_bytes, write_json
from edge_runtime.images.dataset import Pair, find_pairs, read_pair
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import VOID, mask_png
from scenes.render import mask_bytes
from train.data.balance import UNLABELED
from train.data.corrections import correct
from train.data.datasets import gather, of_sources
from train.data.links import link_or_copy
from train.data.teachers import RECORD, describe_teacher, read_record
from train.engine.limits import check_limits
from train.engine.losses import soft_target
from train.evaluation.model import Model, open_model


@dataclass(frozen=True)
class DistillConfig:
    """Write a training folder whose masks mix the teachers' predictions with the labels."""

    teachers: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Checkpoints or artifact folders; their probabilities, and those of the mirrored image, are averaged."""
    data: tuple[Path, ...] = ()
    """Labeled folders, of which `train` is used; void pixels get the teachers' prediction alone."""
    unlabeled: tuple[Path, ...] = ()
    """Folders of images without masks, which get the teachers' prediction alone."""
    sources: tuple[str, ...] = ()
    """Images of these sources of the manifests alone, labeled or not. Default: all."""
    out: Path = Path("runs/softened")
    """Folder to write: OUT/train/images (links), OUT/train/masks, OUT/manifest.csv. A run that was killed goes on."""
    weight: float = 0.5
    """Share of the teachers in the target of a labeled pixel, 0 to 1."""
    unsure: float = 0.0
    """Unlabeled pixels become void where the teachers' probability is nearer to 0.5 than this, 0 to 0.5; 0: none."""
    threads: int = 1
    """CPU threads of the teachers."""
    corrections: Path | None = None
    """File of regions whose labels are wrong and get the teachers' prediction alone (train/data/corrections.py)."""
    arch: str | None = None
    """FILE.py:function, which runs, where a teacher is a checkpoint of a network of your own."""


def soften(config: DistillConfig) -> Path:
    """Write the folder and return it.

    Raises `InputError` for two images of one name, and for an --out of other teachers or another weight.
    """
    pairs = _images(config)
    teachers = [open_model(path, config.threads, config.arch) for path in config.teachers]
    _claim(config, teachers)
    images, masks = config.out / "train" / "images", config.out / "train" / "masks"
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for pair in track(pairs, "softening", console=Console(stderr=True)):
        mask = masks / f"{pair.id}.png"
        if not mask.is_file():
            link_or_copy(pair.image, images / pair.image.name)
            _write_mask(soft_mask(pair, teachers, config.weight, config.unsure), mask)
    with partial_file(config.out / "manifest.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "source", "split", "scene"])
        for pair in pairs:
            scene = pair.scene if pair.mask else f"{UNLABELED} {pair.scene}".strip()
            writer.writerow([pair.id, pair.source, "train", scene])
    return config.out


def soft_mask(pair: Pair, teachers: Sequence[Model], weight: float, unsure: float = 0.0) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: `weight` of the teachers' mean mixed with the label, or their mean where none is.

    Without a label, NaN (void) stands where the mean is nearer to 0.5 than `unsure`.
    """
    image = read_rgb(pair.image)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    opinions = [opinion for teacher in teachers for opinion in (teacher.predict(image), teacher.predict(mirrored)[:, ::-1])]
    opinion = np.stack(opinions).mean(axis=0, dtype=np.float32)
    if pair.mask is None:
        return np.where(np.abs(opinion - 0.5) < unsure, np.nan, opinion)
    labeled = read_pair(pair)
    sky, valid, mean = (torch.from_numpy(plane) for plane in (labeled.sky, labeled.valid, opinion))
    return soft_target(sky, valid, mean, weight).numpy()


def _images(config: DistillConfig) -> list[Pair]:
    if not config.teachers:
        raise InputError("got no teacher, expected one or more checkpoints or artifact folders")
    check_limits(config, {"weight": (0.0, 1.0), "unsure": (0.0, 0.5), "threads": (1, 1024)})
    pairs = correct(gather(config.data, "train"), config.corrections)
    for folder in config.unlabeled:
        # A mask that lies there by chance is not a label.
        pairs += [dataclasses.replace(pair, mask=None) for pair in find_pairs(folder, masks=False)]
    pairs = of_sources(pairs, config.sources)
    if not pairs:
        raise InputError("got no image, expected --data DIR with train/images and masks, or --unlabeled DIR with images")
    places: dict[str, Path] = {}
    for pair in pairs:
        if pair.id in places:
            raise InputError(f"got {places[pair.id]} and {pair.image}, expected one image of a name; rename one")
        places[pair.id] = pair.image
    return pairs


def _claim(config: DistillConfig, teachers: Sequence[Model]) -> None:
    """Make `out`, or make sure that what is there comes from the same teachers and weight."""
    record: dict[str, Any] = {"weight": config.weight, "teachers": [teacher.facts["sha256"] for teacher in teachers]}
    record |= {"unsure": config.unsure} if config.unsure else {}
    record |= {"corrections": file_sha256(config.corrections)} if config.corrections else {}
    path = config.out / RECORD
    if path.is_file():
        found = read_record(config.out)
        if {name: value for name, value in found.items() if name != "about"} != record:
            raise InputError(
                f"got --out {config.out}, made by other teachers, corrections or weights; remove it or choose another"
            )
    elif config.out.is_dir() and any(config.out.iterdir()):
        raise InputError(f"got --out {config.out}, which holds something else, expected a new or empty folder")
    config.out.mkdir(parents=True, exist_ok=True)
    about = [describe_teacher(path, teacher.facts) for path, teacher in zip(config.teachers, teachers, strict=True)]
    write_json(path, record | {"about": about})


def _write_mask(target: np.ndarray, path: Path) -> None:
    values = np.where(np.isnan(target), VOID, mask_bytes(np.clip(np.nan_to_num(target), 0.0, 1.0))).astype(np.uint8)
    write_bytes(path, mask_png(values, "distill"))


def main(config: DistillConfig) -> None:
    """Soften and print the folder."""
    print(soften(config))


if __name__ == "__main__":
    run_command(main, DistillConfig)
