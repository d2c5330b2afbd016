"""ONNX in int8, as QDQ for onnxruntime. A library; `quantize/int8.py` is the command.

On x86 without VNNI (before Ice Lake and Zen 4), onnxruntime multiplies uint8 activations with int8 weights by vpmaddubsw, which
adds two neighboring products in 16 bits and saturates: masks were seen to change by 0.9. Weights are scaled here so that no
two neighbors can get there, and all x86 CPUs give the same bytes. 7-bit weights (`reduce_range`) do so too, at more loss.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from export.network import Network
from export.parity import MEAN, STD
from export.pipeline import Converted, input_spec, output_spec
from export.to_onnx import TOOLS, to_model_proto
from quantize.calibration.observe import observe
from quantize.calibration.ranges import Method
from quantize.calibration.recipe import AS_MEASURED, Recipe, layers_of

if TYPE_CHECKING:
    import onnx

# 255 * 128 < 2^15: two products of uint8 activations with weights whose magnitudes add up to 128 cannot saturate. Rounding may
# add half a step to each of them.
MAX_NEIGHBORS = 127.0
MAX_WEIGHT = 127.0
METHOD: Method = "minmax"


@dataclass(frozen=True)
class Variant:
    """What onnxruntime offers besides: what activations are stored as, and whether every output channel has a scale."""

    activations: Literal["uint8", "int8"] = "uint8"
    per_channel: bool = True


AS_RELEASED = Variant()  # the one that onnxruntime runs faster than float32, see studies/quantizers.py


def convert(
    network: Network,
    pictures: Sequence[np.ndarray],
    folder: Path,
    recipe: Recipe = AS_MEASURED,
    variant: Variant = AS_RELEASED,
) -> Converted:
    """Write `folder`/model.onnx, calibrated on (H, W, 3) uint8 RGB pictures: float32 in and out, uint8 and int8 between.

    Weights are int8 per output channel, activations uint8 per tensor, ranges by `recipe.method`; without one, the minimum and
    maximum over all pictures. The input's are those of a byte, the output's those of a probability.
    """
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    path = folder / "model.onnx"
    model = to_model_proto(network)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = {node.name: weights[node.input[1]] for node in model.graph.node if node.op_type == "Conv"}
    kept = layers_of(network, recipe.keep, nodes)
    found = observe(_all_tensors(model), pictures, recipe.method or METHOD)
    ends = {name: [{"rmin": np.float32(each.low), "rmax": np.float32(each.high)}] for name, each in found.items()}
    byte_range = {"rmin": np.float32((0 - MEAN) / STD), "rmax": np.float32((255 - MEAN) / STD)}
    # Sky and not sky are the two peaks of its histogram: `entropy` would clip the sky's, and no pixel would reach 0.5.
    probability = {"rmin": np.float32(0.0), "rmax": np.float32(1.0)}
    scales = weight_scales(model, frozenset(kept.values())) if variant.per_channel else {}
    quantize_static(
        model,
        path,
        _reader(pictures[:1]),  # for the names of the tensors: the ranges are there
        quant_format=QuantFormat.QDQ,
        per_channel=variant.per_channel,
        activation_type=QuantType.QUInt8 if variant.activations == "uint8" else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(kept.values()),
        extra_options={"TensorQuantOverrides": {**ends, "image": [byte_range], "sky": [probability], **scales}},
    )
    tensors = input_spec("image", network.size, "NCHW"), output_spec("sky")
    stored = "per_channel_symmetric" if variant.per_channel else "per_tensor_symmetric"
    stored += f", {len(kept)} layers float32" if kept else ""
    return Converted({"model": path}, *tensors, stored, "per_tensor", TOOLS)


def _feed(picture: np.ndarray) -> dict[str, np.ndarray]:
    return {"image": np.ascontiguousarray(((picture.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1)[None])}


def _reader(pictures: Sequence[np.ndarray]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out one picture after another."""

        def __init__(self) -> None:
            self.inputs: Iterator[np.ndarray] = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.inputs, None)
            return None if picture is None else _feed(picture)

    return Reader()


def _all_tensors(model: onnx.ModelProto) -> Callable[[np.ndarray], list[tuple[str, np.ndarray]]]:
    """Return what runs one picture through the float network and gives every float tensor between its nodes."""
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
    return lambda picture: list(zip(names, session.run(names, _feed(picture)), strict=True))


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
