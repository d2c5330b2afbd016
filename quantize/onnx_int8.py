"""ONNX in int8, as QDQ for onnxruntime. A library; `quantize/int8.py` is the command.

On x86 without VNNI (before Ice Lake and Zen 4), onnxruntime multiplies uint8 activations with int8 weights by vpmaddubsw, which
adds two neighbouring products in 16 bits and saturates: masks were seen to change by 0.9. Weights are scaled here so that no
two neighbours can get there, and all x86 CPUs give the same bytes. 7-bit weights (`reduce_range`) do so too, at more loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.command import Converted, input_spec, output_spec
from export.parity import MEAN, STD
from export.to_onnx import TOOLS, to_model_proto
from export.wrapper import Network

if TYPE_CHECKING:
    import onnx

# 255 * 128 < 2^15: two products of uint8 activations with weights whose magnitudes add up to 128 cannot saturate. Rounding may
# add half a step to each of them.
MAX_NEIGHBOURS = 127.0
MAX_WEIGHT = 127.0


def convert(network: Network, pictures: Sequence[np.ndarray], folder: Path) -> Converted:
    """Write `folder`/model.onnx, calibrated on (H, W, 3) uint8 RGB pictures: float32 in and out, uint8 and int8 between.

    Weights are int8 per output channel, activations uint8 per tensor (the variant that onnxruntime runs faster than float32),
    ranges the minimum and maximum over all pictures; the input's are those of a byte.
    """
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out one picture after another."""

        def __init__(self) -> None:
            self.inputs: Iterator[np.ndarray] = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.inputs, None)
            if picture is None:
                return None
            return {"image": np.ascontiguousarray(((picture.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None])}

    path = folder / "model.onnx"
    model = to_model_proto(network)
    byte_range = {"rmin": np.float32((0 - MEAN) / STD), "rmax": np.float32((255 - MEAN) / STD)}
    quantize_static(
        model,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "TensorQuantOverrides": {"image": [byte_range], **weight_scales(model)},
            "CalibMaxIntermediateOutputs": 32,  # ranges are merged as they come: memory does not grow with the pictures
        },
    )
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    return Converted({"model": path}, *tensors, "per_channel_symmetric", "per_tensor", TOOLS)


def weight_scales(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """Return onnxruntime's overrides for the weights of all convolutions but depthwise ones, whose kernels add in 32 bits.

    Every output channel's scale lets its largest weight be 127, and the magnitudes of any two neighbours, in the order in
    which the kernels read them (row, column, input channel), add up to 127.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    overrides = {}
    for node in model.graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if node.op_type == "Conv" and groups == 1:
            values = np.abs(numpy_helper.to_array(weights[node.input[1]]))  # (outputs, inputs, rows, columns)
            rows = values.transpose(0, 2, 3, 1).reshape(len(values), -1)
            neighbours = rows[:, :-1] + rows[:, 1:] if rows.shape[1] > 1 else rows
            scales = np.maximum(rows.max(1) / MAX_WEIGHT, neighbours.max(1) / MAX_NEIGHBOURS)
            scales = np.where(scales > 0, scales, 1.0).astype(np.float32)  # a channel of zeros has no scale of its own
            overrides[node.input[1]] = [{"axis": 0, "scale": scale, "zero_point": np.int8(0)} for scale in scales]
    return overrides
