"""Our test metrics beside published figures: `python studies/published.py`.

Published figures come from papers, reports and model cards, each on its own images. The table says of each figure whether it
compares with ours, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from edge_runtime.records import parse_json, read_text
from studies.harness import RESULTS, Figures, Study, StudyConfig, table


@dataclass(frozen=True)
class Published:
    """A figure that others published, and which of ours stands beside it.

    Attributes
    ----------
    what
        Network and data.
    figure
        As published, with its unit.
    origin
        Where it is from.
    source
        The source of our test images that comes nearest, or None.
    metrics
        Keys in metrics.json of our metrics of the same kind.
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


REPORT = "an unpublished report on sky segmentation with three networks"
XIONGZHU = "github.com/xiongzhu666/Sky-Segmentation-and-Post-processing"
REBOURS = "P.-E. Rebours, Sky detection - deep learning approach, repository"
TOUZARI = "L. Touzari, Sky Segmentation, report, 2023"
SUBSET_ADE = "same data set and metric; ours are 36 of its images (24 with sky), their split is not known"
SUBSET_CITY = "same data set and metric; ours are 26 of its images, their split is not known"
DEVICE = "a latency on another device; ours are measured on the machines of results/ only"
PUBLISHED = (
    Published("FCN-ResNet, ADE20K", "MAE 0.017, F 0.98", REPORT, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published("U-Net, ADE20K", "MAE 0.13, F 0.88", REPORT, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published("U2-Net, ADE20K", "MAE 0.01, F 0.98", REPORT, "ade20k_sub", ("mae", "fbeta_max"), "partly", SUBSET_ADE),
    Published(
        "FCN-ResNet, Cityscapes", "MAE 0.01, F 0.99", REPORT, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY
    ),
    Published("U-Net, Cityscapes", "MAE 0.19, F 0.84", REPORT, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY),
    Published("U2-Net, Cityscapes", "MAE 0.09, F 0.94", REPORT, "cityscapes_sub", ("mae", "fbeta_max"), "partly", SUBSET_CITY),
    Published(
        "U-Net-ResNet50, ADE20K-Outdoors", "IoU 94.89 %, AUROC 80.16 %", TOUZARI, "ade20k_sub", ("iou", "auroc"), "partly",
        "outdoor images of the same data set; whether their IoU is pooled is not known, and with such an IoU their AUROC is too "
        "low to come from probabilities",
    ),
    Published(
        "DeepLabV3-ResNet50, ADE20K-Outdoors", "IoU 93.92 %, AUROC 80.02 %", TOUZARI, "ade20k_sub", ("iou", "auroc"), "partly",
        "as the row above",
    ),
    Published(
        "FCN-ResNet50, Cityscapes lindau and munster", "accuracy 0.996, per-image IoU 0.789, F1 0.866", REBOURS,
        "cityscapes_sub", ("accuracy", "iou_per_image", "f1"), "partly",
        "same metrics; other cities of the same data set. with the data, `train/adapters.py cityscapes` makes their split",
    ),
    Published(
        "SegNeXt-T, ADE20K, sky class", "IoU 93.8", "mmsegmentation #2247", "ade20k_sub", ("iou",), "partly",
        "theirs is the whole validation split of 2,000 images, ours are 36 of the same data set; both pooled",
    ),
    Published(
        "SegFormer-B2 sky fine-tune, ADE20K, 384", "IoU 92.1", "model card skywater_seg", "ade20k_sub", ("iou",), "partly",
        "as the row above; its 188 ms on an unnamed CPU is not comparable",
    ),
    Published(
        "Fast-SCNN, Cityscapes test, sky class", "IoU 94.3", "Cityscapes benchmark", "cityscapes_sub", ("iou",), "partly",
        "theirs is the sealed test split of 1,525 images at 2048 x 1024, where edges weigh less; ours are 26 small images",
    ),
    Published("U2-Netp, Snapdragon 888", "about 300 ms", XIONGZHU, None, (), "no", DEVICE),
    Published(
        "U2-Netp / EGE-UNet, x86, ncnn, 384", "260 ms / 18 ms", f"chart in {XIONGZHU}", None, (), "no",
        "another CPU; only the ratio of 14.4 carries over, and this project measured 27",
    ),
    Published("PP-MobileSeg-T, ADE20K, Snapdragon 855", "36.4 mIoU, 215 ms", "PaddleSeg", None, (), "no",
              "150 classes, and sky is one of the easiest; " + DEVICE),
    Published("MediaPipe selfie segmenter, Pixel 6", "33.5 ms", "MediaPipe documentation", None, (), "no", DEVICE),
    Published("U-Net of 31 M, 224, int8 on an NPU", "102 -> 26.4 ms, mIoU 97.7 -> 94.7", "Qualcomm AI Hub", None, (), "no",
              "other task and device; the int8 gate of this project refuses a loss of 3 points"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishedConfig(StudyConfig):
    """Write the table of published figures beside those of released networks."""

    models: Annotated[tuple[Path, ...], tyro.conf.Positional] = (
        Path("models/unet_lite"),
        Path("models/unet_lite_s"),
        Path("models/u2netp"),
        Path("models/teacher"),
    )
    """Model folders with metrics.json, written by train/evaluate.py on the test split."""
    out: Path = RESULTS / "published"


def measure(config: PublishedConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the published figures with ours, which are read from the folders' metrics.json."""
    metrics = {folder.name: _read(folder / "metrics.json") for folder in config.models}
    rows = [
        {"published": row.what, "figure": row.figure, "origin": row.origin}
        | {"ours": [_ours(found, row) for found in metrics.values()], "comparable": row.comparable, "why": row.why}
        for row in PUBLISHED
    ]
    yield "published", {"models": list(metrics), "rows": rows}


def page(figures: Figures) -> list[str]:
    """Return the table."""
    head = ["published", "figure", "origin", *figures["models"], "comparable", "why"]
    rows = [
        [row["published"], row["figure"], row["origin"], *row["ours"], row["comparable"], row["why"]] for row in figures["rows"]
    ]
    return [
        "Ours: test split, single model, one pass, threshold 0.5. `F` is the largest F-beta (beta^2 = 0.3). IoU is pooled over "
        "pixels unless it says otherwise.",
        "",
        *table(head, "l" * len(head), rows),
    ]


def _read(path: Path) -> Figures:
    expected = "metrics of train/evaluate.py on the test split"
    return parse_json(read_text(path, expected), expected)


def _ours(metrics: dict[str, Any], row: Published) -> str | None:
    if row.source is None:
        return None
    if row.source not in metrics["sources"]:
        return "not in the test split"
    names = {"mae": "MAE", "fbeta_max": "F", "iou": "IoU", "auroc": "AUROC", "iou_per_image": "per-image IoU", "f1": "F1"}
    values = metrics["sources"][row.source]
    return ", ".join(f"{names.get(key, key)} {values[key]['value']:.3f}" for key in row.metrics)


STUDY = Study("published", "Published figures, and ours beside them", PublishedConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
