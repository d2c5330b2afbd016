"""Consumers of TFLite files."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import open_backend
from export.consumers.environments import python_of
from export.consumers.verdict import Verdict, compared, replay
from export.graphs.tflite_graph import read_graph

# What the GPU delegate's documentation lists (tensorflow.org/lite/performance/gpu), of the operators of the networks here. It
# takes int8 networks too, but computes in float.
GPU_DELEGATE = frozenset({
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "LOGISTIC", "MAX_POOL_2D", "PAD", "QUANTIZE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
})  # fmt: skip


def check(artifact: Artifact) -> list[Verdict]:
    """Return the verdicts on a TFLite artifact."""
    ran = [replay("OpenVINO", artifact, "openvino"), replay("OpenCV DNN", artifact, "opencv")]
    return [_litert(artifact), _gpu_delegate(artifact), mediapipe(artifact), *ran]


def partitions(path: Path) -> int:
    """Return in how many parts XNNPACK runs a network; between them, LiteRT's own kernels run alone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())


def _litert(artifact: Artifact) -> Verdict:
    ran = compared("LiteRT, XNNPACK", artifact, open_backend(artifact).run(artifact.golden().input))
    graph, parts = read_graph(artifact.file("model").read_bytes()), partitions(artifact.file("model"))
    said = [f"{parts} XNNPACK partition{'s' if parts > 1 else ''}"]
    if parts > 1 and (nearest := graph.operators.get("RESIZE_NEAREST_NEIGHBOR", 0)):
        said.append(f"XNNPACK has no RESIZE_NEAREST_NEIGHBOR ({nearest})")
    islands = graph.operators.get("DEQUANTIZE", 0) - (graph.output is None)
    if artifact.precision == "int8" and islands > 0:
        said.append(f"{islands} float island{'s' if islands > 1 else ''}: DEQUANTIZE, float layers, QUANTIZE")
    why = "; ".join([ran.why, *said] if ran.why else said)
    return Verdict(ran.consumer, "run", ran.takes, ran.agreement, why)


def _gpu_delegate(artifact: Artifact) -> Verdict:
    unknown = sorted(read_graph(artifact.file("model").read_bytes()).operators.keys() - GPU_DELEGATE)
    return Verdict("TFLite GPU delegate", "list", not unknown, None, f"unknown: {', '.join(unknown)}" if unknown else "")


def mediapipe(artifact: Artifact) -> Verdict:
    """Run the golden input through the ImageSegmenter of MediaPipe Tasks, where its environment was made."""
    python = python_of("mediapipe")
    if python is None:
        return Verdict("MediaPipe Tasks", "run", None, None, "not installed; python -m export.consumers.environments mediapipe")
    return replay("MediaPipe Tasks", artifact, "mediapipe", python)
