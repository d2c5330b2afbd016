"""Torch artifacts (`torch.export`, .pt2): the full-precision reference, on the CPU or on CUDA."""

from __future__ import annotations

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.checks.pt2_graph import read_program
from edge_runtime.backends.tensors import NetworkBackend, TensorInfo, check_tensors, import_interpreter, refusing
from edge_runtime.errors import InputError


class TorchBackend(NetworkBackend):
    """An exported torch program; see `Backend`. The format names no outputs, so `output.name` is not checked.

    Torch has one number of threads for the whole process; every run sets its own. On CUDA, TF32 is switched off in the
    process, so that float32 means float32.
    """

    name = "torch"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        torch = import_interpreter("torch", "torch")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("got device 'cuda', but torch sees no CUDA GPU here; use --device cpu")
        self.torch, self.threads, self.device = torch, threads, device
        super().__init__(artifact)
        program = read_program(artifact.file("model"), torch)
        given = TensorInfo((program.input,), program.input_shape, program.input_dtype)
        with refusing(self.name, f"the network {self.spec.name}", "run"):  # shapes alone, before any memory is taken
            output = program.to("meta")(torch.empty(given.shape, device="meta"))
        described = TensorInfo((), tuple(output.shape), str(output.dtype).removeprefix("torch."))
        check_tensors(artifact.spec, [given], [described])
        if device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.program = program.to(device)

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output tensor for an input tensor, back on the CPU."""
        if self.torch.get_num_threads() != self.threads:
            self.torch.set_num_threads(self.threads)
        with self.torch.inference_mode():
            output: np.ndarray = self.program(self.torch.from_numpy(tensor).to(self.device)).cpu().numpy()
        return output
