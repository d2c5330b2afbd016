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
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.network_input import Size
from edge_runtime.images.resize import resize_rgb
from export.pipeline import say

MIN_IMAGES = 8  # with fewer, ranges are guesses and the held-out quarter is one image
TUNING_SPLITS = ("train", "val")  # never `test`, which reports


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
        A quarter of all, not in `calibration`: on these int8 is compared with fp32.
    """

    root: Path
    seed: int
    calibration: tuple[Path, ...]
    held_out: tuple[Path, ...]


def divide(folder: Path, count: int, seed: int) -> CalibrationSet:
    """Divide the images of `folder` into at most `count` for calibration and a quarter to check with.

    Of splits `train` is read, else `val`, else the only one. Raises `InputError` for fewer than 8 images.
    """
    if count < 1:
        raise InputError(f"got --count {count}, expected 1 or more images; 200 is usual")
    if seed < 0:
        raise InputError(f"got --seed {seed}, expected 0 or more")
    paths = [pair.image for pair in find_pairs(folder, _split(folder), masks=False)]
    if len(paths) < MIN_IMAGES:
        raise InputError(f"got {len(paths)} images in {folder}, expected at least {MIN_IMAGES}; 200 varied ones are usual")
    order = np.random.default_rng(seed).permutation(len(paths))
    shuffled = [paths[index] for index in order]
    quarter = len(paths) // 4
    return CalibrationSet(folder, seed, tuple(shuffled[quarter:][:count]), tuple(shuffled[:quarter]))


def check_distinct(chosen: CalibrationSet, calibration: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> None:
    """Raise `InputError` where an image that is kept back is, at the input size, equal to one that calibrates."""
    seen = {image.tobytes(): path for path, image in zip(chosen.calibration, calibration, strict=True)}
    pairs = [(path, seen.get(image.tobytes())) for path, image in zip(chosen.held_out, held_out, strict=True)]
    copies = [f"{path.name} and {original.name}" for path, original in pairs if original is not None]
    if copies:
        raise InputError(
            f"got the same image twice in {chosen.root} ({'; '.join(copies[:3])}), {len(copies)} pairs in all, expected "
            "different ones: an image that calibrates cannot check. Remove the copies"
        )


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
