"""The quantizers that `studies/quantizers.py` compares, this project's and NNCF's: from a checkpoint to a model that runs.

NNCF quantizes the ONNX file for onnxruntime and the OpenVINO model for OpenVINO. For OpenVINO there is also accuracy control:
layers return to float, the worst first, until the loss on labeled images is small enough.
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
from edge_runtime.images.network_input import to_nchw
from export import to_ncnn, to_onnx, to_tflite
from export.network import Network
from export.parity import built_in_scenes
from export.pipeline import Converted, draft_spec, write_candidate
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.ranges import METHODS
from quantize.formats import ncnn_int8, onnx_int8, tflite_int8
from quantize.formats.onnx_int8 import Variant

# NNCF compiles its torch extensions at first use, for which its default patience is too short on a busy machine.
os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", "300")

Run = Callable[[np.ndarray], np.ndarray]
# f32: on a CPU with bfloat16, OpenVINO would compute float layers in bfloat16, which changes masks by 0.08.
OPENVINO = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True, eq=False)
class CalibrationInputs:
    """What quantizers may use.

    Attributes
    ----------
    images
        For calibration, (size, size, 3) uint8 RGB.
    tuning
        Labeled images for accuracy control; they are never scored.
    max_drop
        Loss of pooled IoU, in points, that accuracy control stays under.
    """

    network: Network
    images: Sequence[np.ndarray]
    tuning: LabeledSet
    max_drop: float


Convert = Callable[[CalibrationInputs, Path], Converted]


@dataclass(frozen=True, eq=False)
class RunnableModel:
    """A model that runs, (size, size, 3) uint8 RGB -> (size, size) float32 probabilities, and the size of its files."""

    run: Run
    size_bytes: int


@dataclass(frozen=True, eq=False)
class CompressionMethod:
    """One method to make a network small, for one runtime.

    Attributes
    ----------
    precision
        fp32, fp16 or int8.
    label
        Tells methods of the same runtime and precision apart.
    """

    runtime: str
    precision: str
    label: str
    build: Callable[[CalibrationInputs, Path], RunnableModel]


def list_methods(families: Iterable[str]) -> list[CompressionMethod]:
    """Return the methods of these families of `FAMILIES`."""
    return [method for family in families for method in FAMILIES[family]()]


def _ours(artifact_format: str, convert: Convert, inputs: CalibrationInputs, folder: Path) -> RunnableModel:
    converted = convert(inputs, folder)
    draft = draft_spec(
        inputs.network, artifact_format, converted, Quantization("int8", converted.weights, converted.activations, None), ""
    )
    artifact = write_candidate(folder, draft, converted, built_in_scenes(inputs.network.size)[0])
    return RunnableModel(open_backend(artifact).run, artifact.size_bytes)


def _exported(exporter: Any, precision: str, inputs: CalibrationInputs, folder: Path) -> Converted:
    return exporter(inputs.network, precision, folder)


def _quantized(quantizer: Any, choices: tuple[Any, ...], inputs: CalibrationInputs, folder: Path) -> Converted:
    return quantizer(inputs.network, inputs.images, folder, *choices)(frozenset(), folder)


def _floats() -> Iterator[CompressionMethod]:
    for runtime, name, exporter in (
        ("onnxruntime", "onnx", to_onnx.convert), ("LiteRT", "tflite", to_tflite.convert), ("ncnn", "ncnn", to_ncnn.convert),
    ):  # fmt: skip
        for precision in ("fp32", "fp16"):
            label = "fp16 weights" if precision == "fp16" else ""
            yield CompressionMethod(runtime, precision, label, partial(_ours, name, partial(_exported, exporter, precision)))


def _onnx() -> Iterator[CompressionMethod]:
    for variant in (Variant("uint8", True), Variant("uint8", False), Variant("int8", True), Variant("int8", False)):
        for method in METHODS:
            label = f"QDQ, {variant.activations} activations, per {'channel' if variant.per_channel else 'tensor'}, {method}"
            convert = partial(_quantized, onnx_int8.calibrate, (method, variant))
            yield CompressionMethod("onnxruntime", "int8", label, partial(_ours, "onnx", convert))


def _tflite() -> Iterator[CompressionMethod]:
    for method in (*METHODS, None):
        convert = partial(_quantized, tflite_int8.calibrate, (method, method is None))
        yield CompressionMethod("LiteRT", "int8", method or "moving average", partial(_ours, "tflite", convert))


def _ncnn() -> Iterator[CompressionMethod]:
    for method in METHODS:
        convert = partial(_quantized, ncnn_int8.calibrate, (method,))
        yield CompressionMethod("ncnn", "int8", f"{method}, depthwise fp16", partial(_ours, "ncnn", convert))


def feed(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return the network's input, named, for (size, size, 3) uint8 RGB."""
    return {"image": to_nchw(image)}


def _nncf_onnx() -> Iterator[CompressionMethod]:
    def convert(inputs: CalibrationInputs, folder: Path) -> Converted:
        import nncf
        import onnx
        from nncf.quantization.advanced_parameters import QuantizationParameters

        converted = to_onnx.convert(inputs.network, "fp32", folder)
        model = onnx.load(converted.files["model"])
        # Depthwise convolutions would get scales per channel on their inputs too, which onnxruntime cannot add up.
        one_scale = nncf.AdvancedQuantizationParameters(activations_quantization_params=QuantizationParameters(per_channel=False))
        made = nncf.quantize(
            model, nncf.Dataset(inputs.images, feed), preset=nncf.QuantizationPreset.MIXED, advanced_parameters=one_scale
        )
        onnx.save(made, str(converted.files["model"]))
        return converted

    yield CompressionMethod("onnxruntime", "int8", "NNCF, mixed preset", partial(_ours, "onnx", convert))


def _openvino() -> Iterator[CompressionMethod]:
    yield CompressionMethod("OpenVINO", "fp32", "", partial(_openvino_built, lambda model, _: model))
    yield CompressionMethod("OpenVINO", "int8", "NNCF, mixed preset", partial(_openvino_built, _nncf_openvino))
    yield CompressionMethod("OpenVINO", "int8", "NNCF with accuracy control", partial(_openvino_built, _nncf_controlled))


def _openvino_built(quantize: Callable[[Any, CalibrationInputs], Any], inputs: CalibrationInputs, folder: Path) -> RunnableModel:
    import openvino

    exported = to_onnx.convert(inputs.network, "fp32", folder).files["model"]
    model = quantize(openvino.convert_model(exported), inputs)
    path = folder / "openvino.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    compiled = openvino.Core().compile_model(path, "CPU", OPENVINO)
    request = compiled.create_infer_request()

    def run(image: np.ndarray) -> np.ndarray:
        return np.array(request.infer(feed(image))[0][0, 0])

    return RunnableModel(run, path.stat().st_size + path.with_suffix(".bin").stat().st_size)


def _nncf_openvino(model: Any, inputs: CalibrationInputs) -> Any:
    import nncf

    return nncf.quantize(model, nncf.Dataset(inputs.images, feed), preset=nncf.QuantizationPreset.MIXED)


def _nncf_controlled(model: Any, inputs: CalibrationInputs) -> Any:
    import nncf

    def validate(compiled: Any, images: Iterable[Any]) -> tuple[float, None]:
        masks = np.stack([compiled(feed(image))[0][0, 0] for image in images])
        return inputs.tuning.iou(masks), None

    return nncf.quantize_with_accuracy_control(
        model,
        nncf.Dataset(inputs.images, feed),
        nncf.Dataset(inputs.tuning.images, feed),
        validate,  # NNCF passes the images unchanged
        max_drop=inputs.max_drop / 100.0,
        drop_type=nncf.DropType.ABSOLUTE,
        preset=nncf.QuantizationPreset.MIXED,
    )


FAMILIES: dict[str, Callable[[], Iterator[CompressionMethod]]] = {
    "float": _floats,
    "onnx": _onnx,
    "tflite": _tflite,
    "ncnn": _ncnn,
    "nncf-onnx": _nncf_onnx,
    "openvino": _openvino,
}
