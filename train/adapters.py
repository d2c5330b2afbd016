"""Bring a public data set into the house's layout: `python train/adapters.py NAME SOURCE --out DIR`.

SOURCE is a folder as the owners publish it, unpacked. DIR then is what `edge_runtime.images.dataset` reads, so training,
evaluation, int8 and the benchmark take it like any other folder::

    DIR/SPLIT/images/ID.jpg   DIR/SPLIT/masks/ID.png   DIR/manifest.csv     SPLIT: train, val, test

Images keep their bytes: they are hard links where SOURCE and DIR lie on one file system (so never edit them in place),
else copies. Masks are written: 255 sky, 0 other, 128 void. Every image is decoded once, so that a broken one is found
now and not in the middle of a training run. With `--max-side` a larger image is resized as the network's input is
(`edge_runtime.images.resize.resize_rgb`) and saved as PNG, which loses nothing more, and its mask takes the nearest label:
labels are never mixed.

DIR appears whole or not at all. Trees, places and terms of the data sets: `train.data.sources`.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.files import partial_folder
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import VOID
from edge_runtime.images.resize import resize_rgb
from edge_runtime.progress import track
from scenes.render import MANIFEST_FIELDS
from train.data.links import link_or_copy
from train.data.sources import ade20k, cityscapes, folder, regions, skyfinder
from train.data.sources.plan import SKY, Item, Plan

FOLDER_OPTIONS = ("image_folder", "mask_folder", "sky_value", "void_value", "split")
REGION_OPTIONS = ("sky_class", "void_class", "split")
OPTIONS = {"folder": FOLDER_OPTIONS, "coco": REGION_OPTIONS, "labelme": REGION_OPTIONS}  # fields that these alone read


@dataclass(frozen=True)
class AdapterConfig:
    """Write a public data set, or labels of your own, as images, masks and manifest that every command here reads."""

    name: Annotated[
        Literal["ade20k", "ade20k_outdoors", "cityscapes", "skyfinder", "coco", "labelme", "folder"], tyro.conf.Positional
    ]
    """The data set; `coco`, `labelme`, `folder`: regions or masks of your own."""
    source: Annotated[Path, tyro.conf.Positional]
    """Folder of the unpacked data set, as its owners publish it."""
    out: Path
    """Folder to write; must be missing or empty."""
    seed: int = 0
    """Seed of the splits that are ours: which images or cameras go to which."""
    max_side: int | None = None
    """Resize images whose longer side has more pixels than this. None keeps all as they are."""
    image_folder: str = "images"
    """`folder`: where the images are in SOURCE."""
    mask_folder: str = "masks"
    """`folder`: where the masks are in SOURCE."""
    sky_value: tuple[int, ...] = ()
    """`folder`: gray level or class number, or three numbers of a color, that means sky. Default: white."""
    void_value: tuple[int, ...] = ()
    """`folder`: the same for pixels to ignore."""
    sky_class: tuple[str, ...] = ("sky",)
    """`coco`, `labelme`: classes that are sky."""
    void_class: tuple[str, ...] = ()
    """`coco`, `labelme`: classes to ignore, over sky."""
    split: Literal["train", "val", "test"] | None = None
    """`coco`, `labelme`, `folder`: put everything here. None deals it out 60/20/20."""


ADAPTERS: dict[str, Callable[[AdapterConfig], Plan]] = {
    "ade20k": lambda config: ade20k.benchmark(config.source, config.seed),
    "ade20k_outdoors": lambda config: ade20k.outdoors(config.source, config.seed),
    "cityscapes": lambda config: cityscapes.fine(config.source),
    "skyfinder": lambda config: skyfinder.cameras(config.source, config.seed),
    "coco": lambda config: regions.coco(config.source, config.seed, config.sky_class, config.void_class, config.split),
    "labelme": lambda config: regions.labelme(config.source, config.seed, config.sky_class, config.void_class, config.split),
    "folder": lambda config: folder.plain(
        config.source, config.seed, **{option: getattr(config, option) for option in FOLDER_OPTIONS}
    ),
}


def main(config: AdapterConfig) -> None:
    """Write the data set and print a line per split."""
    _check(config)
    plan = ADAPTERS[config.name](config)
    _check_items(plan.items)
    rows, left_out = _write_whole(plan, config)
    for split in ("train", "val", "test"):
        mine = [row for row in rows if row["split"] == split]
        if mine:
            sky, void = (np.mean([float(row[name]) for row in mine]) for name in ("sky_fraction", "ignore_fraction"))
            groups = len({row["group"] for row in mine})
            print(f"{split}: {len(mine)} images of {groups} groups, {sky:.1%} sky, {void:.1%} void")
    if left_out:
        print(f"left out: {len(left_out)} images, broken or of another size than their mask, such as {left_out[0]}")


def _check(config: AdapterConfig) -> None:
    if not config.source.is_dir():
        raise InputError(f"got SOURCE {config.source}, expected an existing folder; download and unpack {config.name} first")
    if config.max_side is not None and config.max_side < 16:
        raise InputError(f"got --max-side {config.max_side}, expected at least 16 pixels; try 1024")
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"got --out {config.out}, which is not empty, expected a new folder; choose another, or remove it")
    defaults: dict[str, Any] = {field.name: field.default for field in fields(AdapterConfig) if field.default is not MISSING}
    for name in {*FOLDER_OPTIONS, *REGION_OPTIONS} - {*OPTIONS.get(config.name, ())}:
        if getattr(config, name) != defaults[name]:
            takers = " and ".join(key for key, names in OPTIONS.items() if name in names)
            raise InputError(f"got --{name.replace('_', '-')} with {config.name}, expected it with {takers} only; leave it out")


def _check_items(items: Sequence[Item]) -> None:
    """Refuse, before anything is written, images without annotation and two images of one name."""
    missing = [item for item in items if not item.annotation.is_file()]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"image {missing[0].image} has no annotation{others}; expected {missing[0].annotation}")
    names = Counter(item.id for item in items)
    doubled = [item for item in items if names[item.id] > 1]
    if doubled:
        raise InputError(f"got {doubled[0].image} and {doubled[1].image}, expected one image of a name; rename one")


def _write_whole(plan: Plan, config: AdapterConfig) -> tuple[list[dict[str, str]], list[Path]]:
    """Write beside `--out` and rename at the end; on any failure, Ctrl-C too, nothing stays."""
    with partial_folder(config.out) as partial:
        rows: list[dict[str, str]] = []
        left_out: list[Path] = []
        for item in track(plan.items, config.name):
            mask = plan.to_mask(item)
            try:
                image = _read_image(item, mask)
            except InputError:
                if not plan.skip_unfit:
                    raise
                left_out.append(item.image)
                continue
            rows.append(_write_item(partial / item.split, item, image, mask, config) | _origin(plan, item, config.source))
        if not rows:
            raise InputError(f"got no image of {plan.source} that agrees with its mask, expected some; unpack it again")
        with (partial / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, MANIFEST_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
    return rows, left_out


def _read_image(item: Item, mask: np.ndarray) -> np.ndarray:
    """Decode an image; raises `InputError` where it is broken or differs in size from its mask."""
    image = read_rgb(item.image)
    if mask.shape != image.shape[:2]:
        expected = f"{image.shape[:2]} (height, width) as {item.image}"
        raise InputError(f"annotation {item.annotation} is {mask.shape}, expected {expected}; are they of one version?")
    return image


def _write_item(target: Path, item: Item, image: np.ndarray, mask: np.ndarray, config: AdapterConfig) -> dict[str, str]:
    """Write image and mask into the folder of their split; returns what the manifest says about them."""
    for kind in ("images", "masks"):
        (target / kind).mkdir(parents=True, exist_ok=True)
    height, width = mask.shape
    shrink = 1.0 if config.max_side is None else config.max_side / max(height, width)
    if shrink < 1:
        height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
        Image.fromarray(resize_rgb(image, height, width)).save(target / "images" / f"{item.id}.png")
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    else:
        link_or_copy(item.image, target / "images" / f"{item.id}{item.image.suffix}")
    Image.fromarray(mask).save(target / "masks" / f"{item.id}.png")
    return {
        "id": item.id,
        "split": item.split,
        "group": item.group,
        "scene": item.scene,
        "width": str(width),
        "height": str(height),
        "sky_fraction": f"{(mask == SKY).mean():.6f}",  # of all pixels, void ones too
        "ignore_fraction": f"{(mask == VOID).mean():.6f}",
    }


def _origin(plan: Plan, item: Item, source: Path) -> dict[str, str]:
    return {
        "source": plan.source,
        "label_quality": plan.label_quality,
        "licence": plan.licence,
        "origin": item.image.relative_to(source).as_posix(),
    }


if __name__ == "__main__":
    run_command(main, AdapterConfig)
