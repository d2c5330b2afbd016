"""Keep a corrected mask: write it in one step, and as a training pair in the layout of `edge_runtime.images.dataset`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file, write_bytes
from edge_runtime.images.formats import IMAGE_SUFFIXES
from edge_runtime.images.mask_file import VOID, mask_png

RECORD = "correct"  # in the PNG: `correct` may write it again, `segment` may not


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write (H, W) uint8 as a PNG, whole or not at all."""
    write_bytes(path, mask_png(mask, RECORD))


def check_pair(folder: Path, stem: str) -> None:
    """Raise `InputError` where `folder` holds an image or a mask of that stem: a label is never overwritten."""
    places = [folder / "images" / f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)] + [folder / "masks" / f"{stem}.png"]
    for place in places:
        if place.exists():
            raise InputError(f"got --save-pair {folder}, which has {place}; expected a new stem; remove it or rename the image")


def save_pair(folder: Path, image: Path, mask: np.ndarray) -> None:
    """Write images/STEM.* (the file as it is) and masks/STEM.png; the mask first, so that no image lacks one.

    A share that rounds to 128 is written as 129: 128 means void in that layout. Raises `InputError` where one of both is
    there already.
    """
    check_pair(folder, image.stem)
    image_place, mask_place = folder / "images" / image.name, folder / "masks" / f"{image.stem}.png"
    write_bytes(mask_place, mask_png(np.where(mask == VOID, np.uint8(VOID + 1), mask), RECORD), replace=False)
    try:
        with partial_file(image_place, replace=False) as partial:
            shutil.copyfile(image, partial)
    except BaseException:
        mask_place.unlink()  # ours: without `replace` only a new file is written
        raise
