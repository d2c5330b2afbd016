"""Measure a checkpoint or an artifact on labeled images: `python train/evaluate.py MODEL --data DIR [DIR ...]`."""

from __future__ import annotations
from edge_runtime.cli import run_command

import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge_runtime.errors import InputError
from edge_runtime.escape import rich as escape
from edge_runtime.files import check_free, write_json
from edge_runtime.images.dataset import Pair, find_pairs, splits
from edge_runtime.metrics.histograms import reliability
from edge_runtime.metrics.iou import RESAMPLES, THRESHOLD, ImageMetrics, evaluate_pairs, group_by_source
from train.engine.limits import check_limits
from train.evaluation.model import Model, open_model
from train.evaluation.plots import plot_reliability, worst_sheet
from train.evaluation.summary import group_by_tag, listed, per_class, summary

TABLE = {
    "iou": "IoU",
    "iou_per_image": "per image",
    "iou_excluding_edges": "without edges",
    "boundary_iou": "boundary IoU",
    "boundary_f": "boundary F",
    "mae": "MAE",
    "f1": "F1",
    "fbeta_max": "max F-beta",
    "auroc": "AUROC",
    "nosky_fpr": "no-sky FPR",
}

FILES = ("per_image.csv", "reliability.png", "worst.png", "metrics.json")  # as they appear: the last is the record of all
RELIABILITY = {"starts": "starts", "pixels": "pixels", "called": "predicted", "sky": "sky"}  # key of metrics.json: attribute


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a network on labeled images: metrics.json, per_image.csv, a plot, and a sheet of the worst images."""

    model: Annotated[Path, tyro.conf.Positional]
    """A checkpoint.pt of train/fit.py, or an artifact folder."""
    data: tuple[Path, ...]
    """Folders of images and masks in a layout of edge_runtime/images/dataset.py."""
    split: str = "test"
    """Split to measure; `none` for folders without splits (DIR/images, DIR/masks)."""
    out: Path | None = None
    """Folder of the results. Default: runs/eval-NAME-SPLIT."""
    overwrite: bool = False
    """Also replace files of the results' names that no evaluation wrote."""
    threads: int = 1
    """CPU threads of the network."""
    worst: int = 24
    """Images on the sheet of the worst ones."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


def find_labeled(folders: Sequence[Path], split: str) -> dict[Path, list[Pair]]:
    """List the labeled images of each folder; split `none` reads the folders themselves."""
    found = {}
    for folder in folders:
        if split != "none" and folder.is_dir() and not splits(folder):
            raise InputError(f"got --split {split}, but {folder} has no splits; use --split none for DIR/images and masks")
        found[folder] = find_pairs(folder, None if split == "none" else split)
    return found


def evaluate(config: EvaluateConfig) -> Path:
    """Measure as `config` says, print the table to stdout and return the folder of the results."""
    check_limits(config, {"threads": (1, 1024), "worst": (1, 10_000)})
    by_folder = find_labeled(config.data, config.split)
    pairs = [pair for folder_pairs in by_folder.values() for pair in folder_pairs]
    model = open_model(config.model, config.threads, config.arch)
    out = config.out or Path("runs") / f"eval-{model.label}-{config.split}"
    if not config.overwrite:
        check_free((out / name for name in FILES), lambda _: _is_ours(out / FILES[-1]))
    images = _measure(model, pairs)
    found = reliability(np.sum([image.sky_bins for image in images], 0), np.sum([image.other_bins for image in images], 0))
    report = {
        "model": model.facts,
        "data": {
            "folders": [folder.resolve().name for folder in by_folder],
            "split": None if config.split == "none" else config.split,
            "count": len(pairs),
        },
        "method": {"threshold": THRESHOLD, "interval": "95 % bootstrap over images", "resamples": RESAMPLES},
        "pooled": summary(images),
        "sources": {name: summary(group) for name, group in group_by_source(pairs, images).items()},
        "tags": {name: summary(group) for name, group in group_by_tag(pairs, images).items()},
        "per_image": per_class(images),
        "calibration": {key: listed(getattr(found, name)) for key, name in RELIABILITY.items()} | {"ece": listed([found.ece])[0]},
    }
    folders = [folder.resolve().name for folder, folder_pairs in by_folder.items() for _ in folder_pairs]
    title = f"{model.label}, {len(pairs)} images of {', '.join(report['data']['folders'])}"
    with _moved_into(out) as partial:
        _write_rows(partial / FILES[0], folders, pairs, images)
        plot_reliability(found, partial / FILES[1], title)
        worst_sheet(model.predict, pairs, images, config.worst, partial / FILES[2])
        write_json(partial / FILES[3], report)
    _print_table(report, model.label)
    return out


def _is_ours(record: Path) -> bool:
    """Tell whether an evaluation wrote the file."""
    return record.is_file() and b'"boundary_iou"' in record.read_bytes()


def _measure(model: Model, pairs: list[Pair]) -> list[ImageMetrics]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(escape(model.label), total=len(pairs))
        return evaluate_pairs(model.predict, pairs, progress=lambda: progress.advance(task))


@contextmanager
def _moved_into(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`; what the block writes there moves into `out`, file by file."""
    partial = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (partial / name).replace(out / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_rows(path: Path, folders: list[str], pairs: list[Pair], images: list[ImageMetrics]) -> None:
    names = ("pixels", "tp", "fp", "fn", "tn", "iou", "boundary_iou", "mae", "sky_called")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["folder", "id", "source", "scene", *names])
        for folder, pair, image in zip(folders, pairs, images, strict=True):
            values = [getattr(image, name) for name in names]
            cells = ["" if value is None else round(value, 6) for value in values]
            writer.writerow([folder, pair.id, pair.source, pair.scene, *cells])


def _print_table(report: dict[str, Any], label: str) -> None:
    data = report["data"]
    title = f"{label} on {', '.join(data['folders'])} ({data['split'] or 'no split'})"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("source", no_wrap=True)
    table.add_column("images", justify="right")
    for heading in TABLE.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, values in report["sources"].items():
        table.add_row(escape(name), str(values["count"]), *_cells(values))
    table.add_section()
    table.add_row("all", str(report["pooled"]["count"]), *_cells(report["pooled"]))
    # A pipe has no width: the table keeps all its columns there.
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)


def _cells(values: dict[str, Any]) -> list[str]:
    cells = [_cell(values[key]["value"]) for key in TABLE]
    if values["iou"]["low"] is not None:
        cells[0] += f" ({_cell(values['iou']['low'])}-{_cell(values['iou']['high'])})"
    return cells


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main(config: EvaluateConfig) -> None:
    """Evaluate and print where the results are."""
    print(evaluate(config))


if __name__ == "__main__":
    run_command(main, EvaluateConfig)
