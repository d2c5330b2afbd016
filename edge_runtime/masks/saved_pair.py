"""Keep a corrected mask: write it in one step, and as a training pair in the layout of `edge_runtime.images.dataset`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import VOID
from edge_runtime.images.ops import IMAGE_SUFFIXES


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write (H, W) uint8 as a PNG, whole or not at all."""
    place(path, lambda partial: Image.fromarray(mask).save(partial, format="PNG"), os.replace)


def check_free(folder: Path, stem: str) -> None:
    """Raise `InputError` where `folder` holds a picture or a mask of that stem: a label is never overwritten."""
    places = [folder / "images" / f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)] + [folder / "masks" / f"{stem}.png"]
    for place in places:
        if place.exists():
            raise InputError(f"got --save-pair {folder}, which has {place}; expected a new stem; remove it or rename the picture")


def save_pair(folder: Path, picture: Path, mask: np.ndarray) -> None:
    """Write images/STEM.* (the file as it is) and masks/STEM.png; the mask first, so that no picture lacks one.

    A share that rounds to 128 is written as 129: 128 means void in that layout.

    Raises
    ------
    InputError
        One of both is there already.
    """
    check_free(folder, picture.stem)
    image_place, mask_place = folder / "images" / picture.name, folder / "masks" / f"{picture.stem}.png"
    label = Image.fromarray(np.where(mask == VOID, np.uint8(VOID + 1), mask))
    place(mask_place, lambda partial: label.save(partial, format="PNG"), _link_new)
    try:
        place(image_place, lambda partial: shutil.copyfile(picture, partial), _link_new)
    except BaseException:
        mask_place.unlink()  # ours: _link_new made it
        raise


def place(target: Path, save: Callable[[Path], object], move: Callable[[Path, Path], object]) -> None:
    """Let `save` write a file beside `target`, then `move` it there: a killed run leaves no half file of that name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        save(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        move(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _link_new(partial: Path, target: Path) -> None:
    """Give a file its name unless there is one of that name, also where another process is as quick."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise InputError(f"got {target}, which exists already; expected a new stem; remove it or rename the picture") from error
