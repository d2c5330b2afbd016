"""What an adapter hands over (a list of images with split and annotation, and how to read one), and shared helpers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, IMAGE_SUFFIXES
from edge_runtime.images.mask_file import VOID

SKY, OTHER = 255, 0


@dataclass(frozen=True)
class Item:
    """One image of a data set.

    Attributes
    ----------
    id
        Name without suffix in the folder that is written; unique over all splits.
    image, annotation
        Files of the owners.
    split
        `train`, `val` or `test`.
    group
        What must never be torn between splits where the splits are ours: a camera, a city, a drive.
    scene
        Free text for the manifest.
    """

    id: str
    image: Path
    annotation: Path
    split: str
    group: str
    scene: str = ""


@dataclass(frozen=True)
class Plan:
    """A data set, read but not yet written.

    Attributes
    ----------
    to_mask
        Reads the annotation of an image into (H, W) uint8: 255 sky, 0 other, 128 void.
    skip_unfit
        Leave out and count images that are broken or differ in size from their annotation, instead of refusing.
        Only for data sets that are published with such images.
    """

    source: str
    licence: str
    label_quality: str
    items: list[Item]
    to_mask: Callable[[Item], np.ndarray]
    skip_unfit: bool = False


def of_file(read: Callable[[Path], np.ndarray]) -> Callable[[Item], np.ndarray]:
    """Return `Plan.to_mask` of a data set in which every image has an annotation file of its own."""
    return lambda item: read(item.annotation)


def wrong_layout(source: Path, got: str, tree: str, next_step: str) -> InputError:
    """Return the error for a SOURCE that is not laid out as its owners publish it."""
    indented = "\n".join(f"    {line}" for line in tree.strip().splitlines())
    return InputError(f"got {source} {got}, expected this tree in it:\n{indented}\n{next_step}")


def visible_files(folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files of a folder with these lower-case suffixes, sorted by name; none where there is no folder.

    Hidden files are left out: macOS puts a `._NAME.jpg` beside NAME.jpg.
    """
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Order names by the SHA-256 of seed and name: the same on every machine, with every version of every library."""
    return sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).hexdigest(), name))


def split_names(names: Sequence[str], seed: int, val: float, test: float) -> dict[str, str]:
    """Deal names out to splits by seeded order.

    `val` and `test` are shares; of three names or more, a share above 0 gets at least one. The rest is `train`.
    """
    order = shuffled(names, seed)
    n_test, n_val = (max(len(order) >= 3, round(len(order) * share)) if share > 0 else 0 for share in (test, val))
    return {name: "test" if place < n_test else "val" if place < n_test + n_val else "train" for place, name in enumerate(order)}


def read_labels(path: Path) -> tuple[np.ndarray, str]:
    """Decode an annotation without changing a value; returns the labels and Pillow's mode ("L", "P", "1", "I;16", "RGB" ...).

    Labels are (H, W) integers, of palette images the indices and of 1-bit images 0 and 1, or (H, W, 3) uint8 RGB.
    """
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            if mode in ("RGBA", "CMYK", "YCbCr"):
                return np.asarray(opened.convert("RGB")), "RGB"
            labels = np.asarray(opened)
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read annotation {path}: {error}; expected a PNG of labels, so download it again") from error
    if mode in ("LA", "PA"):
        labels, mode = labels[..., 0], mode[0]
    return (labels.astype(np.uint8) if labels.dtype == bool else labels), mode


def read_classes(path: Path, classes: Collection[int]) -> np.ndarray:
    """Decode an annotation of class numbers, (H, W) integers; refuse colors and numbers that are not in `classes`."""
    labels, mode = read_labels(path)
    if labels.ndim != 2:
        raise InputError(f"annotation {path} has mode {mode}, expected one channel of class numbers; is it a color preview?")
    strange = sorted(set(np.unique(labels).tolist()) - set(classes))
    if strange:
        expected = f"class numbers within {min(classes)}..{max(classes)}"
        raise InputError(f"annotation {path} holds {strange[:5]}, expected {expected}; is it of another data set or version?")
    return labels


def mask_of(labels: np.ndarray, sky: int, void: Collection[int]) -> np.ndarray:
    """Turn (H, W) class numbers into the house's mask, (H, W) uint8."""
    mask = np.full(labels.shape, OTHER, np.uint8)
    mask[labels == sky] = SKY
    mask[np.isin(labels, list(void))] = VOID
    return mask
