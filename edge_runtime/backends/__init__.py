"""The interpreters behind one protocol: an image at the network's input size in, probabilities of sky out."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.errors import InputError

Device = Literal["cpu", "cuda", "tensorrt"]
MOST_THREADS = 64  # as in C++


@dataclass(frozen=True)
class Format:
    """How artifacts of one format are run.

    Attributes
    ----------
    module, name
        Module of `edge_runtime.backends` and its class. It is imported when an artifact is opened: a device has one interpreter,
        rarely all.
    interpreters
        Modules of the interpreter, any of which will do, best first; none where nothing more is needed.
    devices
        Where it can run.
    """

    module: str
    name: str
    interpreters: tuple[str, ...]
    devices: tuple[str, ...] = ("cpu",)

    def installed(self) -> list[str]:
        """Return the modules of `interpreters` whose package is installed; none is imported."""
        return [module for module in self.interpreters if importlib.util.find_spec(module.partition(".")[0]) is not None]


# A new backend needs an entry here, its files in `edge_runtime.artifact.spec.FILE_NAMES`, and its module.
FORMATS: dict[str, Format] = {
    "onnx": Format("ort", "OrtBackend", ("onnxruntime",), ("cpu", "cuda", "tensorrt")),
    "tflite": Format(
        "tflite",
        "TfliteBackend",
        ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter"),
    ),
    "ncnn": Format("ncnn_net", "NcnnBackend", ("ncnn",)),
    "coreml": Format("coreml", "CoremlBackend", ("coremltools",)),
    "torch": Format("torch_ref", "TorchBackend", ("torch",), ("cpu", "cuda")),
    "classical": Format("classical", "ClassicalBackend", ()),
}


class Backend(Protocol):
    """A loaded network; threads may share one. `name` is the interpreter, e.g. `onnxruntime`."""

    name: str

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return the probability of sky, (H, W) float32 in [0, 1], of (H, W, 3) uint8 RGB at the network's input size."""
        ...


def open_backend(artifact: Artifact, threads: int = 1, device: str = "cpu") -> Backend:
    """Load an artifact that `read_artifact` has checked into the interpreter of its format.

    `threads` are CPU threads, 1 to `MOST_THREADS`; `device` is one that `FORMATS` has for the format. Raises `InputError` where
    the interpreter is missing, cannot load the model or use the device, or sees other tensors than model.json says.
    """
    entry = FORMATS[artifact.spec.format]
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"got {threads} threads, expected 1 to {MOST_THREADS}")
    if device not in entry.devices:
        expected = " or ".join(entry.devices)
        raise InputError(f"got device {device!r}, expected {expected} for an artifact of format {artifact.spec.format}")
    module = importlib.import_module(f"edge_runtime.backends.{entry.module}")
    backend: Backend = getattr(module, entry.name)(artifact, threads, device)
    return backend
