"""ExecuTorch artifacts (.pte), float or int8, whose layers XNNPACK runs on the CPU."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import ModuleType
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

METHOD = "forward"
FLOAT32 = 6  # c10::ScalarType


class _Pool:
    """ExecuTorch's threads, one pool for the process. A loaded method keeps the pool that it was loaded with."""

    lock = threading.RLock()
    number = 0  # of pools so far

    @classmethod
    def resize(cls, threads: int) -> None:
        """Replace the pool where it has another number of threads; methods of older pools must not run again."""
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != threads:
            portable_lib._unsafe_reset_threadpool(threads)
            cls.number += 1


class ExecutorchBackend(Backend):
    """A loaded ExecuTorch program; see `Backend`. The format names no tensors, so their names are not checked.

    ExecuTorch has one number of threads for the whole process. A backend that wants another loads its program again, and only
    one of them runs at a time.
    """

    name = "executorch"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        self.runtime = import_runtime().Runtime.get()
        self.torch = import_interpreter("torch", "torch")
        self.spec, self.threads, self.path = artifact.spec, threads, artifact.file("model")
        self.encode = InputEncoder(artifact.spec.input)
        with _Pool.lock:
            self._load()
        meta = self.method.metadata
        inputs = [meta.input_tensor_meta(index) for index in range(meta.num_inputs())]
        outputs = [meta.output_tensor_meta(index) for index in range(meta.num_outputs())]
        check_tensors(artifact.spec, _describe(inputs), _describe(outputs))

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities."""
        tensor = self.torch.from_numpy(self.encode(image))
        with _Pool.lock:
            _Pool.resize(self.threads)
            if self.pool != _Pool.number:
                self._load()
            try:
                output = self.method.execute([tensor])[0].numpy()
            except Exception as error:
                raise run_failed(self.spec, self.name, error) from error
        return decode_output(output, self.spec.output, *image.shape[:2])

    def _load(self) -> None:
        _Pool.resize(self.threads)
        self.pool = _Pool.number
        self.method = _load_method(self.runtime, self.path)


def import_runtime() -> ModuleType:
    """Import ExecuTorch without its warnings about libraries for GPUs; raises `InputError` where it is missing."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return import_interpreter("executorch.runtime", "executorch")
    finally:
        logging.disable(level)


def _load_method(runtime: Any, path: Path) -> Any:
    try:
        program = runtime.load_program(path)  # it checks the file's structure
        if program.method_names != {METHOD}:
            raise RuntimeError(f"it has the methods {', '.join(sorted(program.method_names))}, expected {METHOD}")
        return program.load_method(METHOD)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"executorch cannot load {path}: {reason}; export the artifact again") from error


def _describe(tensors: list[Any]) -> list[TensorInfo]:
    return [
        TensorInfo((), tuple(tensor.sizes()), "float32" if tensor.dtype() == FLOAT32 else f"type {tensor.dtype()}")
        for tensor in tensors
    ]
