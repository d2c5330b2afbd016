"""ONNX artifacts in onnxruntime, on the CPU execution provider."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.file_checks import check_onnx
from edge_runtime.backends.tensors import (
    InputEncoder,
    TensorInfo,
    check_tensors,
    decode_output,
    import_interpreter,
    run_failed,
)
from edge_runtime.errors import InputError

DTYPES = {"tensor(float)": "float32", "tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(float16)": "float16"}
ERRORS_ONLY = 3  # onnxruntime's log severity: its warnings concern optimizations


class OrtBackend:
    """An onnxruntime session; see `Backend`. Operators run one after another, each on `threads` threads."""

    name = "onnxruntime"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        onnxruntime = import_interpreter("onnxruntime", "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = ERRORS_ONLY
        path = artifact.file("model")
        check_onnx(path)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise InputError(f"onnxruntime cannot load {path}: {error}; export the artifact again") from error
        check_tensors(artifact.spec, _describe(session.get_inputs()), _describe(session.get_outputs()))
        self.session = session
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities."""
        feeds = {self.spec.input.name: self.encode(image)}
        try:
            (output,) = self.session.run([self.spec.output.name], feeds)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise run_failed(self.spec, self.name, error) from error
        return decode_output(output, self.spec.output, *image.shape[:2])


def _describe(nodes: list[Any]) -> list[TensorInfo]:
    return [TensorInfo((node.name,), tuple(node.shape), DTYPES.get(node.type, node.type)) for node in nodes]
