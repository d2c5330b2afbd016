"""Which images calibrate int8, and which are kept back to check it: seeded, and recorded by a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import Calibration
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.dataset import find_pairs, splits
from edge_runtime.images.formats import read_reduced, read_rgb
from edge_runtime.images.network_input import Size
from edge_runtime.images.resize import resize_rgb
from edge_runtime.progress import say, track

MIN_IMAGES = 8  # with fewer, ranges are guesses and the held-out quarter is one image
TUNING_SPLITS = ("train", "val")  # never `test`, which reports
SIDE, WAVES = 32, 16  # of `perceptual_hash`: pixels of the small gray image, and waves along each side that are kept
# Of 255 bits: JPEG quality 10 against 95 changes up to 44; the most alike two of 108 photographs of different places, 92.
MOST_BITS = 48
_COSINES = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(WAVES)[:, None])


@dataclass(frozen=True)
class CalibrationSet:
    """The images of a folder, divided.

    Attributes
    ----------
    root
        The folder that names are relative to.
    seed
        Of the division.
    calibration
        Images that set the ranges of activations.
    held_out
        Images on which int8 is compared with fp32: a quarter of the distinct ones, with all that look like them.
    """

    root: Path
    seed: int
    calibration: tuple[Path, ...]
    held_out: tuple[Path, ...]


def divide(folder: Path, count: int, seed: int) -> CalibrationSet:
    """Divide the images of `folder` into at most `count` for calibration, and others to check with.

    Images that look alike, such as frames of one scene or copies in other files, stay on one side. Of splits `train` is read,
    else `val`, else the only one. Raises `InputError` for fewer than 8 distinct images.
    """
    if count < 1:
        raise InputError(f"got --count {count}, expected 1 or more images; 200 is usual")
    if seed < 0:
        raise InputError(f"got --seed {seed}, expected 0 or more")
    paths = [pair.image for pair in find_pairs(folder, _split(folder), masks=False)]
    shuffled = [paths[index] for index in np.random.default_rng(seed).permutation(len(paths))]
    groups = group_alike([perceptual_hash(path) for path in track(shuffled, "comparing images")])
    distinct = len(set(groups))
    if distinct < MIN_IMAGES:
        got = f"{len(paths)} images in {folder}" + (f", {distinct} of them distinct" if distinct < len(paths) else "")
        expected = f"at least {MIN_IMAGES} distinct ones; 200 varied ones are usual"
        raise InputError(f"got {got}, expected {expected}: an image that calibrates cannot check. Add images of other places")
    kept_back = set(list(dict.fromkeys(groups))[: distinct // 4])
    sides = [tuple(path for path, group in zip(shuffled, groups, strict=True) if (group in kept_back) == held) for held in (0, 1)]
    return CalibrationSet(folder, seed, sides[0][:count], sides[1])


def perceptual_hash(path: Path) -> np.ndarray:
    """Return 255 bool that nearly stay where an image is saved again, resized, brightened or made gray.

    They tell which of the longest waves of the gray image, in both directions, are above their median.
    """
    gray = resize_rgb(read_reduced(path, (SIDE, SIDE))[0], SIDE, SIDE) @ np.array([0.299, 0.587, 0.114])
    waves = (_COSINES @ gray @ _COSINES.T).ravel()[1:]  # without the mean
    return waves > np.median(waves)


def group_alike(hashes: Sequence[np.ndarray]) -> list[int]:
    """Return a number for each image, equal where hashes differ by at most `MOST_BITS`, or a chain of such pairs links images."""
    stack = np.array(hashes, np.float32) * 2 - 1
    groups = np.arange(len(stack))
    for index, each in enumerate(stack):
        near = np.flatnonzero(stack[:index] @ each >= len(each) - 2 * MOST_BITS)
        groups[np.isin(groups, groups[near])] = index
    return [int(group) for group in groups]


def fingerprint(chosen: CalibrationSet) -> Calibration:
    """Return the number of calibration images, and a SHA-256 that the same names, contents and seed give again.

    It is the hash of `{"seed": SEED, "images": [{"name": NAME, "sha256": HEX}, ...]}`, as JSON with sorted keys and no spaces,
    of the images in the order in which they calibrate.
    """
    images = [{"name": path.relative_to(chosen.root).as_posix(), "sha256": file_sha256(path)} for path in chosen.calibration]
    entries = {"seed": chosen.seed, "images": images}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Calibration(hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), len(images))


def read_resized(paths: Sequence[Path], size: Size) -> list[np.ndarray]:
    """Return images as (H, W, 3) uint8 RGB at the input size, resized as the contract says; `InputError` for a broken one."""
    return [resize_rgb(read_rgb(path), size.height, size.width) for path in paths]


def _split(folder: Path) -> str | None:
    """Return the split of `folder` to calibrate on; None where it holds its images itself."""
    found = splits(folder)
    if not found or (folder / "images").is_dir():
        return None
    chosen = next((name for name in TUNING_SPLITS if name in found), None)
    if chosen is None:
        if len(found) > 1:
            raise InputError(
                f"{folder} has the splits {', '.join(found)}; expected train or val, or name one: {folder / found[0]}"
            )
        chosen = found[0]
    say(f"calibrating on the split {chosen} of {folder}")
    return chosen
