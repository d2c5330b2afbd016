"""ONNX artifacts in onnxruntime, on the CPU, or on an NVIDIA GPU by CUDA or TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import Backend
from edge_runtime.backends.checks.file_checks import check_onnx
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


class OrtBackend(Backend):
    """An onnxruntime session; see `Backend`. Operators run one after another, each on `threads` threads.

    On a GPU, input and output are bound to its memory, and `run_on_device` leaves the mask there.
    """

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
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS[device])
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise InputError(f"onnxruntime cannot load {path}: {error}; export the artifact again") from error
        if provider not in session.get_providers():  # it goes on with the CPU where the GPU's libraries are missing
            raise _no_gpu(device, f"onnxruntime cannot start its {provider}")
        session.disable_fallback()
        check_tensors(artifact.spec, _describe(session.get_inputs()), _describe(session.get_outputs()))
        self.ort, self.session = onnxruntime, session
        self.memory = "cpu" if device == "cpu" else "cuda"
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities."""
        if self.memory == "cpu":
            output = self._call(lambda: self.session.run([self.spec.output.name], {self.spec.input.name: self.encode(image)})[0])
        else:
            output = self.run_on_device(image).numpy()
        return decode_output(output, self.spec.output, *image.shape[:2])

    def run_on_device(self, image: np.ndarray) -> Any:
        """Segment (H, W, 3) uint8 RGB at the input size; the output tensor stays on the device, as an `onnxruntime.OrtValue`.

        `.numpy()` brings it down, (1, 1, H, W) float32. Unlike `run`, it does not check the values.
        """
        tensor, binding = self.encode(image), self.session.io_binding()

        def call() -> Any:
            binding.bind_ortvalue_input(self.spec.input.name, self.ort.OrtValue.ortvalue_from_numpy(tensor, self.memory, 0))
            binding.bind_output(self.spec.output.name, self.memory)
            self.session.run_with_iobinding(binding)
            return binding.get_outputs()[0]

        return self._call(call)

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except InputError:
            raise
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise run_failed(self.spec, self.name, error) from error


def _no_gpu(device: str, reason: str) -> InputError:
    return InputError(
        f"got device {device!r}, but {reason} here; install onnxruntime-gpu and its CUDA libraries on a machine with an NVIDIA "
        "GPU, or use --device cpu"
    )


def _describe(nodes: list[Any]) -> list[TensorInfo]:
    return [TensorInfo((node.name,), tuple(node.shape), DTYPES.get(node.type, node.type)) for node in nodes]
