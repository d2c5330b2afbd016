"""Consumers of TFLite files."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import open_backend
from export.consumers.environments import python_of
from export.consumers.onnx_checks import openvino
from export.consumers.verdict import Verdict, compared, replay
from export.tflite_graph import read_graph

# What the GPU delegate's documentation lists (tensorflow.org/lite/performance/gpu), of the operators of the networks here. It
# takes int8 networks too, but computes in float.
GPU_DELEGATE = frozenset({
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "LOGISTIC", "MAX_POOL_2D", "PAD", "QUANTIZE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
})  # fmt: skip
SCRIPT = Path(__file__).with_name("mediapipe_script.py")


def check(artifact: Artifact) -> list[Verdict]:
    """Return the verdicts on a TFLite artifact."""
    opencv = replay("OpenCV DNN", artifact, lambda: _opencv(artifact))
    return [_litert(artifact), _gpu_delegate(artifact), mediapipe(artifact), openvino(artifact), opencv]


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
        said.append(f"XNNPACK has no int8 RESIZE_NEAREST_NEIGHBOR ({nearest})")
    islands = graph.operators.get("DEQUANTIZE", 0) - (graph.output is None)
    if artifact.precision == "int8" and islands > 0:
        said.append(f"{islands} float islands: DEQUANTIZE, float layers, QUANTIZE")
    why = "; ".join([ran.why, *said] if ran.why else said)
    return Verdict(ran.consumer, "run", ran.takes, ran.agreement, why)


def _gpu_delegate(artifact: Artifact) -> Verdict:
    unknown = sorted(read_graph(artifact.file("model").read_bytes()).operators.keys() - GPU_DELEGATE)
    return Verdict("TFLite GPU delegate", "list", not unknown, None, f"unknown: {', '.join(unknown)}" if unknown else "")


def mediapipe(artifact: Artifact) -> Verdict:
    """Run the golden input through the ImageSegmenter of MediaPipe Tasks, in an environment of its own."""
    python = python_of("mediapipe")
    if python is None:
        return Verdict("MediaPipe Tasks", "run", None, None, "not installed; python -m export.consumers.environments mediapipe")
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        image, output = Path(folder) / "image.npy", Path(folder) / "output.npz"
        np.save(image, artifact.golden().input)
        words = [python, SCRIPT, artifact.file("model"), image, output]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it crashed"]
            return Verdict("MediaPipe Tasks", "run", False, None, lines[-1][:160])
        with np.load(output) as found:
            verdict = compared("MediaPipe Tasks", artifact, found["confidence"])
        labels = json.loads(done.stdout.splitlines()[-1])["labels"]
    return verdict if labels == ["sky"] else Verdict(verdict.consumer, "run", False, verdict.agreement, f"labels {labels}")


def _opencv(artifact: Artifact) -> Callable[[np.ndarray], np.ndarray]:
    import cv2

    network = cv2.dnn.readNetFromTFLite(str(artifact.file("model")))

    def run(tensor: np.ndarray) -> np.ndarray:
        network.setInput(tensor)
        return np.asarray(network.forward())

    return run
