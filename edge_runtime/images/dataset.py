"""Read folders of images and masks: the one layout that training, calibration, evaluation and benchmarks share.

Layouts::

    DIR/SPLIT/images/NAME.{jpg,png,...}   DIR/SPLIT/masks/NAME.png   DIR/manifest.csv (optional)
    DIR/images/NAME.{jpg,png,...}         DIR/masks/NAME.png         (no splits)
    DIR/NAME.{jpg,png,...}                                           (images only)

`edge_runtime.images.mask_file` says what a mask holds.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.formats import (
    DECODE_ERRORS,
    IMAGE_SUFFIXES,
    SAFE_FORMATS,
    is_cut_off,
    open_image,
    read_reduced,
    read_rgb,
    read_size,
    what_is_wrong,
)
from edge_runtime.images.inverted import GRID, contradicts, warn_if_inverted
from edge_runtime.images.mask_file import VOID, mask_size, read_mask
from edge_runtime.progress import one_line

SAMPLED = 24  # pairs of a folder that are decoded before a run: a folder has one convention
MOST_NAMED = 10  # of the files that are left out


@dataclass(frozen=True)
class Pair:
    """One image and, where there is one, its mask.

    `source`, `scene` and `group` come from the manifest. Images of one group (a street, a camera, a video) are much
    alike, so a fair split never parts them. `void` is (h, w) bool over the image, stretched: where the label is wrong
    (train/data/corrections.py).
    """

    id: str
    image: Path
    mask: Path | None
    source: str
    scene: str
    group: str
    void: np.ndarray | None = field(default=None, compare=False)


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


def spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return `count` of the pairs, spread evenly; all where there are not so many."""
    count = min(count, len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]


def find_pairs(root: Path, split: str | None = None, masks: bool = True) -> list[Pair]:
    """List the images of `root/split`, or where `split` is None of `root` itself, sorted by id.

    With `masks` every image must have a mask. Sizes and headers of all files are checked then, and the content of a few
    masks, so that a run does not end on the thousandth pair.
    """
    folder = root / split if split else root
    if not folder.is_dir():
        raise InputError(f"got {folder}, expected an existing folder{_layout_hint(root)}")
    mask_folder = folder / "masks"
    if masks and not mask_folder.is_dir():
        raise InputError(f"got {folder} without masks/, expected images/ and masks/{_layout_hint(root)}")
    rows = _manifest(root)
    pairs: list[Pair] = []
    for image in list_images(folder):
        if pairs and pairs[-1].id == image.stem:
            raise InputError(f"got {pairs[-1].image} and {image}, expected one image per stem; rename or remove one")
        mask = mask_folder / f"{image.stem}.png"
        if masks and not mask.is_file():
            raise InputError(f"image {image} has no mask; expected {mask}")
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
    if masks:
        ids = {pair.id for pair in pairs}
        alone = sorted(path for path in mask_folder.glob("[!.]*.png") if path.stem not in ids)
        report_skipped([f"{path}: a mask without an image" for path in alone])
        check_pairs(pairs)
    return pairs


def list_images(folder: Path) -> list[Path]:
    """Return the images of `folder/images`, or where that is missing of `folder`, sorted by stem.

    What else lies there is counted and named on stderr. Raises `InputError` where there is no image.
    """
    found, skipped = scan(folder)
    report_skipped(skipped)
    if not found:
        raise InputError(f"got no image in {folder}, expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}")
    return [path for path, _ in found]


def scan(folder: Path, recursive: bool = False) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return the images of a folder as `list_images` does, each with its path below it, and what is left out as "PATH: why".

    `recursive` reads the folders inside as well, but follows no links to folders. Hidden files, such as the `._NAME.jpg`
    that macOS leaves on memory cards, are neither images nor left out.
    """
    base = folder / "images" if (folder / "images").is_dir() else folder
    found: list[tuple[Path, Path]] = []
    skipped = []
    waiting = [base]
    while waiting:
        place = waiting.pop(0)
        try:
            inside = sorted(place.iterdir())
        except OSError as error:  # no rights, or gone since
            skipped.append(f"{place}: {error.strerror}")
            continue
        for path in inside:
            wrong = what_is_wrong(path)
            if path.name.startswith("."):
                continue
            if wrong and recursive and path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif wrong or path.suffix.lower() not in IMAGE_SUFFIXES:
                skipped.append(f"{path}: {wrong or 'not an image by its name'}")
            else:
                found.append((path, path.relative_to(base)))
    return sorted(found, key=lambda item: (item[1].parent, item[0].stem, item[0].suffix)), skipped


def report_skipped(skipped: Sequence[str]) -> None:
    """Say on stderr what of a folder is left out, and why."""
    for line in skipped[:MOST_NAMED]:
        print(f"skipped: {one_line(line)}", file=sys.stderr)
    if len(skipped) > MOST_NAMED:
        print(f"skipped: {len(skipped) - MOST_NAMED} more, {len(skipped)} in all", file=sys.stderr)


def splits(root: Path) -> list[str]:
    """Return the names of the splits of `root` that hold images, e.g. ``["test", "train", "val"]``."""
    return sorted(path.parent.name for path in root.glob("*/images") if path.is_dir()) if root.is_dir() else []


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Raise `InputError` for a pair that no run could read: by the headers of all, and the content of a few.

    Masks that look inverted are told on stderr.
    """
    for pair in pairs:
        if pair.mask is None:
            raise InputError(f"image {pair.image} has no mask; expected one beside it in masks/")
        try:
            with open_image(pair.mask, SAFE_FORMATS) as opened:
                size = mask_size(opened)
        except DECODE_ERRORS as error:
            raise InputError(f"cannot read mask {pair.mask}: {error}; expected an 8-bit PNG of one channel") from error
        _check_size(pair, size, read_size(pair.image, size))
        if is_cut_off(pair.image):
            read_rgb(pair.image)  # says what is wrong, if anything is
        if is_cut_off(pair.mask):
            read_mask(pair.mask)
    few = spread(pairs, SAMPLED)
    verdicts = [contradicts(read_reduced(pair.image, (GRID, GRID))[0], read_mask(_mask_of(pair))) for pair in few]
    warn_if_inverted(verdicts, few[0].image.parent.parent if few else "", "position and color")


def read_pair(pair: Pair) -> Labeled:
    """Decode a pair; raises `InputError` where a file is broken or image and mask differ in size."""
    image, labels = read_rgb(pair.image), read_mask(_mask_of(pair))
    _check_size(pair, labels.shape, image.shape[:2])
    valid = labels != VOID
    if pair.void is not None:
        rows, columns = (np.arange(side) * cells // side for side, cells in zip(valid.shape, pair.void.shape, strict=True))
        valid &= ~pair.void[rows[:, None], columns]
    return Labeled(image, labels.astype(np.float32) / 255.0, valid)


def _mask_of(pair: Pair) -> Path:
    if pair.mask is None:
        raise InputError(f"image {pair.image} has no mask; expected one beside it in masks/")
    return pair.mask


def _check_size(pair: Pair, mask: tuple[int, ...], image: tuple[int, ...]) -> None:
    if mask != image:
        raise InputError(f"mask {pair.mask} is {mask}, expected {image} (height, width) as its image, upright")


def _manifest(root: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the manifest by id; raises `InputError` where an id is not an image of `root`, in any split."""
    path = root / "manifest.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte-order mark
            rows = {row["id"] or "": row for row in csv.DictReader(file)}
    except (KeyError, OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error!r}; expected UTF-8 with a column `id` in its header") from error
    strange = sorted(set(rows) - set(_stems(root)))
    if strange:
        raise InputError(
            f"{path} has {len(strange)} ids without an image, such as {strange[0]!r}, expected the images' names without "
            "suffix; correct the ids, or remove these rows"
        )
    return rows


def _stems(root: Path) -> Iterator[str]:
    for folder in (root, root / "images", *root.glob("*/images")):
        if folder.is_dir():
            yield from (path.stem for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _layout_hint(root: Path) -> str:
    found = splits(root)
    return f"; {root} has the splits {', '.join(found)}" if found else ""
