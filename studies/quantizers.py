"""Quantizers side by side: `python studies/quantizers.py --data DIR [--checkpoint FILE]`.

All are calibrated on the same images and scored on the same other images: size, loss of IoU against torch fp32, and latency.
The models take turns image by image, so that other work on the machine slows all of them alike. Their ratio to fp32 in the
same runtime is what counts; `edge_runtime.benchmark` measures absolute latencies.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, splits
from export.network import load_network
from export.parity import pooled_agreement, run_torch
from export.pipeline import quiet
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.checks import worst_source
from quantize.calibration.labeled import LabeledSet
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table
from studies.quantizer_variants import FAMILIES, CalibrationInputs, CompressionMethod, RunnableModel, list_methods


@dataclass(frozen=True, kw_only=True)
class QuantizersConfig(StudyConfig):
    """Compare the quantizers of this project and NNCF on one checkpoint."""

    data: Path | None = None
    """Labeled images (images/ and masks/, or splits of them)."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    split: str | None = None
    """Split of --data. Default: val if there is one."""
    families: tuple[str, ...] = tuple(FAMILIES)
    """What to compare: float, onnx, tflite, ncnn, nncf-onnx, openvino. NNCF on ONNX takes hours for u2netp."""
    calib_count: int = 100
    """Images to calibrate on."""
    count: int = 60
    """Images to score on, spread evenly; half as many others tune NNCF's accuracy control."""
    rounds: int = 20
    """Timed runs of each network; 0 leaves latency out."""
    max_drop: float = 0.3
    """Loss of IoU, in points, that accuracy control stays under."""
    seed: int = 0
    """Seed of the calibration images."""
    out: Path = RESULTS / "quantizers"


def measure(config: QuantizersConfig) -> Iterator[tuple[str, Figures]]:
    """Build, score and time every method of the families; yield the figures under the network's name."""
    require(config, 2, "count", "calib_count")
    require(config, 0, "rounds")
    unknown = [family for family in config.families if family not in FAMILIES]
    if unknown:
        raise InputError(f"got --families {', '.join(unknown)}, expected some of {', '.join(FAMILIES)}")
    if config.data is None:
        raise InputError("got no --data, expected a folder of labeled images")
    split = config.split or ("val" if "val" in splits(config.data) else None)
    network = load_network(config.checkpoint, None)
    chosen = divide(config.data / split if split else config.data, config.calib_count, config.seed)
    used = {path.stem for path in chosen.calibration}
    free = [pair for pair in find_pairs(config.data, split) if pair.id not in used]
    order = np.random.default_rng(config.seed).permutation(len(free))
    count = min(config.count, 2 * len(free) // 3)
    scored, tuned = ([free[index] for index in sorted(part)] for part in (order[:count], order[count : count + count // 2]))
    if len(tuned) < 1:
        raise InputError(f"got {len(free)} labeled images beside the calibration images, expected 3 or more; lower --calib-count")
    labeled = LabeledSet(scored, network.size)
    inputs = CalibrationInputs(
        network, read_resized(chosen.calibration, network.size), LabeledSet(tuned, network.size), config.max_drop
    )
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        rows = _rows(list_methods(config.families), inputs, labeled, config.rounds, Path(folder))
    facts = {
        "network": network.checkpoint.name, "size": network.size.width, "checkpoint_sha256": network.sha256,
        "calibration_images": len(chosen.calibration), "images": len(scored), "tuning_images": len(tuned),
    }  # fmt: skip
    head = {"machine": dataclasses.asdict(describe_machine()), **facts, "rounds": config.rounds}
    yield network.checkpoint.name, {**head, "rows": rows}


def _rows(
    methods: Sequence[CompressionMethod], inputs: CalibrationInputs, labeled: LabeledSet, rounds: int, folder: Path
) -> list[dict[str, Any]]:
    console = Console(stderr=True)
    expected = run_torch(inputs.network.reference, labeled.images)
    iou, by_source = labeled.iou(expected), labeled.iou_by_source(expected)
    rows: list[dict[str, Any]] = []
    built: dict[int, RunnableModel] = {}
    for number, method in enumerate(methods):
        row: dict[str, Any] = {"runtime": method.runtime, "precision": method.precision, "label": method.label}
        rows.append(row)
        place = folder / str(number)
        place.mkdir()
        start = time.monotonic()
        try:
            with quiet():
                built[number] = method.build(inputs, place)
        except Exception as error:  # converters raise all kinds of errors, and a failure is a result too
            row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            console.print(f"{method.runtime} {method.precision} {method.label}: {row['failed']}")
            continue
        row["build_s"] = round(time.monotonic() - start, 1)
        masks = labeled.masks(built[number].run)
        worst, lost = worst_source(by_source, labeled.iou_by_source(masks))
        row |= {"size_bytes": built[number].size_bytes, "max_abs": float(np.abs(masks - expected).max())}
        row |= {"agreement": pooled_agreement(expected, masks), "iou": labeled.iou(masks), "iou_torch_fp32": iou}
        row |= {"drop_points": 100 * (iou - row["iou"]), "worst_source": worst, "worst_source_drop_points": lost}
        console.print(f"{method.runtime} {method.precision} {method.label}: drop {row['drop_points']:+.2f}, {row['build_s']} s")
    for number, samples in _time(built, labeled.images, rounds).items():
        rows[number]["infer_ms"] = samples
    return rows


def _time(built: dict[int, RunnableModel], images: Sequence[np.ndarray], rounds: int) -> dict[int, list[float]]:
    """Return the milliseconds of every model. They take turns, each with one untimed run first."""
    taken: dict[int, list[float]] = {number: [] for number in built}
    for round_ in range(rounds):
        image = images[round_ % len(images)]
        for number, each in built.items():
            each.run(image)
            start = time.perf_counter()
            each.run(image)
            taken[number].append(round(1000 * (time.perf_counter() - start), 4))
    return {number: samples for number, samples in taken.items() if samples}


def page(figures: Figures) -> list[str]:
    """Return the table: a row for every method."""
    full = {row["runtime"]: row.get("infer_ms") for row in figures["rows"] if row["precision"] == "fp32"}
    head = [
        "runtime", "precision", "method", "size MB", "latency ratio", "agreement", "max-abs", "drop", "drop of the worst source",
    ]  # fmt: skip
    rows: list[list[object]] = []
    for row in figures["rows"]:
        cells: list[object] = [row["runtime"], row["precision"], row["label"] or None]
        if "failed" in row:
            rows.append([*cells[:2], f"{row['label']} failed: {row['failed']}", *[None] * 6])
            continue
        own, reference = row.get("infer_ms"), full.get(row["runtime"])
        cells += [f"{row['size_bytes'] / 1e6:.2f}", f"{np.median(own) / np.median(reference):.2f}" if own and reference else None]
        cells += [f"{row['agreement']:.4f}", f"{row['max_abs']:.1e}", f"{row['drop_points']:+.2f}"]
        rows.append([*cells, f"{row['worst_source_drop_points']:+.2f} ({row['worst_source']})"])
    return [
        f"{figures['size']} pixels, on {figures['machine']['name']}, calibrated on {figures['calibration_images']} images, "
        f"scored on {figures['images']} others. Drops are in points of pooled IoU against torch fp32. Latency is the ratio of "
        "medians to fp32 in the same runtime, one thread.",
        "",
        *table(head, "lllrrrrrl", rows),
    ]


STUDY = Study("quantizers", "Quantizers for {network}", QuantizersConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
