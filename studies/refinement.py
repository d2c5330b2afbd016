"""Prove refinement: `python studies/refinement.py --data DIR --model ARTIFACT`.

The network's own map is enlarged to the image in several ways, and each result is compared with the target: on procedural
scenes, whose share of sky is exact at every pixel, and on labeled images at full size. OUT/example.jpg shows one crop of a scene.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from edge_runtime.errors import InputError
from edge_runtime.files import write_bytes
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.refine import RefineConfig, refine
from edge_runtime.metrics.iou import THRESHOLD, ImageMetrics, evaluate_image, pool
from edge_runtime.records import parse_json, read_text
from edge_runtime.segmenter import Segmenter
from scenes.render import generate
from studies.harness import RESULTS, Figures, Study, StudyConfig, model_facts, require, table

METHODS: dict[str, RefineConfig | None] = {
    "bilinear": None,
    "guided": RefineConfig(method="guided"),
    "no_density": RefineConfig(density=False),
    "no_guard": RefineConfig(guard=False),
    "weighted": RefineConfig(),
}
KINDS = ("trees", "lookup", "towers", "field", "street", "city")  # branches, lattice masts, wires, roofs
DAMAGE = 0.005  # a larger change of IoU counts as better or worse
EXAMPLE_SEED, TILE = 700_002, 420  # of the example: its scene, and the side of its crops in pixels
COLUMNS = ("mae", "iou", "boundary_iou", "iou_change_worst", "images_worse", "images_better")

Part = Literal["scenes", "data"]


@dataclass(frozen=True, kw_only=True)
class RefinementConfig(StudyConfig):
    """Measure bilinear upsampling, the plain guided filter and weighted guided upsampling against exact targets."""

    data: Path | None = None  # labeled images, for the part `data`
    model: Path = Path("models/unet_lite/onnx-fp32")  # artifact that gives the maps
    out: Path = RESULTS / "refinement"  # the parts of its result that are not measured stay
    parts: tuple[Part, ...] = ("scenes", "data")  # what to measure
    scenes: int = 8  # scenes of each kind
    scene_size: tuple[int, int] = (1536, 2048)  # height, width in pixels
    seed: int = 700_000  # of the first scene; the settings were chosen on scenes from 500000 on
    split: str = "test"  # of the labeled images
    limit: int = 0  # use only this many labeled images; 0: all


@dataclass(frozen=True, eq=False)
class Case:
    """An image (H, W, 3) uint8 RGB, the share of sky (H, W), what is not void (H, W), and the map (h, w) to refine."""

    image: np.ndarray
    sky: np.ndarray
    valid: np.ndarray
    low_res: np.ndarray


def upsample(case: Case, config: RefineConfig | None) -> np.ndarray:
    """Return the map of a case at its image's size (H, W); None is bilinear."""
    if config is None:
        return resize_probability(case.low_res, *case.image.shape[:2])
    return refine(case.image, case.low_res, config)


def summarize(results: list[ImageMetrics], base: list[ImageMetrics]) -> dict[str, Any]:
    """Return the figures of one method over a set, and the change of its IoU against `base`, image by image."""
    figures = pool(results)
    pairs = [(result.iou, other.iou) for result, other in zip(results, base, strict=True)]
    changes = [after - before for after, before in pairs if after is not None and before is not None]
    names = ("mae", "iou", "boundary_iou", "boundary_f", "iou_excluding_edges", "nosky_fpr")
    values = {name: getattr(figures, name) for name in names}
    return {
        **{name: None if value is None else round(value, 5) for name, value in values.items()},
        "images": len(results),
        "iou_change_worst": round(min(changes), 5) if changes else None,
        "iou_change_mean": round(float(np.mean(changes)), 5) if changes else None,
        "images_worse": sum(change < -DAMAGE for change in changes),
        "images_better": sum(change > DAMAGE for change in changes),
    }


def measure_cases(cases: Iterator[Case], step: Callable[[], None]) -> dict[str, Any]:
    """Return the figures of every method over some cases."""
    results: dict[str, list[ImageMetrics]] = {name: [] for name in METHODS}
    for case in cases:
        for name, config in METHODS.items():
            results[name].append(evaluate_image(upsample(case, config), case.sky, case.valid))
        step()
    return {name: summarize(found, results["bilinear"]) for name, found in results.items()}


def scene_cases(config: RefinementConfig, segmenter: Segmenter, kind: str, exact: bool = False) -> Iterator[Case]:
    """Make the scenes of a kind; with `exact` the map is the target at the network's size."""
    first = config.seed + 1000 * KINDS.index(kind)
    for seed in range(first, first + config.scenes):
        scene = generate(seed, config.scene_size, kind)
        height, width = segmenter.artifact.size
        small = cv2.resize(scene.alpha, (width, height), interpolation=cv2.INTER_AREA)
        low_res = np.clip(small, 0, 1) if exact else segmenter.low_res(scene.image)
        yield Case(scene.image, scene.alpha, np.ones(scene.alpha.shape, bool), low_res)


def labeled_cases(config: RefinementConfig, segmenter: Segmenter) -> Iterator[Case]:
    """Read the labeled images."""
    if config.data is None:
        raise InputError("got no --data for the part `data`, expected a folder of labeled images; leave the part out")
    pairs = find_pairs(config.data, None if config.split == "none" else config.split)
    for pair in pairs[: config.limit or None]:
        labeled = read_pair(pair)
        yield Case(labeled.image, labeled.sky, labeled.valid, segmenter.low_res(labeled.image))


def measure_parts(config: RefinementConfig, segmenter: Segmenter) -> Iterator[tuple[str, Any]]:
    """Yield the name and the figures of each part of `config.parts` when it is done."""
    with Progress(console=Console(stderr=True)) as progress:

        def measured(title: str, cases: Iterator[Case]) -> dict[str, Any]:
            task = progress.add_task(title, total=None)
            return measure_cases(cases, lambda: progress.advance(task))

        if "scenes" in config.parts:
            size = {"height": config.scene_size[0], "width": config.scene_size[1], "seed": config.seed}
            network = {kind: measured(kind, scene_cases(config, segmenter, kind)) for kind in KINDS}
            exact = {kind: measured(f"{kind}, exact", scene_cases(config, segmenter, kind, True)) for kind in KINDS}
            yield "scenes", {**size, "network_map": network, "exact_map": exact}
        if "data" in config.parts:
            name = config.data.resolve().name if config.data else None
            figures = measured("labeled images", labeled_cases(config, segmenter))
            yield "data", {"folder": name, "split": config.split, "methods": figures}


def write_example(config: RefinementConfig, segmenter: Segmenter) -> None:
    """Write OUT/example.jpg: image, bilinear and refined map side by side, where the target of a scene has most edges."""
    scene = generate(EXAMPLE_SEED, config.scene_size, "field", "clear")
    low_res = segmenter.low_res(scene.image)
    edges = cv2.morphologyEx((scene.alpha >= THRESHOLD).astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    side = min(TILE, *config.scene_size)
    busy = cv2.boxFilter(edges, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = busy[: config.scene_size[0] - side + 1, : config.scene_size[1] - side + 1]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    crop = np.s_[top : top + side, left : left + side]
    maps = (resize_probability(low_res, *config.scene_size), refine(scene.image, low_res))
    tiles = [scene.image[crop], *(np.repeat(to_mask8(each[crop])[..., None], 3, 2) for each in maps)]
    data = io.BytesIO()
    Image.fromarray(np.hstack(tiles)).save(data, "JPEG", quality=85)
    write_bytes(config.out / "example.jpg", data.getvalue())


def measure(config: RefinementConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the result after each part, so that a stop loses one part at most."""
    require(config, 1, "scenes")
    require(config, 0, "limit")
    segmenter = Segmenter.load(config.model)
    name = segmenter.artifact.spec.arch
    before = config.out / f"{name}.json"
    figures: Figures = parse_json(read_text(before, "a result"), f"{before} of this study") if before.is_file() else {}
    figures["model"] = model_facts(segmenter.artifact)
    for part, found in measure_parts(config, segmenter):
        figures[part] = found
        yield name, figures
    write_example(config, segmenter)


def page(figures: Figures) -> list[str]:
    """Return a table of the sets and methods, and one of time and memory."""
    sets: dict[str, Figures] = {}
    for maps, shown in (("network_map", "scenes"), ("exact_map", "exact map")):
        sets |= {f"{shown}, {kind}": found for kind, found in figures.get("scenes", {}).get(maps, {}).items()}
    if "data" in figures:
        sets[f"{figures['data']['folder']}, {figures['data']['split']}"] = figures["data"]["methods"]
    rows = [
        [name, method, *(None if found[column] is None else f"{found[column]:.4g}" for column in COLUMNS)]
        for name, methods in sets.items()
        for method, found in methods.items()
    ]
    head = ["set", "method", *(column.replace("_", " ") for column in COLUMNS)]
    lines = table(head, "ll" + "r" * len(COLUMNS), rows)
    lines += ["", f"Worse, better: IoU changes by more than {DAMAGE} against bilinear."]
    return lines


STUDY = Study("refinement", "Refinement of {model[name]}", RefinementConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
