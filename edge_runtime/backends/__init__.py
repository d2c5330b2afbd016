"""The interpreters behind one protocol: an image at the network's input size in, probabilities of sky out."""

from __future__ import annotations

import importlib
from typing import Literal, Protocol

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.errors import InputError

# Modules are imported when an artifact of their format is opened: a device has one interpreter, rarely all.
BACKENDS: dict[str, tuple[str, str]] = {  # format -> module, class
    "onnx": ("edge_runtime.backends.ort", "OrtBackend"),
    "tflite": ("edge_runtime.backends.tflite", "TfliteBackend"),
    "ncnn": ("edge_runtime.backends.ncnn_net", "NcnnBackend"),
    "openvino": ("edge_runtime.backends.openvino", "OpenvinoBackend"),
    "executorch": ("edge_runtime.backends.executorch", "ExecutorchBackend"),
    "coreml": ("edge_runtime.backends.coreml", "CoremlBackend"),
    "torch": ("edge_runtime.backends.torch_ref", "TorchBackend"),
    "classical": ("edge_runtime.backends.classical", "ClassicalBackend"),
}
Device = Literal["cpu", "cuda", "tensorrt"]
DEVICES: dict[str, tuple[str, ...]] = {  # format -> devices
    "onnx": ("cpu", "cuda", "tensorrt"),
    "tflite": ("cpu",),
    "ncnn": ("cpu",),
    "openvino": ("cpu",),
    "executorch": ("cpu",),
    "coreml": ("cpu",),
    "torch": ("cpu", "cuda"),
    "classical": ("cpu",),
}
MOST_THREADS = 64  # as in C++


class Backend(Protocol):
    """A loaded network; threads may share one. `name` is the interpreter, e.g. `onnxruntime`."""

    name: str

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return the probability of sky, (H, W) float32 in [0, 1], of (H, W, 3) uint8 RGB at the network's input size."""
        ...


def open_backend(artifact: Artifact, threads: int = 1, device: str = "cpu") -> Backend:
    """Load an artifact that `read_artifact` has checked into the interpreter of its format.

    `threads` are CPU threads, 1 to `MOST_THREADS`; `device` is one of `DEVICES` for the format. Raises `InputError` where
    the interpreter is missing, cannot load the model or use the device, or sees other tensors than model.json says.
    """
    artifact_format = artifact.spec.format
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"got {threads} threads, expected 1 to {MOST_THREADS}")
    if device not in DEVICES[artifact_format]:
        expected = " or ".join(DEVICES[artifact_format])
        raise InputError(f"got device {device!r}, expected {expected} for an artifact of format {artifact_format}")
    module, name = BACKENDS[artifact_format]
    backend: Backend = getattr(importlib.import_module(module), name)(artifact, threads, device)
    return backend
