"""OpenVINO artifacts: an IR of OpenVINO (.xml and .bin), float or quantized by NNCF, on the CPU."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import Backend
from edge_runtime.backends.tensors import (
    InputEncoder,
    TensorInfo,
    check_tensors,
    decode_output,
    import_interpreter,
    run_failed,
)
from edge_runtime.errors import InputError

# f32: where the CPU has bfloat16, OpenVINO would compute the float layers in it, and masks change by 0.08.
CONFIG = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


class OpenvinoBackend(Backend):
    """A compiled OpenVINO model; see `Backend`. Each calling thread has an infer request of its own."""

    name = "openvino"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        openvino = import_interpreter("openvino", "openvino")
        path = artifact.file("xml")
        try:
            core = openvino.Core()
            model = core.read_model(path, artifact.file("bin"))
            self.compiled = core.compile_model(model, "CPU", CONFIG | {"INFERENCE_NUM_THREADS": threads})
        except Exception as error:  # OpenVINO raises RuntimeError and its own kinds
            reason = " ".join(str(error).split())
            raise InputError(f"openvino cannot load {path}: {reason}; export the artifact again") from error
        check_tensors(artifact.spec, _describe(self.compiled.inputs), _describe(self.compiled.outputs))
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)
        self.requests = threading.local()

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities."""
        if not hasattr(self.requests, "own"):
            self.requests.own = self.compiled.create_infer_request()
        try:
            output = self.requests.own.infer({0: self.encode(image)})[0]
        except Exception as error:
            raise run_failed(self.spec, self.name, error) from error
        return decode_output(output, self.spec.output, *image.shape[:2])


def _describe(ports: list[Any]) -> list[TensorInfo]:
    return [
        TensorInfo(tuple(port.get_names()), tuple(port.shape), np.dtype(port.get_element_type().to_dtype()).name)
        for port in ports
        if port.partial_shape.is_static
    ]
