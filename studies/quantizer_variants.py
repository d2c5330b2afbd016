"""Ways to make a network small, this project's and NNCF's: from a checkpoint to something that runs. A library.

NNCF quantizes the ONNX file for onnxruntime, and the OpenVINO model for OpenVINO; there also with accuracy control: layers go
back to float, the worst first, until the loss on labeled pictures is small enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Quantization
from edge_runtime.backends import open_backend
from export import to_ncnn, to_onnx, to_tflite
from export.network import Network
from export.parity import MEAN, STD, parity_pictures
from export.pipeline import Converted, draft_spec, write_candidate
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.ranges import METHODS
from quantize.calibration.recipe import Recipe
from quantize.formats import ncnn_int8, onnx_int8, tflite_int8
from quantize.formats.onnx_int8 import Variant

# NNCF's torch extensions compile at first use, which on a busy machine takes longer than it waits by default.
os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "300")
# NNCF reports its use to its makers, but for where this is set.
os.environ.setdefault("NNCF_CI", "1")

Run = Callable[[np.ndarray], np.ndarray]
# f32: where the CPU has bfloat16, OpenVINO would compute the float layers in it, and masks change by 0.08.
OPENVINO = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True, eq=False)
class Material:
    """What quantizers may look at.

    Attributes
    ----------
    pictures
        Calibration, (size, size, 3) uint8 RGB.
    tuning
        Labeled pictures for accuracy control; no figure is taken on them.
    max_drop
        Loss of pooled IoU that accuracy control is to stay under, in points.
    """

    network: Network
    pictures: Sequence[np.ndarray]
    tuning: LabeledSet
    max_drop: float


@dataclass(frozen=True, eq=False)
class Built:
    """A network that runs: (size, size, 3) uint8 RGB -> (size, size) float32 probabilities; and the size of its files."""

    run: Run
    size_bytes: int


@dataclass(frozen=True, eq=False)
class Way:
    """One way to make a network small.

    Attributes
    ----------
    runtime
        What runs it; latencies are compared with float32 in the same.
    precision
        fp32, fp16 or int8.
    label
        What sets it apart from others of the same runtime and precision.
    """

    runtime: str
    precision: str
    label: str
    build: Callable[[Material, Path], Built]


def ways(families: Iterable[str]) -> list[Way]:
    """Return the ways of these families; see `FAMILIES`."""
    return [way for family in families for way in FAMILIES[family]()]


def _ours(artifact_format: str, convert: Callable[[Material, Path], Converted], material: Material, folder: Path) -> Built:
    converted = convert(material, folder)
    draft = draft_spec(
        material.network, artifact_format, converted, Quantization("int8", converted.weights, converted.activations, None), ""
    )
    artifact = write_candidate(folder, draft, converted, parity_pictures(material.network.size)[0])
    return Built(open_backend(artifact).run, artifact.size_bytes)


def _exported(exporter: Any, precision: str, material: Material, folder: Path) -> Converted:
    return exporter(material.network, precision, folder)


def _quantized(quantizer: Any, choices: tuple[Any, ...], material: Material, folder: Path) -> Converted:
    return quantizer(material.network, material.pictures, folder, *choices)


def _floats() -> Iterator[Way]:
    for runtime, name, exporter in (
        ("onnxruntime", "onnx", to_onnx.convert), ("LiteRT", "tflite", to_tflite.convert), ("ncnn", "ncnn", to_ncnn.convert),
    ):  # fmt: skip
        for precision in ("fp32", "fp16"):
            label = "fp16 weights" if precision == "fp16" else ""
            yield Way(runtime, precision, label, partial(_ours, name, partial(_exported, exporter, precision)))


def _onnx() -> Iterator[Way]:
    for variant in (Variant("uint8", True), Variant("uint8", False), Variant("int8", True), Variant("int8", False)):
        for method in METHODS:
            label = f"QDQ, {variant.activations} activations, per {'channel' if variant.per_channel else 'tensor'}, {method}"
            convert = partial(_quantized, onnx_int8.convert, (Recipe(method), variant))
            yield Way("onnxruntime", "int8", label, partial(_ours, "onnx", convert))


def _tflite() -> Iterator[Way]:
    for method in (*METHODS, None):
        convert = partial(_quantized, tflite_int8.convert, (Recipe(method), method is None))
        yield Way("LiteRT", "int8", method or "moving average", partial(_ours, "tflite", convert))


def _ncnn() -> Iterator[Way]:
    for method in METHODS:
        convert = partial(_quantized, ncnn_int8.convert, (Recipe(method),))
        yield Way("ncnn", "int8", f"{method}, depthwise fp16", partial(_ours, "ncnn", convert))


def feed(picture: np.ndarray) -> dict[str, np.ndarray]:
    """Return the network's input, named, for (size, size, 3) uint8 RGB."""
    return {"image": np.ascontiguousarray(((picture.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None])}


def _nncf_onnx() -> Iterator[Way]:
    def convert(material: Material, folder: Path) -> Converted:
        import nncf
        import onnx
        from nncf.quantization.advanced_parameters import QuantizationParameters

        converted = to_onnx.convert(material.network, "fp32", folder)
        model = onnx.load(converted.files["model"])
        # Depthwise convolutions would get scales per channel on their inputs too, which onnxruntime cannot add up.
        one_scale = nncf.AdvancedQuantizationParameters(activations_quantization_params=QuantizationParameters(per_channel=False))
        made = nncf.quantize(
            model,
            nncf.Dataset(material.pictures, feed),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=one_scale,
        )
        onnx.save(made, str(converted.files["model"]))
        return converted

    yield Way("onnxruntime", "int8", "NNCF, mixed preset", partial(_ours, "onnx", convert))


def _openvino() -> Iterator[Way]:
    yield Way("OpenVINO", "fp32", "", partial(_openvino_built, lambda model, _: model))
    yield Way("OpenVINO", "int8", "NNCF, mixed preset", partial(_openvino_built, _nncf_openvino))
    yield Way("OpenVINO", "int8", "NNCF with accuracy control", partial(_openvino_built, _nncf_controlled))


def _openvino_built(quantize: Callable[[Any, Material], Any], material: Material, folder: Path) -> Built:
    import openvino

    exported = to_onnx.convert(material.network, "fp32", folder).files["model"]
    model = quantize(openvino.convert_model(exported), material)
    path = folder / "openvino.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    compiled = openvino.Core().compile_model(path, "CPU", OPENVINO)
    request = compiled.create_infer_request()

    def run(picture: np.ndarray) -> np.ndarray:
        return np.array(request.infer(feed(picture))[0][0, 0])

    return Built(run, path.stat().st_size + path.with_suffix(".bin").stat().st_size)


def _nncf_openvino(model: Any, material: Material) -> Any:
    import nncf

    return nncf.quantize(model, nncf.Dataset(material.pictures, feed), preset=nncf.QuantizationPreset.MIXED)


def _nncf_controlled(model: Any, material: Material) -> Any:
    import nncf

    def validate(compiled: Any, inputs: Iterable[Any]) -> tuple[float, None]:
        masks = np.stack([compiled(feed(picture))[0][0, 0] for picture in inputs])
        return material.tuning.iou(masks), None

    return nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(material.pictures, feed),
        nncf.Dataset(material.tuning.images, feed),
        validate,  # NNCF hands it the pictures as they are
        max_drop=material.max_drop / 100.0,
        drop_type=nncf.DropType.ABSOLUTE,
        preset=nncf.QuantizationPreset.MIXED,
    )


FAMILIES: dict[str, Callable[[], Iterator[Way]]] = {
    "float": _floats,
    "onnx": _onnx,
    "tflite": _tflite,
    "ncnn": _ncnn,
    "nncf-onnx": _nncf_onnx,
    "openvino": _openvino,
}
