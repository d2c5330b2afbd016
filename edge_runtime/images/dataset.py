"""Read folders of pictures and masks: the one layout that training, calibration, evaluation and benchmarks share.

Layouts::

    DIR/SPLIT/images/NAME.{jpg,png,...}   DIR/SPLIT/masks/NAME.png   DIR/manifest.csv (optional)
    DIR/images/NAME.{jpg,png,...}         DIR/masks/NAME.png         (no splits)
    DIR/NAME.{jpg,png,...}                                           (pictures only)

Masks are 8-bit, one channel: 255 sky, 0 other, 128 exactly is void (left out of every loss and metric); other values
are a soft edge, value / 255 sky.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.ops import DECODE_ERRORS, IMAGE_SUFFIXES, read_rgb

VOID = 128


@dataclass(frozen=True)
class Pair:
    """One picture and, where there is one, its mask.

    `source`, `scene` and `group` come from the manifest. Pictures of one group (a street, a camera, a video) are much
    alike, so a fair split never parts them.
    """

    id: str
    image: Path
    mask: Path | None
    source: str
    scene: str
    group: str


@dataclass(frozen=True)
class Labeled:
    """A decoded pair.

    Attributes
    ----------
    image
        (H, W, 3) uint8, RGB.
    sky
        (H, W) float32 in [0, 1]: share of the pixel that is sky.
    valid
        (H, W) bool: False where the label is void.
    """

    image: np.ndarray
    sky: np.ndarray
    valid: np.ndarray


def find_pairs(root: Path, split: str | None = None, masks: bool = True) -> list[Pair]:
    """List the pictures of `root`, sorted by id.

    Parameters
    ----------
    root
        A folder in one of the layouts of this module.
    split
        Folder of `root` to read (`train`, `val`, `test`). None reads `root` itself.
    masks
        Whether every picture must have a mask.

    Raises
    ------
    InputError
        Missing folder, no picture, two of one stem, a broken manifest, or a picture without a mask that is wanted.
    """
    folder = root / split if split else root
    if not folder.is_dir():
        raise InputError(f"got {folder}, expected an existing folder{_layout_hint(root)}")
    mask_folder = folder / "masks"
    if masks and not mask_folder.is_dir():
        raise InputError(f"got {folder} without masks/, expected images/ and masks/{_layout_hint(root)}")
    rows = _manifest(root / "manifest.csv")
    pairs: list[Pair] = []
    for image in list_pictures(folder):
        if pairs and pairs[-1].id == image.stem:
            raise InputError(f"got {pairs[-1].image} and {image}, expected one picture per stem; rename or remove one")
        mask = mask_folder / f"{image.stem}.png"
        if masks and not mask.is_file():
            raise InputError(f"picture {image} has no mask; expected {mask}")
        row = rows.get(image.stem, {})
        pairs.append(
            Pair(
                id=image.stem,
                image=image,
                mask=mask if mask.is_file() else None,
                source=row.get("source") or root.name,
                scene=row.get("scene") or "",
                group=row.get("group") or image.stem,
            )
        )
    return pairs


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of `folder/images`, or where that is missing of `folder`, sorted by stem.

    Hidden files, such as the `._NAME.jpg` that macOS leaves on memory cards, are not pictures.

    Raises
    ------
    InputError
        There is none.
    """
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    found = [
        path
        for path in pictures.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise InputError(f"got no picture in {pictures}, expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return sorted(found, key=lambda path: (path.stem, path.suffix))


def splits(root: Path) -> list[str]:
    """Return the names of the splits of `root` that hold pictures, e.g. ``["test", "train", "val"]``."""
    return sorted(path.parent.name for path in root.glob("*/images") if path.is_dir()) if root.is_dir() else []


def read_pair(pair: Pair) -> Labeled:
    """Decode a pair; raises `InputError` where the file is broken or picture and mask differ in size."""
    image = read_rgb(pair.image)
    if pair.mask is None:
        raise InputError(f"picture {pair.image} has no mask; expected one beside it in masks/")
    try:
        with Image.open(pair.mask) as opened:
            mode, labels = opened.mode, np.asarray(opened.convert("L"))
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read mask {pair.mask}: {error}; expected an 8-bit PNG of one channel") from error
    if mode.startswith(("I", "F")):  # Pillow would clip these to 255, and so turn nearly all of them into sky
        raise InputError(f"mask {pair.mask} has mode {mode}, expected 8 bits: 255 sky, 0 other, 128 void; convert it")
    if labels.shape != image.shape[:2]:
        expected = f"{image.shape[:2]} (height, width) as its picture"
        raise InputError(f"mask {pair.mask} is {labels.shape}, expected {expected}")
    return Labeled(image, labels.astype(np.float32) / 255.0, labels != VOID)


def _manifest(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["id"]: row for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error!r}; expected UTF-8 with a column `id` in its header") from error


def _layout_hint(root: Path) -> str:
    found = splits(root)
    return f"; {root} has the splits {', '.join(found)}" if found else ""
