"""Which pictures calibrate int8, and which are kept back to check it: seeded, and written down by name and hash."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Calibration, file_sha256
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, splits
from edge_runtime.images.ops import read_rgb, resize_rgb

MIN_PICTURES = 8  # with fewer, ranges are guesses and the held-out quarter is one picture
TUNING_SPLITS = ("train", "val")  # never `test`, which reports


@dataclass(frozen=True)
class CalibrationSet:
    """A folder's pictures, divided.

    Attributes
    ----------
    root
        The folder that the names are relative to.
    seed
        Of the division.
    calibration
        Pictures that set the ranges of activations.
    held_out
        A quarter of all, not in `calibration`: on these int8 is compared with fp32.
    """

    root: Path
    seed: int
    calibration: tuple[Path, ...]
    held_out: tuple[Path, ...]


@dataclass(frozen=True)
class Manifest:
    """The calibration pictures by name and SHA-256, in the order in which they were seen.

    Attributes
    ----------
    entries
        Plain values for `provenance` of model.json; no pictures.
    calibration
        SHA-256 of `entries` as JSON with sorted keys and no spaces, and the number of pictures.
    """

    entries: dict[str, Any]
    calibration: Calibration


def divide(folder: Path, count: int, seed: int) -> CalibrationSet:
    """Divide the pictures of `folder` into at most `count` for calibration and a quarter to check with.

    Parameters
    ----------
    folder
        Pictures, or images/ with pictures, or splits; of splits `train` is read, else `val`, else the only one.

    Raises
    ------
    InputError
        No such folder, fewer than 8 pictures, or `count` below 1.
    """
    if count < 1:
        raise InputError(f"got --count {count}, expected 1 or more pictures; 200 is usual")
    if seed < 0:
        raise InputError(f"got --seed {seed}, expected 0 or more")
    paths = [pair.image for pair in find_pairs(folder, _split(folder), masks=False)]
    if len(paths) < MIN_PICTURES:
        raise InputError(f"got {len(paths)} pictures in {folder}, expected at least {MIN_PICTURES}; 200 varied ones are usual")
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


def make_manifest(chosen: CalibrationSet) -> Manifest:
    """Write down the calibration pictures; two folders with the same pictures give the same hash."""
    pictures = [{"name": path.relative_to(chosen.root).as_posix(), "sha256": file_sha256(path)} for path in chosen.calibration]
    entries = {"seed": chosen.seed, "pictures": pictures}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Manifest(entries, Calibration(hashlib.sha256(text.encode()).hexdigest(), len(pictures)))


def read_resized(paths: Sequence[Path], size: int) -> list[np.ndarray]:
    """Return pictures as (size, size, 3) uint8 RGB, resized as the contract says; raises `InputError` for a broken one."""
    return [resize_rgb(read_rgb(path), size, size) for path in paths]


def _split(folder: Path) -> str | None:
    """Return the split of `folder` to calibrate on; None where it holds its pictures itself."""
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
    print(f"calibrating on the split {chosen} of {folder}", file=sys.stderr)
    return chosen
