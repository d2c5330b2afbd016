"""What decoding at reduced size costs in accuracy and saves in time: `python studies/fast_decode.py --data DIR`.

Test images are enlarged to 2 megapixels and saved as JPEG, since the labeled ones are small. Each file is then decoded in
full and at reduced size. Generated scenes of that size have detail that enlarged images lack.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, find_pairs, read_pair, spread
from edge_runtime.images.formats import read_reduced, read_rgb
from edge_runtime.images.resize import resize_probability
from edge_runtime.metrics.iou import ImageMetrics, evaluate_image, pool
from edge_runtime.segmenter import Segmenter
from scenes.render import generate
from studies.harness import RESULTS, Figures, Study, StudyConfig, model_facts, require, table

PIXELS = 2_000_000
SCENE_SIZE = (1224, 1632)  # height, width
QUALITY = 90
METRICS = ("iou", "boundary_iou")


@dataclass(frozen=True, kw_only=True)
class FastDecodeConfig(StudyConfig):
    """Compare masks of JPEGs that were decoded in full and at reduced size."""

    data: Path | None = None
    """Labeled images with the split test."""
    models: tuple[str, ...] = ("unet_lite_s/tflite-int8", "unet_lite/tflite-int8")
    """Artifacts."""
    limit: int = 200
    """Test images, spread evenly over the split; 0: all."""
    scenes: int = 50
    """Generated scenes."""
    out: Path = RESULTS / "fast_decode"
    """Folder for NAME.json and NAME.md."""


def sources(config: FastDecodeConfig) -> dict[str, list[Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
    """Return, by kind of image, what gives each image (H, W, 3) uint8, its share of sky (H, W) and its valid pixels (H, W)."""
    if config.data is None:
        raise InputError("got no --data, expected labeled images with the split test")
    pairs = find_pairs(config.data, "test")

    def enlarged(pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labeled = read_pair(pair)
        height, width = labeled.sky.shape
        factor = max(1.0, (PIXELS / (height * width)) ** 0.5)
        size = (round(width * factor), round(height * factor))
        image = np.asarray(Image.fromarray(labeled.image).resize(size, Image.Resampling.LANCZOS))
        nearest = [
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.NEAREST)) for plane in (labeled.sky, labeled.valid)
        ]
        return image, nearest[0], nearest[1]

    def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        made = generate(seed, SCENE_SIZE)
        return made.image, made.alpha, np.ones(made.alpha.shape, bool)

    return {
        "test images, enlarged": [partial(enlarged, pair) for pair in spread(pairs, config.limit or len(pairs))],
        "generated scenes": [partial(scene, seed) for seed in range(700_000, 700_000 + config.scenes)],
    }


def measure(config: FastDecodeConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of each artifact."""
    require(config, 0, "limit", "scenes")
    kinds = sources(config)
    segmenters = [Segmenter.load(model) for model in config.models]
    rows: list[list[dict[str, Any]]] = [[] for _ in segmenters]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.jpg"
        for kind, images in kinds.items():
            found: list[dict[str, list[Any]]] = [{"full": [], "fast": [], "ms": [], "same": []} for _ in segmenters]
            for give in track(images, kind, console=Console(stderr=True)):
                image, sky, valid = give()
                Image.fromarray(image).save(path, quality=QUALITY)
                for segmenter, each in zip(segmenters, found, strict=True):
                    compare(path, segmenter, sky, valid, each)
            for segmenter_rows, each in zip(rows, found, strict=True):
                if each["full"]:
                    segmenter_rows.append({"kind": kind, **figures(each)})
    for segmenter, each_rows in zip(segmenters, rows, strict=True):
        yield segmenter.artifact.spec.name, {"model": model_facts(segmenter.artifact), "rows": each_rows}


def compare(path: Path, segmenter: Segmenter, sky: np.ndarray, valid: np.ndarray, found: dict[str, list[Any]]) -> None:
    """Segment a file both ways, and append metrics, times and the agreement of the two masks."""
    before = time.perf_counter()
    full_image = read_rgb(path)
    between = time.perf_counter()
    reduced, shape = read_reduced(path, segmenter.artifact.size)
    found["ms"].append((1000 * (between - before), 1000 * (time.perf_counter() - between)))
    masks = {"full": segmenter(full_image), "fast": resize_probability(segmenter.low_res(reduced), *shape)}
    for name, probability in masks.items():
        found[name].append(evaluate_image(probability, sky, valid))
    found["same"].append(float(np.mean((masks["full"] >= segmenter.threshold) == (masks["fast"] >= segmenter.threshold))))


def figures(found: dict[str, list[Any]]) -> dict[str, Any]:
    """Return IoU and boundary IoU of both ways, the median times, and the mean share of equal pixels."""
    pooled = {name: pool(list[ImageMetrics](found[name])) for name in ("full", "fast")}
    full_ms, fast_ms = np.median(np.array(found["ms"]), axis=0)
    return {
        "images": len(found["full"]),
        **{f"{key}_{name}": getattr(each, key) for key in METRICS for name, each in pooled.items()},
        "decode_ms_full": round(float(full_ms), 2),
        "decode_ms_fast": round(float(fast_ms), 2),
        "equal_pixels": round(float(np.mean(found["same"])), 5),
    }


def page(figures: Figures) -> list[str]:
    """Return the table."""
    rows = [
        (
            row["kind"], row["images"], *(f"{row[f'{key}_{name}']:.4f}" for key in METRICS for name in ("full", "fast")),
            f"{100 * row['equal_pixels']:.2f} %", f"{row['decode_ms_full'] / row['decode_ms_fast']:.1f} x",
        )
        for row in figures["rows"]
    ]  # fmt: skip
    head = ["images", "number", "IoU, full", "IoU, fast", "boundary IoU, full", "boundary IoU, fast", "equal pixels", "decoding"]
    return [
        f"JPEGs of about 2 megapixels, quality {QUALITY}. What is decoded at reduced size is at least as large as the network's "
        "input. The last column is the time for decoding in full, divided by the time at reduced size (medians).",
        "",
        *table(head, "lrrrrrrr", rows),
    ]


STUDY = Study("fast_decode", "Decoding at reduced size: {model[name]}", FastDecodeConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
