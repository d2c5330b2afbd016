"""Torch artifacts (`torch.export`, .pt2): the full-precision reference, on the CPU or on CUDA."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.tensors import InputEncoder, TensorInfo, check_tensors, decode_output, import_interpreter
from edge_runtime.errors import InputError


class TorchBackend:
    """An exported torch program; see `Backend`. The format names no outputs, so `output.name` is not checked.

    Notes
    -----
    Torch's number of threads is one for the whole process; every run sets its own. On CUDA, TF32 is switched off in the
    process, so that float32 means float32.
    """

    name = "torch"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        torch = import_interpreter("torch", "torch")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("got device 'cuda', but torch sees no CUDA GPU here; use --device cpu")
        path = artifact.file("model")
        try:
            program = torch.export.load(path)
        except Exception as error:  # a damaged archive raises zip, pickle, JSON and torch's own errors
            raise InputError(f"torch cannot load {path}: {error}; export the artifact again") from error
        inputs, outputs = _describe(program)
        check_tensors(artifact.spec, inputs, outputs)
        if device == "cuda":
            from torch.export.passes import move_to_device_pass

            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            program = move_to_device_pass(program, device)
        self.torch, self.threads, self.device = torch, threads, device
        self.module = program.module()
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities, back on the CPU."""
        if self.torch.get_num_threads() != self.threads:
            self.torch.set_num_threads(self.threads)
        with self.torch.inference_mode():
            output = self.module(self.torch.from_numpy(self.encode(image)).to(self.device)).cpu().numpy()
        return decode_output(output, self.spec.output, *image.shape[:2])


def _describe(program: Any) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Return what an exported program says about its inputs and outputs."""
    nodes = {node.name: node for node in program.graph.nodes}

    def describe(name: str, names: tuple[str, ...]) -> TensorInfo:
        value = nodes[name].meta["val"]
        return TensorInfo(names, tuple(value.shape), str(value.dtype).removeprefix("torch."))

    signature = program.graph_signature
    return (
        [describe(name, (name,)) for name in signature.user_inputs],
        [describe(name, ()) for name in signature.user_outputs],
    )
