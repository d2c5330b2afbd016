"""TFLite artifacts in the interpreter that is installed: LiteRT, its predecessor tflite-runtime, or tensorflow."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.spec import Quant
from edge_runtime.backends import FORMATS
from edge_runtime.backends.checks.file_checks import check_tflite
from edge_runtime.backends.tensors import NetworkBackend, TensorInfo, check_tensors, missing_interpreter, refusing


class TfliteBackend(NetworkBackend):
    """A TFLite interpreter with its default delegate, XNNPACK; see `Backend`. `name` is its package, e.g. `ai_edge_litert`."""

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        interpreter_class, self.name = _import_interpreter()
        path = artifact.file("model")
        check_tflite(path)
        with refusing(self.name, path):
            interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        signature = _only_signature(interpreter)
        check_tensors(
            artifact.spec,
            [_describe(tensor, signature.get("inputs", [])) for tensor in inputs],
            [_describe(tensor, signature.get("outputs", [])) for tensor in outputs],
        )
        self.interpreter = interpreter
        self.input_index, self.output_index = inputs[0]["index"], outputs[0]["index"]
        super().__init__(artifact)
        self._lock = threading.Lock()

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output tensor for an input tensor."""
        with self._lock:  # an interpreter has one set of tensors
            self.interpreter.set_tensor(self.input_index, tensor)
            self.interpreter.invoke()
            output: np.ndarray = self.interpreter.get_tensor(self.output_index)
        return output


def _import_interpreter() -> tuple[Any, str]:
    """Return the first interpreter class that can be imported, and its package's name."""
    reasons = []
    for module in FORMATS["tflite"].installed():
        try:
            return importlib.import_module(module).Interpreter, module.partition(".")[0]
        except (ImportError, AttributeError) as error:  # e.g. tflite-runtime, built for numpy 1, under numpy 2
            reasons.append(f"{module}: {error}")
    packages = " or ".join(module.partition(".")[0] for module in FORMATS["tflite"].interpreters)
    raise missing_interpreter(packages, "tflite", "; ".join(reasons) or "none is installed")


def _only_signature(interpreter: Any) -> dict[str, list[str]]:
    """Return the names in the model's one signature, which users see; tensors have internal names too."""
    signatures: dict[str, dict[str, list[str]]] = interpreter.get_signature_list()
    return next(iter(signatures.values())) if len(signatures) == 1 else {}


def _describe(tensor: dict[str, Any], signature_names: list[str]) -> TensorInfo:
    scales = tensor["quantization_parameters"]["scales"]
    points = tensor["quantization_parameters"]["zero_points"]
    quant = Quant(float(scales[0]), int(points[0])) if len(scales) == 1 else None
    dtype = np.dtype(tensor["dtype"]).name
    # check_tensors requires one input and one output, so the signature's name belongs to this tensor.
    return TensorInfo((*signature_names, tensor["name"]), tuple(int(side) for side in tensor["shape"]), dtype, quant)
