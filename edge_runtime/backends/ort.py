"""ONNX artifacts in onnxruntime, on the CPU, or on an NVIDIA GPU by CUDA or TensorRT."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.checks.file_checks import check_onnx
from edge_runtime.backends.tensors import NetworkBackend, TensorInfo, check_tensors, import_interpreter, refusing
from edge_runtime.errors import InputError

DTYPES = {"tensor(float)": "float32", "tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(float16)": "float16"}
# device -> execution providers and their options: what the first cannot run goes to the next. No TF32: float32 means float32.
Provider = tuple[str, dict[str, str]]
CUDA: Provider = ("CUDAExecutionProvider", {"use_tf32": "0"})
CPU: Provider = ("CPUExecutionProvider", {})
PROVIDERS: dict[str, list[Provider]] = {
    "cpu": [CPU],
    "cuda": [CUDA, CPU],
    "tensorrt": [("TensorrtExecutionProvider", {}), CUDA, CPU],
}
ERRORS_ONLY = 3  # onnxruntime's log severity: its warnings concern optimizations


class OrtBackend(NetworkBackend):
    """An onnxruntime session; see `Backend`. Operators run one after another, each on `threads` threads."""

    name = "onnxruntime"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        onnxruntime = import_interpreter("onnxruntime", "onnx")
        provider = PROVIDERS[device][0][0]
        if provider not in onnxruntime.get_available_providers():
            raise _no_gpu(device, f"onnxruntime has no {provider}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = ERRORS_ONLY
        path = artifact.file("model")
        check_onnx(path)
        with refusing(self.name, path):
            session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS[device])
        if provider not in session.get_providers():  # it goes on with the CPU where the GPU's libraries are missing
            raise _no_gpu(device, f"onnxruntime cannot start its {provider}")
        session.disable_fallback()
        check_tensors(artifact.spec, _describe(session.get_inputs()), _describe(session.get_outputs()))
        self.session = session
        super().__init__(artifact)

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output tensor for an input tensor, back on the CPU."""
        output: np.ndarray = self.session.run([self.spec.output.name], {self.spec.input.name: tensor})[0]
        return output


def _no_gpu(device: str, reason: str) -> InputError:
    return InputError(
        f"got device {device!r}, but {reason} here; install onnxruntime-gpu and its CUDA libraries on a machine with an NVIDIA "
        "GPU, or use --device cpu"
    )


def _describe(nodes: list[Any]) -> list[TensorInfo]:
    return [TensorInfo((node.name,), tuple(node.shape), DTYPES.get(node.type, node.type)) for node in nodes]
