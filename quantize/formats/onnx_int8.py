"""ONNX in int8, as QDQ for onnxruntime.

On x86 without VNNI (before Ice Lake and Zen 4), onnxruntime multiplies uint8 activations with int8 weights by vpmaddubsw, which
adds two neighboring products in 16 bits and saturates: masks were seen to change by 0.9. Weights are scaled here so that no two
neighbors can saturate, and all x86 CPUs give the same bytes. 7-bit weights (`reduce_range`) have the same effect, at more loss.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.images.network_input import MEAN, STD, to_nchw
from export.graphs.onnx_graph import TOOLS, compact, describe, to_model_proto
from export.network import Network
from export.pipeline import Converted, Write, converted, int8_weights
from quantize.calibration.layers import layers_of
from quantize.calibration.observe import Range, observe
from quantize.calibration.ranges import Method

if TYPE_CHECKING:
    import onnx

# 255 * 128 < 2^15: two products of uint8 activations with weights whose magnitudes add up to 128 cannot saturate. Rounding may
# add half a step to each of them.
MAX_NEIGHBORS = 127.0
MAX_WEIGHT = 127.0
METHOD: Method = "minmax"


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Write:
    """Export, and find ranges on (H, W, 3) uint8 RGB images by `method`; None takes minimum and maximum over all images."""
    model = to_model_proto(network)
    return partial(_write, network, model, observe(_all_tensors(model), images, method or METHOD), images[0])


def _write(
    network: Network,
    exported: onnx.ModelProto,
    ranges: Mapping[str, Range],
    image: np.ndarray,
    keep: frozenset[str],
    folder: Path,
) -> Converted:
    """Write `folder`/model.onnx, in which the convolutions of `keep` stay float: float32 in and out, 8 bits between."""
    import onnx
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    path = folder / "model.onnx"
    model = onnx.ModelProto()
    model.CopyFrom(exported)  # quantize_static changes what it is given
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = {node.name: weights[node.input[1]] for node in model.graph.node if node.op_type == "Conv"}
    kept = sorted(layers_of(network, keep, nodes).values())
    ends = {name: _ends(each.low, each.high) for name, each in ranges.items()}
    # The input's are those of a byte. The output's are those of a probability: sky and not sky are the two peaks of its
    # histogram, so `entropy` would clip the sky's, and no pixel would reach 0.5.
    ends |= {"image": _ends((0 - MEAN) / STD, (255 - MEAN) / STD), "sky": _ends(0.0, 1.0)}
    quantize_static(
        model,
        path,
        _reader(image),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,  # with int8 ones, onnxruntime is slower than with float32
        weight_type=QuantType.QInt8,
        nodes_to_exclude=kept,
        extra_options={"TensorQuantOverrides": {**ends, **weight_scales(model, kept)}},
    )
    quantized = onnx.load(path)
    compact(quantized)
    describe(quantized, network)
    onnx.save(quantized, path)
    return converted(network, {"model": path}, int8_weights(kept), TOOLS, activations="per_tensor")


def _ends(low: float, high: float) -> list[dict[str, np.float32]]:
    return [{"rmin": np.float32(low), "rmax": np.float32(high)}]


def _reader(image: np.ndarray) -> Any:
    """Return onnxruntime's reader of calibration data for one image: it names the tensors, whose ranges are there already."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the image once."""

        def __init__(self) -> None:
            self.inputs = iter([{"image": to_nchw(image)}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.inputs, None)

    return Reader()


def _all_tensors(model: onnx.ModelProto) -> Callable[[np.ndarray], list[tuple[str, np.ndarray]]]:
    """Return what runs one image through the float network and gives every float tensor between its nodes."""
    import onnx
    import onnxruntime

    watched = onnx.shape_inference.infer_shapes(model)
    floats = {value.name for value in watched.graph.value_info if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    ends = [value.name for value in watched.graph.output]
    names = [name for node in model.graph.node for name in node.output if name in floats or name in ends]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in ends)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image: list(zip(names, session.run(names, {"image": to_nchw(image)}), strict=True))


def weight_scales(model: onnx.ModelProto, kept: Collection[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Return onnxruntime's overrides for the weights of all convolutions but depthwise ones, whose kernels add in 32 bits.

    Every output channel's scale lets its largest weight be 127, and the magnitudes of any two neighbors, in the order in
    which the kernels read them (row, column, input channel), add up to 127.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    overrides = {}
    for node in model.graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if node.op_type == "Conv" and groups == 1 and node.name not in kept:
            values = np.abs(numpy_helper.to_array(weights[node.input[1]]))  # (outputs, inputs, rows, columns)
            rows = values.transpose(0, 2, 3, 1).reshape(len(values), -1)
            neighbors = rows[:, :-1] + rows[:, 1:] if rows.shape[1] > 1 else rows
            scales = np.maximum(rows.max(1) / MAX_WEIGHT, neighbors.max(1) / MAX_NEIGHBORS)
            scales = np.where(scales > 0, scales, 1.0).astype(np.float32)  # a channel of zeros has no scale of its own
            overrides[node.input[1]] = [{"axis": 0, "scale": scale, "zero_point": np.int8(0)} for scale in scales]
    return overrides
