"""Full-integer TFLite: int8 in, int8 inside, int8 out. A library; `quantize/int8.py` is the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact import Quant
from edge_runtime.errors import GateError
from export.command import Converted, input_spec, output_spec
from export.parity import MEAN, STD
from export.tflite_file import read_graph, tidy
from export.to_tflite import TOOLS, to_flatbuffer
from export.wrapper import Network

INPUT_QUANT = Quant(1 / 128, -1)  # q = byte - 128: the bytes of a picture are the input
OUTPUT_QUANT = Quant(1 / 256, -128)  # what TFLite demands of a sigmoid


def convert(network: Network, pictures: Sequence[np.ndarray], folder: Path) -> Converted:
    """Write `folder`/model.tflite, calibrated on (H, W, 3) uint8 RGB pictures.

    Weights are int8 per output channel, activations int8 per tensor, ranges the moving average of every picture's minimum
    and maximum.

    Raises
    ------
    GateError
        The quantiser left floating point in the graph, or another quantisation at its ends.
    """
    content = _quantize(to_flatbuffer(network), pictures)
    _check(content)
    path = folder / "model.tflite"
    path.write_bytes(content)
    tensors = input_spec("image", network.size, "NHWC", INPUT_QUANT), output_spec("sky", OUTPUT_QUANT)
    return Converted({"model": path}, *tensors, "per_channel_symmetric", "per_tensor", TOOLS)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Calibration inputs, made as they are asked for: the quantiser goes over them more than once."""

    pictures: Sequence[np.ndarray]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for picture in self.pictures:
            yield {"image": ((picture.astype(np.float32) - MEAN) / STD)[None]}


def _quantize(content: bytes, pictures: Sequence[np.ndarray]) -> bytes:
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.calibrator import CalibrationMode

    made = quantizer.Quantizer(content, recipe.static_wi8_ai8())
    inputs = _Inputs(pictures)
    ranges: dict[str, Any] = made.calibrate(
        {"serving_default": inputs}, num_threads=1, mode=CalibrationMode.CALIBRATION_PROFILER_BASED
    )
    # All bytes must have a value of their own, whatever bytes the calibration pictures hold.
    ranges["image"] = {"min": np.array([(0 - MEAN) / STD]), "max": np.array([(255 - MEAN) / STD])}
    return tidy(bytes(made.quantize(ranges, enable_progress_report=False).quantized_model))


def _check(content: bytes) -> None:
    graph = read_graph(content)
    if graph.float_tensors or graph.input != INPUT_QUANT or graph.output != OUTPUT_QUANT:
        raise GateError(
            f"the quantised TFLite graph has {graph.float_tensors} float tensors, input {graph.input}, output {graph.output}; "
            f"expected 0, {INPUT_QUANT}, {OUTPUT_QUANT}; nothing was written. Use the pinned ai-edge-quantizer"
        )
