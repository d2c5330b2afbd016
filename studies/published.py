"""Our test metrics beside published figures: `python studies/published.py` writes results/published/published.md.

Published figures come from papers, reports and model cards, each on its own pictures. The table says of each whether
ours can be held against it, and why not where they cannot.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_text


@dataclass(frozen=True)
class Published:
    """A figure that others published, and what of ours stands next to it.

    Attributes
    ----------
    what
        Network and data.
    figure
        As published, with its unit.
    origin
        Where it is from.
    source
        Source of our test pictures that comes nearest; None where there is none.
    metrics
        Our metrics of the same kind, keys of metrics.json.
    comparable
        `yes`, `partly` or `no`.
    why
        What differs.
    """

    what: str
    figure: str
    origin: str
    source: str | None
    metrics: tuple[str, ...]
    comparable: str
    why: str


SEED_000 = "a report on sky segmentation (seed 000)"
SUBSET_ADE = "same data set and metric; ours are 36 of its pictures (24 with sky), theirs a split that is not told"
SUBSET_CITY = "same data set and metric; ours are 26 of its pictures, theirs a split that is not told"
DEVICE = "a latency on another device; ours is measured on the machines in results/ alone"
PUBLISHED = (
    Published("FCN-ResNet, ADE20K", "MAE 0.017, F 0.98", SEED_000, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published("U-Net, ADE20K", "MAE 0.13, F 0.88", SEED_000, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published("U2-Net, ADE20K", "MAE 0.01, F 0.98", SEED_000, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published(
        "FCN-ResNet, Cityscapes", "MAE 0.01, F 0.99", SEED_000, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY
    ),
    Published("U-Net, Cityscapes", "MAE 0.19, F 0.84", SEED_000, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY),
    Published("U2-Net, Cityscapes", "MAE 0.09, F 0.94", SEED_000, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY),
    Published(
        "U-Net-ResNet50, ADE20K-Outdoors", "IoU 94.89 %, AUROC 80.16 %", "seed 001", "ade20k_sub", ("iou", "auroc"), "partly",
        "outdoor pictures of the same data set; whether their IoU is pooled is not told, and their AUROC is too low for such an "
        "IoU to be of probabilities",
    ),
    Published(
        "DeepLabV3-ResNet50, ADE20K-Outdoors", "IoU 93.92 %, AUROC 80.02 %", "seed 001", "ade20k_sub", ("iou", "auroc"), "partly",
        "as the row above",
    ),
    Published(
        "FCN-ResNet50, Cityscapes lindau and munster", "accuracy 0.996, per-image IoU 0.789, F1 0.866", "seed 002",
        "cityscapes_sub", ("accuracy", "iou_per_image", "f1"), "partly",
        "same metrics; other cities of the same data set. `train/adapters.py cityscapes` makes their split for who has the data",
    ),
    Published(
        "SegNeXt-T, ADE20K, sky class", "IoU 93.8", "mmsegmentation #2247", "ade20k_sub", ("iou",), "partly",
        "their whole validation split of 2,000 pictures; ours are 36 of the same data set; both pooled",
    ),
    Published(
        "SegFormer-B2 sky fine-tune, ADE20K, 384", "IoU 92.1", "model card skywater_seg", "ade20k_sub", ("iou",), "partly",
        "as the row above; its 188 ms on an unnamed CPU is not comparable",
    ),
    Published(
        "Fast-SCNN, Cityscapes test, sky class", "IoU 94.3", "Cityscapes benchmark", "cityscapes_sub", ("iou",), "partly",
        "theirs are the 1,525 pictures of the sealed test split at 2048 x 1024, where edges weigh less; ours are 26 small ones",
    ),
    Published("U2-Netp, Snapdragon 888", "about 300 ms", "seed 004", None, (), "no", DEVICE),
    Published(
        "U2-Netp / EGE-UNet, x86, ncnn, 384", "260 ms / 18 ms", "chart in the repository of seed 004", None, (), "no",
        "another CPU; only the ratio of 14.4 carries over, and it was 27 when both were run for this project",
    ),
    Published("PP-MobileSeg-T, ADE20K, Snapdragon 855", "36.4 mIoU, 215 ms", "PaddleSeg", None, (), "no",
              "150 classes, of which sky is one of the easiest; " + DEVICE),
    Published("MediaPipe selfie segmenter, Pixel 6", "33.5 ms", "MediaPipe documentation", None, (), "no", DEVICE),
    Published("U-Net of 31 M, 224, int8 on an NPU", "102 -> 26.4 ms, mIoU 97.7 -> 94.7", "Qualcomm AI Hub", None, (), "no",
              "other task and device; the loss of 3 points by int8 is what the int8 gate here refuses"),
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Write the table of published figures beside those of released networks."""

    models: Annotated[tuple[Path, ...], tyro.conf.Positional] = (
        Path("models/unet_lite"),
        Path("models/unet_lite_s"),
        Path("models/u2netp"),
        Path("models/teacher"),
    )
    """Model folders with metrics.json (of train/evaluate.py on the test split)."""
    out: Path = Path("results/published/published.md")
    """Markdown file to write."""


def table(models: tuple[Path, ...]) -> str:
    """Return the table as Markdown; every figure of ours is read from the folders' metrics.json.

    Raises
    ------
    InputError
        A folder without metrics.json.
    """
    metrics = {folder.name: _read(folder) for folder in models}
    lines = [
        "# Published figures, and ours beside them",
        "",
        "Written by `python studies/published.py`. Ours: test split, single model, one pass, probability threshold 0.5; `F` is "
        "the largest F-beta (beta^2 = 0.3), IoU is pooled over pixels unless it says otherwise.",
        "",
        "| published | figure | from | " + " | ".join(metrics) + " | comparable | why |",
        "|---" * (5 + len(metrics)) + "|",
    ]
    for row in PUBLISHED:
        ours = [_ours(found, row) for found in metrics.values()]
        lines.append("| " + " | ".join([row.what, row.figure, row.origin, *ours, row.comparable, row.why]) + " |")
    return "\n".join(lines) + "\n"


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; write it with train/evaluate.py") from error


def _ours(metrics: dict[str, Any], row: Published) -> str:
    if row.source is None:
        return "–"
    if row.source not in metrics["sources"]:
        return "not in the test split"
    names = {"mae": "MAE", "fbeta_max": "F", "iou": "IoU", "auroc": "AUROC", "iou_per_image": "per-image IoU", "f1": "F1"}
    values = metrics["sources"][row.source]
    return ", ".join(f"{names.get(key, key)} {values[key]['value']:.3f}" for key in row.metrics)


def main(config: Config) -> None:
    """Write the table and print its path."""
    text = table(config.models)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(config.out, text)
    print(config.out)


if __name__ == "__main__":
    run_command(main, Config)
