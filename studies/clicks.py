"""Prove correction: `python studies/clicks.py --data DIR`: IoU after 0, 1, 3 and 5 clicks at the largest error's center."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.mask_file import VOID
from edge_runtime.masks.refine import refine
from edge_runtime.metrics.iou import THRESHOLD
from edge_runtime.segmenter import Segmenter
from scenes.render import generate
from skyedge.correct.run import OTHER, SKY, correct
from studies.harness import RESULTS, Figures, Study, StudyConfig, model_facts, require, table

CLICKS = (0, 1, 3, 5)
WHAT = (
    "The refined mask of {}. A click is put where a user would put it: on the pixel deepest inside the largest connected error "
    'of the mask (Xu et al. 2016, "Deep Interactive Object Selection"). Every correction starts from the first mask, with all '
    "clicks so far. The second set are the labeled images whose first masks are worst."
)
KINDS = ("city", "street", "towers")
FEW = 0.001  # images with a smaller share of sky are left out: one pixel would decide their IoU


@dataclass(frozen=True, kw_only=True)
class ClicksConfig(StudyConfig):
    """Measure what simulated clicks bring."""

    data: Path | None = None  # labeled images; none: scenes alone
    split: str = "test"  # of the labeled images
    model: Path = Path("models/unet_lite/onnx-fp32")  # artifact that makes the first masks
    out: Path = RESULTS / "clicks"
    worst: int = 40  # labeled images of the lowest IoU
    scenes: int = 6  # of each kind
    scene_size: tuple[int, int] = (600, 800)  # height, width in pixels
    seed: int = 710_000  # of the first scene


@dataclass(frozen=True, eq=False)
class Example:
    """An image (H, W, 3) uint8 RGB, its sky (H, W), what is not void (H, W), and the first mask (H, W)."""

    image: np.ndarray
    sky: np.ndarray
    valid: np.ndarray
    mask: np.ndarray


def iou(mask: np.ndarray, example: Example) -> float:
    """Return the IoU of a mask (H, W); 1 where neither has sky."""
    predicted, target = (mask >= THRESHOLD) & example.valid, (example.sky >= THRESHOLD) & example.valid
    return int(np.count_nonzero(predicted & target)) / max(1, int(np.count_nonzero(predicted | target)))


def next_click(mask: np.ndarray, example: Example) -> tuple[int, int] | None:
    """Return row and column of the deepest pixel of the largest error, None where there is none."""
    wrong = (((mask >= THRESHOLD) != (example.sky >= THRESHOLD)) & example.valid).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(np.pad(wrong, 1), connectivity=4)
    if len(stats) == 1:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    depth = cv2.distanceTransform((parts == largest).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y) - 1, int(x) - 1


def click_through(example: Example) -> tuple[list[float], list[float]]:
    """Return the IoU after 0 to 5 clicks, and the CPU milliseconds of every correction."""
    strokes = np.full(example.sky.shape, VOID, np.uint8)
    mask, times = example.mask, []
    found = [iou(mask, example)]
    for _ in range(max(CLICKS)):
        at = next_click(mask, example)
        if at is not None:
            strokes[at] = SKY if example.sky[at] >= THRESHOLD else OTHER
            start = time.process_time()
            mask = correct(example.image, example.mask, strokes)
            times.append((time.process_time() - start) * 1e3)
        found.append(iou(mask, example))
    return found, times


def summarize(examples: Iterator[Example]) -> dict[str, Any]:
    """Return mean IoU after each number of clicks, and how many images gained or lost more than 0.005."""
    results = [click_through(example) for example in examples]
    if not results:
        raise InputError("got no image with sky, expected one at least; choose another --data or --split")
    curves = np.array([curve for curve, _ in results])
    gains = curves - curves[:, :1]
    return {
        "images": len(curves),
        "iou": {str(n): round(float(curves[:, n].mean()), 4) for n in CLICKS},
        "better": {str(n): int((gains[:, n] > 0.005).sum()) for n in CLICKS[1:]},
        "worse": {str(n): int((gains[:, n] < -0.005).sum()) for n in CLICKS[1:]},
        "worst_change": {str(n): round(float(gains[:, n].min()), 4) for n in CLICKS[1:]},
        "cpu_ms_median": round(float(np.median([ms for _, times in results for ms in times])), 1),
    }


def scene_examples(config: ClicksConfig, segmenter: Segmenter) -> Iterator[Example]:
    """Make scenes of buildings and masts, and their refined masks."""
    for number, kind in enumerate(KINDS):
        for seed in range(config.seed + 1000 * number, config.seed + 1000 * number + config.scenes):
            scene = generate(seed, config.scene_size, kind)
            mask = refine(scene.image, segmenter.low_res(scene.image))
            yield Example(scene.image, scene.alpha, np.ones(mask.shape, bool), mask)


def worst_examples(config: ClicksConfig, segmenter: Segmenter) -> Iterator[Example]:
    """Read the labeled images with sky whose refined masks are worst."""
    assert config.data is not None
    found = []
    for pair in find_pairs(config.data, None if config.split == "none" else config.split):
        labeled = read_pair(pair)
        if ((labeled.sky >= THRESHOLD) & labeled.valid).mean() >= FEW:
            mask = refine(labeled.image, segmenter.low_res(labeled.image))
            found.append((iou(mask, Example(labeled.image, labeled.sky, labeled.valid, mask)), pair.id, pair, mask))
    for _, _, pair, mask in sorted(found, key=lambda entry: entry[:2])[: config.worst]:
        labeled = read_pair(pair)
        yield Example(labeled.image, labeled.sky, labeled.valid, mask)


def measure(config: ClicksConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of the scenes, and of the labeled images."""
    require(config, 1, "scenes", "worst")
    segmenter = Segmenter.load(config.model)
    sets = {"scenes: " + ", ".join(KINDS): summarize(scene_examples(config, segmenter))}
    if config.data is not None:
        sets[f"worst of {config.data.resolve().name}, {config.split}"] = summarize(worst_examples(config, segmenter))
    head = {"model": model_facts(segmenter.artifact), "seed": config.seed, "scene_size": list(config.scene_size)}
    yield segmenter.artifact.spec.arch, {**head, "sets": sets}


def page(figures: Figures) -> list[str]:
    """Return what was done and the table."""
    head = ["set", "images", "IoU, no click", "1 click", "3", "5", "better, worse after 5", "worst change", "CPU ms a click"]
    rows = [
        [
            name,
            found["images"],
            *(f"{found['iou'][str(n)]:.3f}" for n in CLICKS),
            f"{found['better']['5']}, {found['worse']['5']}",
            f"{found['worst_change']['5']:+.3f}",
            f"{found['cpu_ms_median']:.0f}",
        ]
        for name, found in figures["sets"].items()
    ]
    return [WHAT.format(figures["model"]["name"]), "", *table(head, "lrrrrrrrr", rows)]


STUDY = Study("clicks", "Correction by clicks", ClicksConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
