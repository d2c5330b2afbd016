"""Consumers of TFLite files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edge_runtime.artifact.artifact import Artifact
from export.consumers.environments import python_of
from export.consumers.verdict import Sample, Verdict, own, replay
from export.graphs.tflite_graph import Graph, read_graph


def check(given: Sample) -> list[Verdict]:
    """Return the verdicts on a TFLite artifact."""
    graph, litert = read_graph(given.artifact.file("model").read_bytes()), own("LiteRT, XNNPACK", given)
    facts = "; ".join([*filter(None, [litert.why]), *_facts(given.artifact, graph)])
    ran = [replay("OpenVINO", given, "openvino"), replay("OpenCV DNN", given, "opencv")]
    return [dataclasses.replace(litert, why=facts), mediapipe(given), *ran]


def partitions(path: Path) -> int:
    """Return in how many parts XNNPACK runs a network; between them, LiteRT's own kernels run alone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())


def _facts(artifact: Artifact, graph: Graph) -> list[str]:
    parts = partitions(artifact.file("model"))
    said = [f"{parts} XNNPACK partition{'s' if parts > 1 else ''}"]
    islands = graph.operators.get("DEQUANTIZE", 0) - (graph.output is None)
    if artifact.precision == "int8" and islands > 0:
        said.append(f"{islands} float island{'s' if islands > 1 else ''}: DEQUANTIZE, float layers, QUANTIZE")
    return said


def mediapipe(given: Sample) -> Verdict:
    """Run the images through the ImageSegmenter of MediaPipe Tasks, where its environment was made."""
    python = python_of("mediapipe")
    if python is None:
        return Verdict("MediaPipe Tasks", "run", None, None, "not installed; python -m export.consumers.environments mediapipe")
    return replay("MediaPipe Tasks", given, "mediapipe", python)
