"""Data sets in the layouts of their owners, small, and what reads them through an adapter."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair, splits
from scenes.render import MANIFEST_FIELDS
from train.adapters import AdapterConfig, main

NAMES = ("ade20k", "ade20k_outdoors", "cityscapes", "skyfinder", "folder")
PALETTE = [value for index in range(256) for value in (index * 7 % 256, 255 - index, index * 3 % 256)]


def write(path: Path, pixels: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image = Image.fromarray(pixels, "L").convert("P")
        image.frombytes(pixels.tobytes())
        image.putpalette(PALETTE)
    image.save(path)


def write_image(path: Path, height: int, width: int) -> None:
    seed = sum(path.name.encode())
    write(path, np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def rows_of(*values: int, width: int = 24) -> np.ndarray:
    """Return a label image of horizontal stripes, two rows each."""
    return np.repeat(np.array(values, np.uint8), 2)[:, None].repeat(width, axis=1)


def convert(name: str, source: Path, out: Path, **options: object) -> dict[str, dict[str, str]]:
    """Run the adapter and check what holds for all of them; returns the manifest's rows by id."""
    main(AdapterConfig(name=name, source=source, out=out, **options))  # type: ignore[arg-type]
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == MANIFEST_FIELDS
        rows = {row["id"]: row for row in reader}
    found = {pair.id: (split, pair) for split in splits(out) for pair in find_pairs(out, split)}
    assert set(found) == set(rows)
    for name, row in rows.items():
        split, pair = found[name]
        labeled = read_pair(pair)
        assert (pair.source, pair.scene, split) == (row["source"], row["scene"], row["split"])
        assert labeled.sky.shape == (int(row["height"]), int(row["width"]))
        assert float(row["sky_fraction"]) == pytest.approx((labeled.sky == 1).mean(), abs=1e-6)
        assert float(row["ignore_fraction"]) == pytest.approx(1 - labeled.valid.mean(), abs=1e-6)
        if "max_side" not in options:
            assert pair.image.read_bytes() == (source / row["origin"]).read_bytes()
    assert sorted(path.name for path in out.parent.iterdir() if path.name.startswith(".")) == []
    return rows


def mask_of(out: Path, split: str, name: str) -> np.ndarray:
    with Image.open(out / split / "masks" / f"{name}.png") as opened:
        assert opened.mode == "L"
        return np.asarray(opened)


def refused(name: str, source: Path, out: Path, **options: object) -> str:
    """Return the message of a refusal that leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(InputError) as raised:
        main(AdapterConfig(name=name, source=source, out=out, **options))  # type: ignore[arg-type]
    assert sorted(out.parent.iterdir()) == before
    return str(raised.value)


# --- the layouts ------------------------------------------------------------------------------------------------------


def ade20k_tree(root: Path, count: int = 20) -> Path:
    for folder, name, total in (("training", "train", count), ("validation", "val", 2)):
        for number in range(1, total + 1):
            stem = f"ADE_{name}_{number:08d}"
            write_image(root / "images" / folder / f"{stem}.jpg", 8, 24 + number)
            write(root / "annotations" / folder / f"{stem}.png", rows_of(3, 0, 150, 4, width=24 + number))
    return root


def cityscapes_tree(root: Path) -> Path:
    for split, city in (("train", "aachen"), ("val", "frankfurt"), ("val", "lindau"), ("val", "munster"), ("test", "berlin")):
        for number in (19, 20):
            stem = f"{city}_000000_{number:06d}"
            write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", 18, 24)
            labels = rows_of(23, *range(7), 255) if split != "test" else rows_of(*[3] * 9)
            write(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", labels)
            write(root / "gtFine" / split / city / f"{stem}_gtFine_color.png", np.zeros((18, 24, 3), np.uint8))
            (root / "gtFine" / split / city / f"{stem}_gtFine_polygons.json").write_text("{}")
    return root


def skyfinder_tree(root: Path, cameras: tuple[int, ...] = (65, 204, 858, 3297, 10870)) -> Path:
    for camera in cameras:
        for hour in range(3):
            write_image(root / str(camera) / f"20130606_{hour:02d}4951.jpg", 12, 16 + camera % 7)
        write(root / "skyfinder_masks" / f"{camera}.png", rows_of(255, 255, 255, 0, 0, 0, width=16 + camera % 7))
    return root


def folder_tree(root: Path, mask: np.ndarray | None = None, count: int = 10) -> Path:
    for number in range(count):
        write_image(root / "images" / f"{number}.png", 8, 24)
        write(root / "masks" / f"{number}.png", rows_of(255, 0, 128, 0) if mask is None else mask)
    return root


TREES = dict(zip(NAMES, (ade20k_tree, ade20k_tree, cityscapes_tree, skyfinder_tree, folder_tree), strict=True))
ADE_PAIR = ("images/training/ADE_train_00000001.jpg", "annotations/training/ADE_train_00000001.png")
ONE_PAIR = {
    "ade20k": ADE_PAIR,
    "ade20k_outdoors": ADE_PAIR,
    "cityscapes": (
        "leftImg8bit/val/munster/munster_000000_000020_leftImg8bit.png",
        "gtFine/val/munster/munster_000000_000020_gtFine_labelIds.png",
    ),
    "skyfinder": ("204/20130606_004951.jpg", "skyfinder_masks/204.png"),
    "folder": ("images/7.png", "masks/7.png"),
}
