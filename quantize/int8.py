"""Quantise to int8 after training: `python quantize/int8.py --calib DIR [--format onnx tflite ncnn] [--eval DIR] [--out DIR]`.

A quarter of the calibration pictures is kept back: the masks of int8 and fp32 must agree on it. With --eval, labelled pictures,
int8 may lose at most --max-drop points of pooled IoU. A format that fails writes nothing, and the command exits with 1.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from edge_runtime.artifact import Artifact, GoldenPair, Quantization, write_artifact
from edge_runtime.backends import open_backend
from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
from edge_runtime.image_ops import resize_probability, resize_rgb
from edge_runtime.metrics import evaluate_pairs, pool
from edge_runtime.pairs import Pair, find_pairs
from export.command import Converted, default_out, draft_spec, from_here, quiet, shown_flags, write_candidate
from export.parity import parity_pictures, pooled_agreement, run_backend, run_torch
from export.wrapper import Network, load_network
from quantize import ncnn_int8, onnx_int8, tflite_int8
from quantize.calibration import Manifest, divide, make_manifest, read_resized

Convert = Callable[[Network, Sequence[np.ndarray], Path], Converted]
CONVERTERS: dict[str, Convert] = {"onnx": onnx_int8.convert, "tflite": tflite_int8.convert, "ncnn": ncnn_int8.convert}


@dataclass(frozen=True)
class Int8Config:
    """Quantise a checkpoint to int8, after comparing it with float32."""

    calib: Path
    """Pictures to calibrate on, labels not needed: a folder of pictures, or with images/, or with train/images."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    size: int | None = None
    """Side of the square input in pixels, a multiple of 32. Default: the checkpoint's own."""
    format: tuple[Literal["onnx", "tflite", "ncnn"], ...] = ("onnx", "tflite", "ncnn")
    """Formats to write."""
    count: int = 200
    """Most pictures to calibrate on."""
    seed: int = 0
    """Seed that divides the pictures into those for calibration and those to check with."""
    eval: Path | None = None
    """Labelled pictures (images/ and masks/) on which to measure the loss of IoU."""
    split: str | None = None
    """Split of --eval to read, such as val."""
    max_drop: float = 1.0
    """Largest loss of pooled IoU on --eval, in points (hundredths of IoU)."""
    min_agreement: float = 0.95
    """Smallest agreement with fp32: IoU of the masks, pooled over the quarter of --calib that is kept back."""
    out: Path | None = None
    """The artifact's folder; for several formats, the folder of their folders. Default: build/NAME-SIZE-int8-FORMAT."""


@dataclass(frozen=True, eq=False)
class Checks:
    """What every int8 network is compared with; float32 results are computed once for all formats.

    Attributes
    ----------
    held_out
        Pictures at the input size, (H, W, 3) uint8 RGB.
    masks
        (N, H, W) float32 probabilities of the float32 network on `held_out`.
    pairs
        Labelled pictures of --eval; empty without it.
    iou
        Pooled IoU of the float32 network on `pairs`, 0 to 1; None without --eval.
    """

    held_out: list[np.ndarray]
    masks: np.ndarray
    pairs: list[Pair]
    iou: float | None


def quantize(config: Int8Config) -> list[Artifact]:
    """Write the int8 artifacts of a checkpoint.

    Raises
    ------
    InputError
        Too few or broken pictures, an unknown format, a bad checkpoint, or an --out that holds something else.
    GateError
        A format lost too much. Nothing of it is written; formats that passed are.
    """
    _check(config)
    console = Console(stderr=True)
    network = load_network(config.checkpoint, config.size)
    chosen = divide(config.calib, config.count, config.seed)
    console.print(
        f"{network.checkpoint.arch}: calibrating on {len(chosen.calibration)} pictures, checking on {len(chosen.held_out)}"
    )
    pictures, manifest = read_resized(chosen.calibration, network.size), make_manifest(chosen)
    checks = _prepare(config, network, read_resized(chosen.held_out, network.size))
    written, failures = [], []
    for name in config.format:
        console.print(f"quantising to {name}")
        try:
            written.append(_quantize_one(config, name, network, pictures, manifest, checks))
        except GateError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise GateError("; ".join(failures))
    return written


def _quantize_one(
    config: Int8Config, name: str, network: Network, pictures: Sequence[np.ndarray], manifest: Manifest, checks: Checks
) -> Artifact:
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        with quiet():
            converted = CONVERTERS[name](network, pictures, Path(folder))
        quantization = Quantization("int8", converted.weights, converted.activations, manifest.calibration)
        command = " ".join(["python quantize/int8.py", *shown_flags(dataclasses.replace(config, format=(name,)))])
        draft = draft_spec(network, name, converted, quantization, command)
        golden = parity_pictures(network.size)[0]
        with quiet():
            backend = open_backend(write_candidate(Path(folder), draft, converted, golden))
        metrics = _measure(backend.run, checks, run_backend(backend, checks.held_out))
        out = _out(config, name, draft.name)
        print(_line(out, converted, metrics), flush=True)
        _gate(metrics, config)
        provenance = draft.provenance | {"calibration": manifest.entries}
        draft = dataclasses.replace(draft, metrics=metrics, provenance=provenance)
        return write_artifact(out, draft, converted.files, GoldenPair(golden, backend.run(golden)))


def _prepare(config: Int8Config, network: Network, held_out: list[np.ndarray]) -> Checks:
    masks = run_torch(network.reference, held_out)
    if config.eval is None:
        return Checks(held_out, masks, [], None)
    pairs = find_pairs(config.eval, config.split)
    return Checks(held_out, masks, pairs, _iou(lambda image: run_torch(network.reference, [image])[0], network.size, pairs))


def _iou(run: Callable[[np.ndarray], np.ndarray], size: int, pairs: Sequence[Pair]) -> float:
    """Return the pooled IoU over `pairs`, 0 to 1, of a network that maps a picture at the input size to probabilities."""

    def predict(image: np.ndarray) -> np.ndarray:
        return resize_probability(run(resize_rgb(image, size, size)), *image.shape[:2])

    iou = pool(evaluate_pairs(predict, pairs)).iou
    if iou is None:
        raise InputError("got no sky in the masks of --eval, expected some; without it IoU says nothing")
    return iou


def _measure(run: Callable[[np.ndarray], np.ndarray], checks: Checks, got: np.ndarray) -> dict[str, Any]:
    """Return `metrics` of model.json: agreement with fp32, and with --eval the IoU of both."""
    metrics: dict[str, Any] = {
        "agreement": {"to": "torch fp32", "value": pooled_agreement(checks.masks, got), "pictures": len(got)}
    }
    if checks.iou is not None:
        iou = _iou(run, got.shape[1], checks.pairs)
        drop = 100.0 * (checks.iou - iou)
        metrics["eval"] = {"pictures": len(checks.pairs), "iou_fp32": checks.iou, "iou": iou, "drop_points": drop}
    return metrics


def _gate(metrics: dict[str, Any], config: Int8Config) -> None:
    advice = "nothing was written. Calibrate on more, and more varied, pictures of the kind that the network will see"
    value = metrics["agreement"]["value"]
    if not value >= config.min_agreement:
        raise GateError(f"agreement with fp32 is {value:.4f}, expected at least {config.min_agreement}; {advice}")
    if "eval" in metrics and not metrics["eval"]["drop_points"] <= config.max_drop:
        drop = metrics["eval"]["drop_points"]
        raise GateError(f"int8 loses {drop:.2f} points of pooled IoU, expected at most {config.max_drop}; {advice}")


def _line(out: Path, converted: Converted, metrics: dict[str, Any]) -> str:
    size_bytes = sum(path.stat().st_size for path in converted.files.values())
    agreed = metrics["agreement"]
    line = f"{from_here(out)}  {size_bytes / 1e6:.2f} MB  agreement {agreed['value']:.4f} on {agreed['pictures']} pictures"
    if "eval" in metrics:
        scored = metrics["eval"]
        line += f"  IoU {scored['iou']:.4f}, fp32 {scored['iou_fp32']:.4f}"
        line += f", drop {scored['drop_points']:.2f} points on {scored['pictures']} pictures"
    return line


def _out(config: Int8Config, name: str, artifact_name: str) -> Path:
    if config.out is None:
        return default_out(artifact_name)
    return config.out / name if len(config.format) > 1 else config.out


def _check(config: Int8Config) -> None:
    unknown = [name for name in config.format if name not in CONVERTERS]
    if unknown or not config.format:
        raise InputError(f"got --format {' '.join(unknown) or 'without a name'}, expected some of {', '.join(CONVERTERS)}")
    if len(set(config.format)) < len(config.format):
        raise InputError(f"got --format {' '.join(config.format)}, expected every format once")
    if not 0.0 <= config.min_agreement <= 1.0:
        raise InputError(f"got --min-agreement {config.min_agreement}, expected a mask IoU, 0 to 1")
    if config.split is not None and config.eval is None:
        raise InputError(f"got --split {config.split} without --eval, expected both; --calib takes its split as a folder")


def main(config: Int8Config) -> None:
    """Quantise; `quantize` prints a line for every format."""
    quantize(config)


if __name__ == "__main__":
    run_command(main, Int8Config)
