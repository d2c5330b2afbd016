"""Full-integer TFLite: int8 in, int8 inside, int8 out. A library; `quantize/int8.py` is the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Quant
from edge_runtime.errors import GateError
from export.network import Network
from export.parity import MEAN, STD
from export.pipeline import Converted, input_spec, output_spec
from export.tflite_graph import convolutions, read_graph, tidy
from export.to_tflite import TOOLS, to_flatbuffer
from quantize.calibration.observe import observe
from quantize.calibration.ranges import Method
from quantize.calibration.recipe import AS_MEASURED, Recipe, layers_of

INPUT_QUANT = Quant(1 / 128, -1)  # q = byte - 128: the bytes of a picture are the input
OUTPUT_QUANT = Quant(1 / 256, -128)  # what TFLite demands of a sigmoid


# Not ai-edge-quantizer's own way, the moving average of every picture's ends: it clips what most pictures do not reach. u2netp
# calibrated on 32 pictures of sky/val loses so 2.7 points of IoU on the 27 of ADE20K there, agreement with fp32 0.947; by minmax
# 0.1 and 0.996, by percentile 0.4 and 0.987.
METHOD: Method = "minmax"


def convert(
    network: Network,
    pictures: Sequence[np.ndarray],
    folder: Path,
    recipe: Recipe = AS_MEASURED,
    moving_average: bool = False,
) -> Converted:
    """Write `folder`/model.tflite, calibrated on (H, W, 3) uint8 RGB pictures.

    Weights are int8 per output channel, activations int8 per tensor, ranges by `recipe.method`, minmax without one, or as
    ai-edge-quantizer takes them: the moving average of every picture's minimum and maximum.

    Raises
    ------
    GateError
        The quantizer left floating point in the graph, or another quantization at its ends.
    """
    exported = to_flatbuffer(network)
    kept = layers_of(network, recipe.keep, convolutions(exported))
    method = None if moving_average else recipe.method or METHOD
    content = _quantize(exported, pictures, method, sorted(kept.values()))
    _check(content, bool(kept))
    path = folder / "model.tflite"
    path.write_bytes(content)
    tensors = input_spec("image", network.size, "NHWC", INPUT_QUANT), output_spec("sky", OUTPUT_QUANT)
    stored = "per_channel_symmetric" + (f", {len(kept)} layers float32" if kept else "")
    return Converted({"model": path}, *tensors, stored, "per_tensor", TOOLS)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Calibration inputs, made as they are asked for: the quantizer goes over them more than once."""

    pictures: Sequence[np.ndarray]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for picture in self.pictures:
            yield {"image": ((picture.astype(np.float32) - MEAN) / STD)[None]}


def _quantize(content: bytes, pictures: Sequence[np.ndarray], method: Method | None, kept: Sequence[str]) -> bytes:
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes
    from ai_edge_quantizer.calibrator import CalibrationMode

    rules = recipes.static_wi8_ai8()
    for layer in kept:  # of two rules that fit, the later counts; operators go by their output
        rules.append({"regex": f"^{layer};?$", "operation": "*", "algorithm_key": quantizer.AlgorithmName.NO_QUANTIZE})
    made = quantizer.Quantizer(content, rules)
    inputs = _Inputs(pictures if method is None else pictures[:1])  # with a method, for the names alone
    ranges: dict[str, Any] = made.calibrate(
        {"serving_default": inputs}, num_threads=1, mode=CalibrationMode.CALIBRATION_PROFILER_BASED
    )
    if method is not None:
        found = observe(_all_tensors(content, list(ranges)), pictures, method)
        ranges = {name: {"min": np.array([each.low]), "max": np.array([each.high])} for name, each in found.items()}
    # All bytes must have a value of their own, whatever bytes the calibration pictures hold.
    ranges["image"] = {"min": np.array([(0 - MEAN) / STD]), "max": np.array([(255 - MEAN) / STD])}
    return tidy(bytes(made.quantize(ranges, enable_progress_report=False).quantized_model))


def _all_tensors(content: bytes, names: Sequence[str]) -> Callable[[np.ndarray], list[tuple[str, np.ndarray]]]:
    """Return what runs one picture through the float network and gives the tensors of these names."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    indices = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    (first,) = interpreter.get_input_details()

    def run(picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
        interpreter.set_tensor(first["index"], ((picture.astype(np.float32) - MEAN) / STD)[None])
        interpreter.invoke()
        return [(name, interpreter.get_tensor(indices[name])) for name in names]

    return run


def _check(content: bytes, mixed: bool) -> None:
    graph = read_graph(content)
    if (graph.float_tensors and not mixed) or graph.input != INPUT_QUANT or graph.output != OUTPUT_QUANT:
        raise GateError(
            f"the quantized TFLite graph has {graph.float_tensors} float tensors, input {graph.input}, output {graph.output}; "
            f"expected 0, {INPUT_QUANT}, {OUTPUT_QUANT}; nothing was written. Use the pinned ai-edge-quantizer"
        )
