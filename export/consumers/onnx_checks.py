"""Consumers of ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.artifact.artifact import Artifact
from export.consumers.verdict import Sample, Verdict, listed, own, replay

if TYPE_CHECKING:
    import onnx

# Operators of the networks here that the documentation of a runtime lists. onnxruntime-web: js/web/docs/webgpu-operators.md, and
# lib/wasm/jsep/webgpu/op-resolve-rules.ts for DepthToSpace; it runs others in WebAssembly, with a copy on each side. TensorRT:
# onnx-tensorrt's docs/operators.md, whose quantization has no zero point.
WEBGPU = frozenset({
    "Add", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "DequantizeLinear", "MaxPool", "Relu", "Reshape", "Resize",
    "Sigmoid", "Transpose",
})  # fmt: skip
TENSORRT = WEBGPU | {"QuantizeLinear", "SpaceToDepth"}


def check(given: Sample) -> list[Verdict]:
    """Return the verdicts on an ONNX artifact."""
    import onnx

    rules = by_rules(onnx.load(given.artifact.file("model")))
    ran = [replay("OpenVINO", given, "openvino"), replay("OpenCV DNN", given, "opencv")]
    return [own("onnxruntime", given), *_mobile(given.artifact), *ran, *rules]


def _mobile(artifact: Artifact) -> list[Verdict]:
    """Ask the checker for phones that onnxruntime brings; it reads the graph as onnxruntime optimizes it."""
    from onnxruntime.tools.mobile_helpers import usability_checker
    from onnxruntime.tools.onnx_model_utils import ModelProtoWithShapeInfo

    model = ModelProtoWithShapeInfo(artifact.file("model")).model_with_shape_info
    asked: dict[str, Any] = {
        "onnxruntime NNAPI": usability_checker.check_nnapi_partitions(model, True),
        "onnxruntime Core ML": usability_checker.check_coreml_partitions(model, True, "coreml_supported_mlprogram_ops.md"),
    }
    verdicts = []
    for name, found in asked.items():
        said = f"{found.num_supported_nodes} of {found.num_nodes} nodes in {found.num_partitions} partitions"
        if found.unsupported_ops:
            said += f"; unknown: {', '.join(sorted(each.removeprefix('ai.onnx:') for each in found.unsupported_ops))}"
        elif found.nodes_unsupported_due_to_dynamic_input:
            said += f"; {found.nodes_unsupported_due_to_dynamic_input} nodes have an input of unknown shape"
        verdicts.append(Verdict(name, "checker", int(found.suitability()) == 2, None, said))
    return verdicts


def by_rules(model: onnx.ModelProto) -> list[Verdict]:
    """Return the verdicts of the lists of operators."""
    from onnx import numpy_helper

    nodes = model.graph.node
    operators = [node.op_type for node in nodes]
    ceil = sum(each.name == "ceil_mode" and each.i != 0 for node in nodes for each in node.attribute)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    points = {node.input[2] for node in nodes if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    shifted = any(numpy_helper.to_array(constants[name]).any() for name in points if name in constants)
    return [
        listed("onnxruntime-web WebGPU", operators, WEBGPU, f"MaxPool with ceil_mode ({ceil})" if ceil else ""),
        listed("TensorRT", operators, TENSORRT, "zero points; TensorRT wants symmetric int8" if shifted else ""),
    ]
