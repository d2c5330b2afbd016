"""Find wrong labels: `python studies/label_errors.py --data DIR ... --opinions DIR --out runs/label_errors`.

Confident learning (Northcutt et al., 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") for masks: each image
is judged by a network that was trained on other folds and has seen no image of its group. A label is suspect where that network
and a second opinion, such as the masks of a network trained elsewhere, are both sure of its opposite over a connected region.

Writes OUT/corrections.csv (train/data/corrections.py) and contact sheets OUT/sheet_NN.jpg with image, label, and label with the
region in magenta, largest first. Look at them, remove the lines that are wrong from the file (`--keep` takes numbers of the
sheets), and train with `--corrections`.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Labeled, Pair, read_pair
from edge_runtime.images.mask_file import read_gray
from edge_runtime.images.opencv import cv2
from train.data.corrections import Correction, write_corrections
from train.data.datasets import gather
from train.data.folds import part_by_group
from train.engine.limits import check_limits
from train.engine.presets import FitConfig
from train.engine.run import STATE_FILE
from train.evaluation.model import open_model
from train.evaluation.plots import VOID_COLOR, draw_label, draw_sheet
from train.fit import fit_pairs

GRID = 64  # cells along the long side of an image
PER_SHEET = 24


@dataclass(frozen=True)
class LabelErrorsConfig:
    """Find labels that networks contradict, in `train` and `val`."""

    data: tuple[Path, ...] = ()
    """Labeled folders with the splits train and val."""
    opinions: Path | None = None
    """Second opinion: a folder of masks NAME.png, 255 times the probability of sky, of any size. Images without one are not
    judged. Default: none, which finds more and is wrong more often."""
    arch: str = "unet_lite_s"
    """Network that is trained on the folds."""
    folds: int = 3
    """Folds by group."""
    size: int = 160
    """Input side in pixels."""
    steps: int = 600
    """Optimizer steps for each fold."""
    batch: int = 16
    """Images in a step."""
    sure: float = 0.8
    """A cell is suspect where each opinion differs from the label by this or more, 0.5 to 1."""
    least: float = 0.015
    """Smallest connected region, as a share of the image."""
    keep: tuple[int, ...] = ()
    """Numbers of the sheets to keep; the rest is dropped. Default: all."""
    seed: int = 0
    """Seed of folds and runs."""
    threads: int = 1
    """CPU threads."""
    out: Path = Path("runs/label_errors")
    """Folder to write; the runs of finished folds in it are used again."""


def find_label_errors(config: LabelErrorsConfig) -> Path:
    """Write the corrections and the sheets; return the file. Raises `InputError` for bad values."""
    check_limits(config, {"folds": (2, 20), "sure": (0.5, 1.0), "least": (0.0, 1.0), "threads": (1, 1024)})
    pairs = [*gather(config.data, "train"), *gather(config.data, "val")]
    parts = part_by_group(pairs, config.folds, config.seed)
    if min(map(len, parts)) == 0:
        raise InputError(f"got {len(pairs)} images in too few groups for {config.folds} folds, expected more; use fewer folds")
    found: list[tuple[Pair, Correction]] = []
    for number, held_out in enumerate(parts):
        found += _suspects(config, number, held_out, [pair for part in parts if part is not held_out for pair in part])
    found.sort(key=lambda item: (-item[1].cells.mean(), item[0].id))
    wrong = sorted(number for number in config.keep if not 1 <= number <= len(found))
    if wrong:
        raise InputError(f"got --keep {' '.join(map(str, wrong))}, expected numbers of the sheets, 1 to {len(found)}")
    for first in range(0, len(found), PER_SHEET):
        cells = [_cell(first + place, *item) for place, item in enumerate(found[first : first + PER_SHEET], 1)]
        draw_sheet(cells, config.out / f"sheet_{first // PER_SHEET:02d}.jpg")
    kept = [item for number, (_, item) in enumerate(found, 1) if not config.keep or number in config.keep]
    path = config.out / "corrections.csv"
    write_corrections(kept, path)
    Console(stderr=True).print(f"{len(found)} images of {len(pairs)} are suspect, {len(kept)} of them in {path}")
    return path


def _suspects(
    config: LabelErrorsConfig, fold: int, held_out: list[Pair], others: list[Pair]
) -> Iterator[tuple[Pair, Correction]]:
    out = config.out / f"fold-{fold}"
    run = FitConfig(
        config.arch, out=out, sizes=(config.size,), steps=(config.steps,), batches=(config.batch,), seed=config.seed,
        warmup=config.steps // 10, precision="fp32", threads=config.threads, resume=(out / STATE_FILE).is_file(),
    )  # fmt: skip
    predict = open_model(fit_pairs(run, others, []), config.threads).predict
    for pair in track(held_out, f"fold {fold + 1}", console=Console(stderr=True)):
        opinion = config.opinions / f"{pair.id}.png" if config.opinions else None
        if opinion and not opinion.is_file():
            continue
        labeled = read_pair(pair)
        opinions = [predict(labeled.image)]
        if opinion:
            opinions.append(read_gray(opinion)[0].astype(np.float32) / 255.0)
        cells, reason = suspect_cells(labeled, opinions, config.sure, config.least)
        if cells.any():
            yield pair, Correction(pair.id, cells, reason)


def suspect_cells(labeled: Labeled, opinions: list[np.ndarray], sure: float, least: float) -> tuple[np.ndarray, str]:
    """Return (h, w) bool over the image, and why; `opinions` are probabilities of sky, float32, of any size.

    Regions are widened by one cell, since a wrong label's edge is as wrong as its inside.
    """
    height, width = labeled.sky.shape
    scale = min(1.0, GRID / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    planes = (labeled.sky, labeled.valid.astype(np.float32), *opinions)
    sky, valid, *views = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes)
    suspect = np.zeros(sky.shape, np.uint8)
    reasons = []
    for sign, reason in ((1.0, "sky labeled as other"), (-1.0, "other labeled as sky")):
        wrong = (np.min([sign * (view - sky) for view in views], axis=0) >= sure) & (valid > 0.5)
        count, regions, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
        large = [region for region in range(1, count) if stats[region, cv2.CC_STAT_AREA] >= max(1.0, least * sky.size)]
        suspect |= np.isin(regions, large).astype(np.uint8)
        reasons += [reason] if large else []
    return cv2.dilate(suspect, np.ones((3, 3), np.uint8)).astype(bool), ", ".join(reasons)


def _cell(number: int, pair: Pair, found: Correction) -> tuple[str, list[np.ndarray]]:
    labeled = read_pair(pair)
    label = draw_label(labeled)
    height, width = labeled.sky.shape
    region = cv2.resize(found.cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    marked = labeled.image.copy()
    marked[region] = (0.4 * marked[region] + 0.6 * np.array(VOID_COLOR)).astype(np.uint8)
    return f"{number}. {pair.id}  {found.reason}  {found.cells.mean():.1%}", [labeled.image, label, marked]


def main(config: LabelErrorsConfig) -> None:
    """Find, write and print the file."""
    print(find_label_errors(config))


if __name__ == "__main__":
    run_command(main, LabelErrorsConfig)
