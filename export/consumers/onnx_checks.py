"""Consumers of ONNX files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import open_backend
from export.consumers.verdict import Verdict, compared, replay

if TYPE_CHECKING:
    import onnx

# Operators of the networks here that the documentation of a runtime lists. onnxruntime-web: js/web/docs/webgpu-operators.md, and
# lib/wasm/jsep/webgpu/op-resolve-rules.ts for DepthToSpace; TensorRT: onnx-tensorrt's docs/operators.md, whose quantization has
# no zero point.
WEBGPU = frozenset({
    "Add", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "DequantizeLinear", "MaxPool", "Relu", "Reshape", "Resize",
    "Sigmoid", "Transpose",
})  # fmt: skip
TENSORRT = WEBGPU | {"QuantizeLinear", "SpaceToDepth"}


def check(artifact: Artifact) -> list[Verdict]:
    """Return the verdicts on an ONNX artifact."""
    import onnx

    model = onnx.load(artifact.file("model"))
    own = compared("onnxruntime", artifact, open_backend(artifact).run(artifact.golden().input))
    ran = [replay("OpenVINO", artifact, "openvino"), replay("OpenCV DNN", artifact, "opencv")]
    return [own, *_mobile(artifact), _webgpu(model), *ran, _tensorrt(model)]


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


def _webgpu(model: onnx.ModelProto) -> Verdict:
    objections = []
    if ceil := _count_attribute(model, "ceil_mode"):
        objections.append(f"MaxPool with ceil_mode ({ceil})")
    operators = Counter(node.op_type for node in model.graph.node)
    if unknown := sorted(operators.keys() - WEBGPU):
        objections.append(f"{', '.join(unknown)} run in WebAssembly, with a copy on each side")
    return Verdict("onnxruntime-web WebGPU", "list", not objections, None, "; ".join(objections))


def _tensorrt(model: onnx.ModelProto) -> Verdict:
    from onnx import numpy_helper

    operators = Counter(node.op_type for node in model.graph.node)
    objections = [f"unknown: {', '.join(unknown)}"] if (unknown := sorted(operators.keys() - TENSORRT)) else []
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    points = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    if any(numpy_helper.to_array(constants[name]).any() for name in points if name in constants):
        objections.append("activations with a zero point; TensorRT wants symmetric int8")
    return Verdict("TensorRT", "list", not objections, None, "; ".join(objections))


def _count_attribute(model: onnx.ModelProto, name: str) -> int:
    return sum(each.name == name and each.i != 0 for node in model.graph.node for each in node.attribute)
