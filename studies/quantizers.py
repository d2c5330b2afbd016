"""Quantizers side by side: `python studies/quantizers.py --data DIR [--checkpoint FILE]`.

All are calibrated on the same images and scored on the same other images: size, loss of IoU against torch fp32, and latency.
The models take turns image by image, so that other work on the machine slows all of them alike. Their ratio to fp32 in the
same runtime is what counts; `edge_runtime.benchmark` measures absolute latencies.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from edge_runtime.artifact.artifact import Artifact, Quantization
from edge_runtime.backends import open_backend
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, splits
from export import to_ncnn, to_onnx, to_tflite
from export.network import Network, load_network
from export.parity import built_in_scenes, pooled_agreement, run_torch
from export.pipeline import Converted, draft_spec, quiet, write_candidate
from quantize.calibration.calibration_set import divide, read_resized
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.ranges import METHODS
from quantize.formats import ncnn_int8, onnx_int8, tflite_int8
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table

RUNTIMES = {"onnx": "onnxruntime", "tflite": "LiteRT", "ncnn": "ncnn"}
EXPORTERS = {"onnx": to_onnx.convert, "tflite": to_tflite.convert, "ncnn": to_ncnn.convert}
QUANTIZERS = {"onnx": onnx_int8.calibrate, "tflite": tflite_int8.calibrate, "ncnn": ncnn_int8.calibrate}
Convert = Callable[[Network, Sequence[np.ndarray], Path], Converted]


@dataclass(frozen=True)
class Method:
    """One way to make a network small, for one format; `label` tells those of the same format and precision apart."""

    format: str
    precision: str
    label: str
    convert: Convert


def methods_of(artifact_format: str) -> Iterator[Method]:
    """Yield what there is for a format: fp32, fp16, and int8 by every rule for the ranges."""
    for precision in ("fp32", "fp16"):
        yield Method(artifact_format, precision, "", partial(_exported, EXPORTERS[artifact_format], precision))
    for method in METHODS:
        yield Method(artifact_format, "int8", method, partial(_quantized, QUANTIZERS[artifact_format], method))


def _exported(exporter: Any, precision: str, network: Network, _images: Sequence[np.ndarray], folder: Path) -> Converted:
    return exporter(network, precision, folder)


def _quantized(calibrate: Any, method: str, network: Network, images: Sequence[np.ndarray], folder: Path) -> Converted:
    return calibrate(network, images, folder, method)(frozenset(), folder)


def build(method: Method, network: Network, images: Sequence[np.ndarray], folder: Path) -> Artifact:
    """Write and read back the artifact of a method."""
    converted = method.convert(network, images, folder)
    stored = Quantization(method.precision, converted.weights, converted.activations, None)
    return write_candidate(
        folder, draft_spec(network, method.format, converted, stored, ""), converted, built_in_scenes(network.size)[0]
    )


@dataclass(frozen=True, kw_only=True)
class QuantizersConfig(StudyConfig):
    """Compare formats, precisions and rules for ranges on one checkpoint."""

    data: Path | None = None
    """Labeled images (images/ and masks/, or splits of them)."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    split: str | None = None
    """Split of --data. Default: val if there is one."""
    formats: tuple[str, ...] = tuple(RUNTIMES)
    """What to compare."""
    calib_count: int = 100
    """Images to calibrate on."""
    count: int = 60
    """Images to score on, spread evenly."""
    rounds: int = 20
    """Timed runs of each network; 0 leaves latency out."""
    seed: int = 0
    """Seed of the calibration images."""
    out: Path = RESULTS / "quantizers"


def measure(config: QuantizersConfig) -> Iterator[tuple[str, Figures]]:
    """Build, score and time every method of the formats; yield the figures under the network's name."""
    require(config, 2, "count", "calib_count")
    require(config, 0, "rounds")
    unknown = [name for name in config.formats if name not in RUNTIMES]
    if unknown:
        raise InputError(f"got --formats {', '.join(unknown)}, expected some of {', '.join(RUNTIMES)}")
    if config.data is None:
        raise InputError("got no --data, expected a folder of labeled images")
    split = config.split or ("val" if "val" in splits(config.data) else None)
    network = load_network(config.checkpoint, None)
    chosen = divide(config.data / split if split else config.data, config.calib_count, config.seed)
    used = {path.stem for path in chosen.calibration}
    free = [pair for pair in find_pairs(config.data, split) if pair.id not in used]
    order = np.random.default_rng(config.seed).permutation(len(free))
    if len(free) < 2:
        raise InputError(f"got {len(free)} labeled images beside the calibration images, expected 2 or more; lower --calib-count")
    labeled = LabeledSet([free[index] for index in sorted(order[: config.count])], network.size)
    images = read_resized(chosen.calibration, network.size)
    methods = [method for name in config.formats for method in methods_of(name)]
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        rows = _rows(methods, network, images, labeled, config.rounds, Path(folder))
    facts = {
        "network": network.checkpoint.name, "size": network.size.width, "checkpoint_sha256": network.sha256,
        "calibration_images": len(chosen.calibration), "images": len(labeled.images),
    }  # fmt: skip
    head = {"machine": dataclasses.asdict(describe_machine()), **facts, "rounds": config.rounds}
    yield network.checkpoint.name, {**head, "rows": rows}


def _rows(
    methods: Sequence[Method], network: Network, images: Sequence[np.ndarray], labeled: LabeledSet, rounds: int, folder: Path
) -> list[dict[str, Any]]:
    console = Console(stderr=True)
    expected = run_torch(network.reference, labeled.images)
    iou = labeled.iou(expected)
    rows: list[dict[str, Any]] = []
    runs: dict[int, Callable[[np.ndarray], np.ndarray]] = {}
    for number, method in enumerate(methods):
        row: dict[str, Any] = {"runtime": RUNTIMES[method.format], "precision": method.precision, "label": method.label}
        rows.append(row)
        place = folder / str(number)
        place.mkdir()
        start = time.monotonic()
        try:
            with quiet():
                artifact = build(method, network, images, place)
                runs[number] = open_backend(artifact).run
        except Exception as error:  # converters raise all kinds of errors, and a failure is a result too
            row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            console.print(f"{row['runtime']} {method.precision} {method.label}: {row['failed']}", markup=False)
            continue
        row["build_s"] = round(time.monotonic() - start, 1)
        masks = np.stack([runs[number](image) for image in labeled.images])
        row |= {"size_bytes": artifact.size_bytes, "max_abs": float(np.abs(masks - expected).max())}
        row |= {"agreement": pooled_agreement(expected, masks), "iou": labeled.iou(masks), "iou_torch_fp32": iou}
        row |= {"drop_points": 100 * (iou - row["iou"])}
        console.print(f"{row['runtime']} {method.precision} {method.label}: drop {row['drop_points']:+.2f}, {row['build_s']} s")
    for number, samples in _time(runs, labeled.images, rounds).items():
        rows[number]["infer_ms"] = samples
    return rows


def _time(
    runs: dict[int, Callable[[np.ndarray], np.ndarray]], images: Sequence[np.ndarray], rounds: int
) -> dict[int, list[float]]:
    """Return the milliseconds of every model. They take turns, each with one untimed run first."""
    taken: dict[int, list[float]] = {number: [] for number in runs}
    for round_ in range(rounds):
        image = images[round_ % len(images)]
        for number, run in runs.items():
            run(image)
            start = time.perf_counter()
            run(image)
            taken[number].append(round(1000 * (time.perf_counter() - start), 4))
    return {number: samples for number, samples in taken.items() if samples}


def page(figures: Figures) -> list[str]:
    """Return the table: a row for every method."""
    full = {row["runtime"]: row.get("infer_ms") for row in figures["rows"] if row["precision"] == "fp32"}
    head = ["runtime", "precision", "method", "size MB", "latency ratio", "agreement", "max-abs", "drop"]
    rows: list[list[object]] = []
    for row in figures["rows"]:
        cells: list[object] = [row["runtime"], row["precision"], row["label"] or None]
        if "failed" in row:
            rows.append([*cells[:2], f"{row['label']} failed: {row['failed']}", *[None] * 5])
            continue
        own, reference = row.get("infer_ms"), full.get(row["runtime"])
        cells += [f"{row['size_bytes'] / 1e6:.2f}", f"{np.median(own) / np.median(reference):.2f}" if own and reference else None]
        rows.append([*cells, f"{row['agreement']:.4f}", f"{row['max_abs']:.1e}", f"{row['drop_points']:+.2f}"])
    return [
        f"{figures['size']} pixels, on {figures['machine']['name']}, calibrated on {figures['calibration_images']} images, "
        f"scored on {figures['images']} others. Drops are in points of pooled IoU against torch fp32. Latency is the ratio of "
        "medians to fp32 in the same runtime, one thread.",
        "",
        *table(head, "lllrrrrr", rows),
    ]


STUDY = Study("quantizers", "Quantizers for {network}", QuantizersConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
