"""Consumers of ONNX files."""

from __future__ import annotations

from typing import Any

from edge_runtime.artifact.artifact import Artifact
from export.consumers.verdict import Sample, Verdict, own, replay


def check(given: Sample) -> list[Verdict]:
    """Return the verdicts on an ONNX artifact."""
    ran = [replay("OpenVINO", given, "openvino"), replay("OpenCV DNN", given, "opencv")]
    return [own("onnxruntime", given), *_mobile(given.artifact), *ran]


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
