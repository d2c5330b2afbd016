"""Images and masks of your own, in two folders.

A mask has the stem of its image and any image suffix. Terms: yours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.mask_file import VOID
from train.data.sources.plan import OTHER, SKY, Item, Plan, of_file, read_labels, split_names, visible_files, wrong_layout

NEXT_STEP = "Name your folders with --image-folder and --mask-folder."


def plain(
    source: Path,
    seed: int,
    image_folder: str = "images",
    mask_folder: str = "masks",
    sky_value: Sequence[int] = (),
    void_value: Sequence[int] = (),
    split: str | None = None,
) -> Plan:
    """Read SOURCE/IMAGE_FOLDER/NAME.* and SOURCE/MASK_FOLDER/NAME.*; all to `split`, or 60/20/20 by seed and name.

    `sky_value` and `void_value` are what stands for sky and void in a mask: one gray level or class number, or three for a color;
    all else is "other". Without `sky_value` a mask is black and white, see `mask_of_gray`.
    """
    if len(sky_value) not in (0, 1, 3) or len(void_value) not in (0, len(sky_value)):
        got = f"--sky-value {' '.join(map(str, sky_value))} --void-value {' '.join(map(str, void_value))}"
        raise InputError(f"got {got}, expected one number (gray, class) or three (RGB) for sky, and as many or none for void")
    tree = f"{image_folder}/NAME.jpg\n{mask_folder}/NAME.png   any image suffixes; the stems agree"
    images, masks = visible_files(source / image_folder), visible_files(source / mask_folder)
    if not images or not masks:
        got = f"without an image in {mask_folder if images else image_folder}/"
        raise wrong_layout(source, got, tree, NEXT_STEP)
    by_stem: dict[str, Path] = {}
    for path in masks:
        if by_stem.setdefault(path.stem, path) != path:
            raise InputError(f"got {by_stem[path.stem]} and {path}, expected one mask per stem; remove one")
    dealt = split_names([image.stem for image in images], seed, val=0.2, test=0.2) if split is None else {}
    items = [
        Item(
            id=image.stem,
            image=image,
            annotation=by_stem.get(image.stem, source / mask_folder / f"{image.stem}.png"),
            split=split or dealt[image.stem],
            group=image.stem,
        )
        for image in images
    ]
    to_mask = partial(mask_of_value, sky=tuple(sky_value), void=tuple(void_value)) if sky_value else mask_of_gray
    return Plan(source.resolve().name, "unknown", "unknown", items, of_file(to_mask))


def mask_of_value(path: Path, sky: tuple[int, ...], void: tuple[int, ...]) -> np.ndarray:
    """Read a mask in which sky and void are given values or colors; palette images are read as their indices."""
    labels, mode = read_labels(path)
    if (labels.ndim == 3) != (len(sky) == 3):
        raise InputError(f"mask {path} has mode {mode}, expected {'RGB' if len(sky) == 3 else 'one channel'}; see --sky-value")
    pixels = labels if labels.ndim == 3 else labels[..., None]
    mask = np.full(labels.shape[:2], OTHER, np.uint8)
    mask[(pixels == np.array(sky)).all(axis=2)] = SKY
    if void:
        mask[(pixels == np.array(void)).all(axis=2)] = VOID
    return mask


def mask_of_gray(path: Path) -> np.ndarray:
    """Read a black and white mask of 1 or 8 bits.

    One that holds nothing but 255, 0 and 128 already speaks the house's language and is taken as it is. In any other,
    such as a JPEG or an anti-aliased one, a value above 127 is sky, and nothing is void.
    """
    labels, mode = read_labels(path)
    if mode == "1":
        return labels * np.uint8(SKY)
    if mode != "L":
        raise InputError(
            f"mask {path} has mode {mode}, expected 1 or 8 bits of gray, white for sky; say with --sky-value which number"
            " (of a palette or 16-bit mask), or which three (of a color mask), are sky"
        )
    if labels.max(initial=0) == 1:
        raise InputError(f"mask {path} holds nothing above 1, expected 255 for sky; where 1 is sky, say --sky-value 1")
    if np.isin(labels, (SKY, OTHER, VOID)).all():
        return labels
    return np.where(labels > 127, np.uint8(SKY), np.uint8(OTHER))
