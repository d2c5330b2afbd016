"""Quantize to int8 after training: `python quantize/int8.py --calib DIR [--format FORMAT ...] [--eval DIR] [--out DIR]`.

A quarter of the calibration images is kept back: the masks of int8 and fp32 must agree on it, and on built-in scenes. With
--eval, labeled images, int8 may lose at most --max-drop points of pooled IoU. `--keep-float AUTO` leaves the most sensitive
convolutions in float, as few as it takes. A format that fails writes nothing, and the command exits with 1.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_runtime.artifact.artifact import (
    Artifact,
    Calibration,
    GoldenPair,
    ModelSpec,
    Quantization,
    check_replaceable,
    write_artifact,
)
from edge_runtime.artifact.golden import FP32_MASK, pack_mask
from edge_runtime.backends import open_backend
from edge_runtime.errors import GateError, InputError
from edge_runtime.progress import say
from export.graphs.tflite_graph import IoType
from export.network import Network, load_network
from export.parity import built_in_scenes
from export.pipeline import Converted, Write, default_out, draft_spec, from_here, quiet, shown_flags, write_candidate
from quantize.calibration.calibration_set import divide, fingerprint, read_resized
from quantize.calibration.checks import Checks, gate, measure, prepare
from quantize.calibration.layers import check_names
from quantize.calibration.ranges import Method
from quantize.calibration.ranking import rank
from quantize.formats import ncnn_int8, onnx_int8, tflite_int8

Format = Literal["onnx", "tflite", "ncnn"]
Calibrate = Callable[[Network, Sequence[np.ndarray], Path, Method | None], Write]
AUTO = "AUTO"
RANKED_ON = 32  # images that rank the layers, and as many to find their ranges: enough for an order
FORMATS: dict[Format, Calibrate] = {
    "onnx": onnx_int8.calibrate, "tflite": tflite_int8.calibrate, "ncnn": ncnn_int8.calibrate,
}  # fmt: skip


@dataclass(frozen=True)
class Int8Config:
    """Quantize a checkpoint to int8, after comparing it with float32."""

    calib: Path
    """Images to calibrate on, labels not needed: a folder of images, or with images/, or with train/images."""
    checkpoint: Path | None = None
    """Checkpoint of train/fit.py. Default: the released models/unet_lite/checkpoint.pt."""
    size: str | None = None
    """Input size in pixels, multiples of 32: 256, or WIDTHxHEIGHT such as 256x192. Default: the checkpoint's own."""
    format: tuple[Format, ...] = ("onnx", "tflite", "ncnn")
    """Formats to write."""
    count: int = 200
    """Most images to calibrate on."""
    seed: int = 0
    """Seed that divides the images into those for calibration and those to check with."""
    eval: Path | None = None
    """Labeled images (images/ and masks/) on which to measure the loss of IoU."""
    split: str | None = None
    """Split of --eval to read, such as val."""
    max_drop: float = 1.0
    """Largest loss of pooled IoU on --eval, in points (hundredths of IoU)."""
    min_agreement: float = 0.95
    """Smallest agreement with fp32: IoU of the masks, pooled over the quarter of --calib that is kept back, and over built-in
    scenes."""
    io: IoType = "int8"
    """Type of TFLite's input and output: uint8 for MediaPipe Tasks and Android's camera buffers. Other formats take float32."""
    method: Method | None = None
    """How ranges of activations are found: minmax or entropy. Default: the better one for the format."""
    keep_float: tuple[str, ...] = ()
    """Convolutions to leave in float, by module name (quantize/sensitivity.py lists them); AUTO: as few of the most sensitive
    ones as pass --min-agreement, and with --eval --max-drop."""
    out: Path | None = None
    """The artifact's folder; for several formats, the folder of their folders. Default: build/NAME-SIZE-int8-FORMAT."""
    arch: str | None = None
    """FILE.py:function, which runs, where the checkpoint is of a network of your own."""


def quantize(config: Int8Config) -> list[Artifact]:
    """Write the int8 artifacts of a checkpoint.

    Raises `InputError` for bad flags or images, and `GateError` where a format lost too much: nothing of it is written, and
    formats that passed are.
    """
    _check(config)
    network = load_network(config.checkpoint, config.size, config.arch)
    check_names(network, frozenset(config.keep_float) - {AUTO})
    chosen = divide(config.calib, config.count, config.seed)
    say(f"{network.checkpoint.name}: calibrating on {len(chosen.calibration)} images, checking on {len(chosen.held_out)}")
    images, held_out = (read_resized(paths, network.size) for paths in (chosen.calibration, chosen.held_out))
    job = _Job(config, network, images, fingerprint(chosen), prepare(network, held_out, config.eval, config.split))
    written, failures = [], []
    for name in config.format:
        say(f"quantizing to {name}")
        try:
            written.append(_quantize_one(job, name))
        except GateError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise GateError("; ".join(failures))
    return written


@dataclass(frozen=True, eq=False)
class _Job:
    """What all formats start from."""

    config: Int8Config
    network: Network
    images: Sequence[np.ndarray]
    calibration: Calibration
    checks: Checks

    @functools.cached_property
    def ranking(self) -> list[str]:
        """Names of the convolutions, the most sensitive first; measured when it is first asked for, once for all formats."""
        return [score.name for score in rank(self.network, self.images[:RANKED_ON], self.checks.held_out.images[:RANKED_ON])]


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A quantized network, measured; `failure` says why it is not good enough."""

    draft: ModelSpec
    converted: Converted
    golden: GoldenPair
    failure: GateError | None


def _quantize_one(job: _Job, name: Format) -> Artifact:
    config = job.config
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        with quiet():
            calibrate = functools.partial(tflite_int8.calibrate, io=config.io) if name == "tflite" else FORMATS[name]
            write = calibrate(job.network, job.images, Path(folder), config.method)
        attempt_with = functools.partial(_attempt, job, name, write, Path(folder))
        auto = config.keep_float == (AUTO,)
        attempt = attempt_with(() if auto else config.keep_float)
        if auto and attempt.failure is not None:
            say(f"{name}: {attempt.failure}")
            attempt = _fewest(attempt_with, job.ranking, attempt)
        out = _out(config, name, attempt.draft.name)
        print(_line(out, attempt.converted, attempt.draft), flush=True)
        if attempt.failure is not None:
            raise attempt.failure
        return write_artifact(out, attempt.draft, attempt.converted.files, attempt.golden)


def _fewest(attempt_with: Callable[[Sequence[str]], _Attempt], ranking: Sequence[str], worst: _Attempt) -> _Attempt:
    """Return the attempt with the fewest of the most sensitive layers in float that is good enough; else the last."""
    failing, count, best = 0, 1, worst

    def attempt(count: int) -> _Attempt:
        made = attempt_with(ranking[:count])
        say(f"{count} layers in float are {'enough' if made.failure is None else 'too few'}")
        return made

    while best.failure is not None and count <= max(1, len(ranking) // 2):
        best = attempt(count)
        failing, count = (count, 2 * count) if best.failure is not None else (failing, count)
    while best.failure is None and count - failing > 1:
        middle = (failing + count) // 2
        made = attempt(middle)
        if made.failure is None:
            best, count = made, middle
        else:
            failing = middle
    return best


def _attempt(job: _Job, name: Format, write: Write, folder: Path, keep: Sequence[str]) -> _Attempt:
    place = Path(tempfile.mkdtemp(dir=folder))
    with quiet():
        converted = write(frozenset(keep), place)
    quantization = Quantization("int8", converted.weights, converted.activations, job.calibration)
    command = " ".join(["python quantize/int8.py", *shown_flags(dataclasses.replace(job.config, format=(name,)))])
    draft = draft_spec(job.network, name, converted, quantization, command)
    image = built_in_scenes(job.network.size)[0]
    with quiet():
        backend = open_backend(write_candidate(place, draft, converted, image))
    metrics = measure(backend, job.checks)
    provenance = draft.provenance | {
        "kept_float": sorted(keep),
        FP32_MASK: pack_mask(job.checks.scenes.expected[0]),  # the golden image is the first scene
    }
    draft = dataclasses.replace(draft, metrics=metrics, provenance=provenance)
    if name == "tflite" and job.config.io != "int8":
        draft = dataclasses.replace(draft, name=f"{draft.name}-{job.config.io}")
    failure = gate(metrics, job.config.min_agreement, job.config.max_drop)
    return _Attempt(draft, converted, GoldenPair(image, backend.run(image)), failure)


def _line(out: Path, converted: Converted, draft: ModelSpec) -> str:
    metrics = draft.metrics
    agreed = metrics["agreement"]
    line = f"{from_here(out)}  {converted.size_bytes / 1e6:.2f} MB  agreement {agreed['value']:.4f}"
    line += f" on {agreed['images']} images, {agreed['on_scenes']:.4f} on built-in scenes"
    if "eval" in metrics:
        scored = metrics["eval"]
        line += f"  IoU {scored['iou']:.4f}, fp32 {scored['iou_fp32']:.4f}"
        line += f", drop {scored['drop_points']:.2f} points on {scored['images']} images"
    kept = draft.provenance["kept_float"]
    return f"{line}  in float: {', '.join(kept)}" if kept else line


def _out(config: Int8Config, name: Format, artifact_name: str) -> Path:
    if config.out is None:
        return default_out(artifact_name)
    return config.out / name if len(config.format) > 1 else config.out


def _check(config: Int8Config) -> None:
    unknown = [name for name in config.format if name not in FORMATS]
    if unknown or not config.format:
        raise InputError(f"got --format {' '.join(unknown) or 'without a name'}, expected some of {', '.join(FORMATS)}")
    if len(set(config.format)) < len(config.format):
        raise InputError(f"got --format {' '.join(config.format)}, expected every format once")
    if not 0.0 <= config.min_agreement <= 1.0:
        raise InputError(f"got --min-agreement {config.min_agreement}, expected a mask IoU, 0 to 1")
    if not math.isfinite(config.max_drop):
        raise InputError(f"got --max-drop {config.max_drop}, expected points of IoU, such as 1.0")
    if config.io != "int8" and config.format != ("tflite",):
        raise InputError(f"got --io {config.io} with --format {' '.join(config.format)}, expected --format tflite alone")
    if config.split is not None and config.eval is None:
        raise InputError(f"got --split {config.split} without --eval, expected both; --calib takes its split as a folder")
    if AUTO in config.keep_float and config.keep_float != (AUTO,):
        raise InputError(f"got --keep-float {' '.join(config.keep_float)}, expected AUTO alone, or names of convolutions")
    for name in config.format if config.out else ():
        check_replaceable(_out(config, name, ""))


def main(config: Int8Config) -> None:
    """Quantize; `quantize` prints a line for every format."""
    quantize(config)


if __name__ == "__main__":
    run_command(main, Int8Config)
