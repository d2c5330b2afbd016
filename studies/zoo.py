"""Networks of the field with one budget: `python studies/zoo.py --data DIR`.

Every network trains on the same views in the same order, at one size, from random weights (ours from the ImageNet weights of
their packages, which is said in the table), is measured on the test split, and is timed as an ONNX artifact in float32 and int8.
Beside them stand methods without training, the best network followed by blur and morphology, and the mean of the best three.
A run that was stopped goes on: finished networks are skipped, and the training of the next is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import open_backend
from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import Pair, find_pairs, spread
from edge_runtime.images.opencv import cv2
from edge_runtime.metrics.iou import evaluate_pairs, pool
from edge_runtime.records import parse_json, read_text
from edge_runtime.segmenter import Segmenter
from export import to_onnx
from export.pipeline import ExportConfig
from quantize.int8 import Int8Config, quantize
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table
from train.engine.presets import FitConfig
from train.engine.run import STATE_FILE
from train.evaluation.model import open_model
from train.fit import fit
from train.models import MODELS, add_network, count_macs, count_parameters, load_checkpoint, plain_name

OTHERS = ("unet_resnet50", "unet_vgg16", "unet_vgg19", "fcn_resnet50", "deeplabv3_resnet50")
NETWORKS = (*MODELS, *(f"studies/networks.py:{name}" for name in OTHERS))
IMAGENET = ("unet_lite", "unet_lite_s", "teacher")  # their encoders start from packaged weights
UNTRAINED = ("classical:contour", "classical:color")
SHOWN = ("iou", "boundary_iou", "mae", "fbeta_max", "auroc", "f1", "nosky_fpr")
# What the documents report for the same network, on other data and with ImageNet weights; docs/seeds.md names them.
PUBLISHED = {
    "fcn_resnet50": "ADE20K MAE 0.017, F 0.98; Cityscapes per-image IoU 0.789",
    "unet": "ADE20K MAE 0.13, F 0.88",
    "u2net": "ADE20K MAE 0.01, F 0.98",
    "unet_resnet50": "ADE20K-Outdoors IoU 94.89 %",
    "deeplabv3_resnet50": "ADE20K-Outdoors IoU 93.92 %",
}


@dataclass(frozen=True, kw_only=True)
class ZooConfig(StudyConfig):
    """Train, measure and time networks with one budget."""

    data: Path | None = None
    """Labeled images with the splits train, val and test."""
    networks: tuple[str, ...] = NETWORKS
    """Networks, as `--arch` of train/fit.py."""
    size: int = 160
    """Input side in pixels."""
    steps: int = 1500
    """Optimizer steps of each network."""
    batch: int = 8
    """Images in a step."""
    lr: float = 1e-3
    """Peak learning rate, the same for all."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """Of the forward pass in training, see train/engine/presets.py."""
    seed: int = 0
    """Seed of all runs."""
    threads: int = 1
    """CPU threads."""
    limit: int = 0
    """Measure on this many test images only; 0: all."""
    latency_runs: int = 50
    """Timed runs of each artifact; 0 exports and times nothing."""
    runs: Path = Path("runs/zoo")
    """Folder of the training runs and artifacts."""
    out: Path = RESULTS / "zoo"
    """Folder of zoo.json, zoo.md and zoo.svg."""


def measure(config: ZooConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the result again with each network that is done."""
    require(config, 1, "size", "steps", "batch", "threads")
    require(config, 0, "latency_runs", "limit", "seed")
    if config.data is None:
        raise InputError("got no --data, expected a folder with the splits train, val and test")
    if not config.networks:
        raise InputError("got no --networks, expected some")
    networks = {plain_name(arch): arch for arch in config.networks if add_network(arch)}
    settings = {name: getattr(config, name) for name in ("size", "steps", "batch", "lr", "precision", "seed", "threads", "limit")}
    figures: Figures = {"settings": settings | {"data": config.data.name}, "networks": {}, "others": {}}
    figures |= _saved(config, figures["settings"])
    pairs = find_pairs(config.data, "test")
    pairs = spread(pairs, config.limit or len(pairs))
    for name, arch in networks.items():
        if name not in figures["networks"]:
            figures["networks"][name] = _network(config, arch, pairs)
            figures["others"] = {}
        yield "zoo", figures
    if not figures["others"]:
        figures["others"] = _others(config, figures["networks"], pairs)
        yield "zoo", figures
    plot(figures, config.out / "zoo.svg")


def _saved(config: ZooConfig, settings: dict[str, Any]) -> Figures:
    """Return the figures of an earlier part of this run; none where the settings were others."""
    path = config.out / "zoo.json"
    if not path.is_file():
        return {}
    saved: Figures = parse_json(read_text(path, "a result of this study"), f"{path} of this study")
    return saved if saved["settings"] == settings else {}


def _network(config: ZooConfig, arch: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    assert config.data is not None
    folder = config.runs / plain_name(arch)
    started = time.monotonic()
    run = FitConfig(
        arch, data=(config.data,), out=folder, sizes=(config.size,), steps=(config.steps,), batches=(config.batch,), lr=config.lr,
        seed=config.seed, threads=config.threads, precision=config.precision,
        warmup=config.steps // 10, resume=(folder / STATE_FILE).is_file(),
    )  # fmt: skip
    checkpoint = fit(run)
    seconds = time.monotonic() - started
    network = load_checkpoint(checkpoint).build()
    row = {"parameters": count_parameters(network), "gmacs": count_macs(network, config.size) / 1e9}
    row |= _quality(open_model(checkpoint, config.threads).predict, pairs) | {"seconds_of_last_call": seconds}
    return row | (_latency(config, checkpoint) if config.latency_runs else {})


def _quality(predict: Callable[[np.ndarray], np.ndarray], pairs: Sequence[Pair]) -> dict[str, Any]:
    pooled = pool(evaluate_pairs(predict, pairs))
    return {key: getattr(pooled, key) for key in SHOWN} | {"images": len(pairs)}


def _others(config: ZooConfig, networks: dict[str, Any], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the rows that are no network of their own."""
    rows = {name: _quality(Segmenter.load(name, config.threads), pairs) for name in UNTRAINED}
    best = sorted(networks, key=lambda name: networks[name]["iou"], reverse=True)[:3]
    predicts = [open_model(config.runs / name / "checkpoint.pt", config.threads).predict for name in best]
    rows[f"{best[0]}, then blur and morphology"] = _quality(lambda image: _smooth(predicts[0](image)), pairs)
    mean = _quality(lambda image: np.stack([predict(image) for predict in predicts]).mean(axis=0, dtype=np.float32), pairs)
    keys = ("parameters", "gmacs", *(("fp32_ms", "int8_ms") if all("int8_ms" in networks[name] for name in best) else ()))
    rows[f"mean of {', '.join(best)}"] = mean | {key: round(sum(networks[name][key] for name in best), 3) for key in keys}
    return rows


def _smooth(probability: np.ndarray) -> np.ndarray:
    """Blur probabilities (h, w); gray opening then drops specks, and closing fills holes."""
    side = max(probability.shape)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.01 * side) + 1,) * 2)
    opened = cv2.morphologyEx(cv2.GaussianBlur(probability, (0, 0), 0.005 * side), cv2.MORPH_OPEN, disc)
    return np.clip(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disc), 0.0, 1.0)


def _latency(config: ZooConfig, checkpoint: Path) -> dict[str, Any]:
    """Return the median latency of the ONNX artifacts in ms, timed in turns; an artifact that a gate refuses is named."""
    assert config.data is not None
    artifacts: dict[str, Artifact] = {}
    refused: dict[str, str] = {}
    try:
        artifacts["fp32"] = to_onnx.export(ExportConfig(checkpoint, out=checkpoint.parent / "onnx-fp32"))
        calibrated = Int8Config(
            config.data / "train", checkpoint, format=("onnx",), count=100, out=checkpoint.parent / "onnx-int8"
        )
        artifacts["int8"] = quantize(calibrated)[0]
    except GateError as error:
        refused["refused"] = str(error)
    image = np.zeros((config.size, config.size, 3), np.uint8)  # the time does not depend on the pixels
    backends = {precision: open_backend(artifact, config.threads) for precision, artifact in artifacts.items()}
    times: dict[str, list[float]] = {precision: [] for precision in backends}
    for _ in range(config.latency_runs):
        for precision, backend in backends.items():
            started = time.perf_counter()
            backend.run(image)
            times[precision].append(1000.0 * (time.perf_counter() - started))
    return {f"{precision}_ms": round(float(np.median(taken)), 3) for precision, taken in times.items()} | refused


def page(figures: Figures) -> list[str]:
    """Return the table: our figures with the budget of this study, beside what the documents report for the same network."""
    settings, rows = figures["settings"], []
    for name, row in (figures["networks"] | figures["others"]).items():
        start = None if name in figures["others"] else "ImageNet" if name in IMAGENET else "random"
        quality = [None if row[key] is None else f"{row[key]:.3f}" for key in SHOWN]
        counts = [f"{row['parameters'] / 1e6:.2f}", f"{row['gmacs']:.2f}"] if "parameters" in row else [None, None]
        size = [*counts, row.get("fp32_ms"), row.get("int8_ms")]
        rows.append([name, start, *quality, *size, PUBLISHED.get(name)])
    head = ["network", "encoder starts from", "IoU", "boundary IoU", "MAE", "max F", "AUROC", "Dice", "no-sky FPR"]
    head += ["M parameters", "GMACs", "fp32 ms", "int8 ms", "reported elsewhere"]
    budget = ", ".join(f"{key} {value}" for key, value in settings.items())
    return [
        f"Budget of every network: {budget}. Each sees the same views in the same order.",
        "The milliseconds of a mean are those of its networks, added. Figures in the last column come from other data, longer",
        "training and ImageNet weights, so they compare with nothing here but say what the network can do.",
        "",
        *table(head, "ll" + "r" * (len(head) - 3) + "l", rows),
    ]


def plot(figures: Figures, path: Path) -> None:
    """Draw pooled IoU against the latency of the float32 artifacts as SVG; nothing where none was timed."""
    from matplotlib.figure import Figure

    timed = {name: row for name, row in figures["networks"].items() if row.get("fp32_ms")}
    if not timed:
        return
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, row in timed.items():
        axes.plot(row["fp32_ms"], row["iou"], "o")
        axes.annotate(name, (row["fp32_ms"], row["iou"]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="ms an image, ONNX float32", ylabel="pooled IoU", title="Networks with one training budget")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


STUDY = Study("zoo", "Networks of the field with one budget", ZooConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
