"""Inputs of other shapes than square: `python studies/shapes.py --data DIR --models build/bench/unet_lite_s/tflite-int8-*`.

A square network stretches a wide image to its input. An artifact that was exported with `--size 256x192` keeps the shape of a 4:3
image. Each artifact here meets the square one on the center of the test images, cut to its own shape, and on images that have
that shape (within 10 %) as they are. Both artifacts hold the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Labeled, Pair, find_pairs, read_pair, spread
from edge_runtime.metrics.iou import ImageMetrics, evaluate_image, pool
from edge_runtime.segmenter import Segmenter
from studies.harness import RESULTS, Figures, Study, StudyConfig, model_facts, require, table

SAME_SHAPE = 1.1  # largest ratio of two aspect ratios that count as one shape
LEAST = 10  # images of a shape that a figure is given for


@dataclass(frozen=True, kw_only=True)
class ShapesConfig(StudyConfig):
    """Compare artifacts of other shapes with the square one, on images of their shape."""

    data: Path | None = None
    """Labeled images with the split test."""
    models: tuple[Path, ...] = ()
    """Artifacts that are not square."""
    square: Path = Path("models/unet_lite_s/tflite-int8")
    """The square artifact of the same weights, format and precision."""
    limit: int = 200
    """Use only this many images, spread evenly over the test split; 0: all."""
    out: Path = RESULTS / "shapes"
    """Folder for NAME.json and NAME.md."""


def crop(labeled: Labeled, ratio: float) -> Labeled:
    """Return the largest part of width / height `ratio` around the center."""
    height, width = labeled.sky.shape
    rows, columns = min(height, round(width / ratio)), min(width, round(height * ratio))
    top, left = (height - rows) // 2, (width - columns) // 2
    part = np.s_[top : top + rows, left : left + columns]
    return Labeled(labeled.image[part], labeled.sky[part], labeled.valid[part])


def has_shape(image: np.ndarray, ratio: float) -> bool:
    """Return whether (H, W, 3) has width / height `ratio`, within `SAME_SHAPE`."""
    return abs(math.log(image.shape[1] / image.shape[0] / ratio)) <= math.log(SAME_SHAPE)


def compare(segmenters: Sequence[Segmenter], pairs: Sequence[Pair], ratio: float) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each segmenter on all images cut to `ratio`, and on the images that have this shape."""
    found: dict[str, list[list[ImageMetrics]]] = {name: [[] for _ in segmenters] for name in ("cut", "whole")}
    for pair in track(pairs, "images", console=Console(stderr=True)):
        labeled = read_pair(pair)
        for name, given in (("cut", crop(labeled, ratio)), ("whole", labeled if has_shape(labeled.image, ratio) else None)):
            for segmenter, images in zip(segmenters, found[name], strict=True):
                if given is not None:
                    images.append(evaluate_image(segmenter(np.ascontiguousarray(given.image)), given.sky, given.valid))
    return {name: [_figures(images) for images in each] for name, each in found.items()}


def _figures(images: Sequence[ImageMetrics]) -> dict[str, Any]:
    pooled = pool(images) if len(images) >= LEAST else None
    values = {name: getattr(pooled, name, None) for name in ("iou", "boundary_iou", "mae")}
    return {"images": len(images), **{name: None if value is None else round(value, 4) for name, value in values.items()}}


def measure(config: ShapesConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures, after each artifact anew."""
    require(config, 0, "limit")
    if config.data is None or not config.models:
        raise InputError("got no --data or no --models, expected labeled images and artifacts that are not square")
    square = Segmenter.load(config.square)
    pairs = find_pairs(config.data, "test")
    chosen = spread(pairs, config.limit or len(pairs))
    rows = []
    for model in config.models:
        segmenter = Segmenter.load(model)
        height, width = segmenter.artifact.size
        figures = compare([segmenter, square], chosen, width / height)
        rows.append({
            **model_facts(segmenter.artifact), "width": width, "height": height, "bytes": segmenter.artifact.size_bytes,
            "macs": segmenter.artifact.spec.provenance["macs"], **figures,
        })  # fmt: skip
        settings = {"data": config.data.name, "split": "test", "images": len(chosen)}
        network = square.artifact.spec.arch
        facts = {**model_facts(square.artifact), "macs": square.artifact.spec.provenance["macs"]}
        yield network, {"schema_version": 1, "network": network, "settings": settings, "square": facts, "rows": rows}


def page(figures: Figures) -> list[str]:
    """Return one table: each artifact beside the square one."""
    square = figures["square"]
    head = ("artifact", "MACs, ratio", "images", "IoU", "square", "boundary IoU", "square", "kind of image")
    kinds = {"cut": "center, cut to the shape", "whole": "of this shape"}
    cells = [
        [
            row["name"], f"{row['macs'] / square['macs']:.2f}", row[kind][0]["images"],
            *(_shown(each[name]) for name in ("iou", "boundary_iou") for each in row[kind]), words,
        ]
        for row in figures["rows"] for kind, words in kinds.items()
    ]  # fmt: skip
    return [
        f"Square: {square['name']}. {figures['settings']['images']} images of the test split. Both artifacts hold the same "
        f"weights, which were trained on squares. A dash: fewer than {LEAST} images.",
        "",
        *table(head, "lrrrrrrl", cells),
    ]


def _shown(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


STUDY = Study("shapes", "Inputs that are not square: {network}", ShapesConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
