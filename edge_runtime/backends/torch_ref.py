"""Torch artifacts (`torch.export`, .pt2): the full-precision reference, on the CPU or on CUDA."""

from __future__ import annotations

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import Backend
from edge_runtime.backends.checks.pt2_graph import read_program
from edge_runtime.backends.device_images import DeviceImages
from edge_runtime.backends.tensors import InputEncoder, TensorInfo, check_tensors, decode_output, import_interpreter, run_failed
from edge_runtime.errors import InputError


class TorchBackend(Backend):
    """An exported torch program; see `Backend`. The format names no outputs, so `output.name` is not checked.

    Torch has one number of threads for the whole process; every run sets its own. On CUDA, TF32 is switched off in the
    process, so that float32 means float32. There, `device_images` segments images of any size without leaving the device.
    """

    name = "torch"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        torch = import_interpreter("torch", "torch")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("got device 'cuda', but torch sees no CUDA GPU here; use --device cpu")
        self.torch, self.threads, self.device = torch, threads, device
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)
        program = read_program(artifact.file("model"), torch)
        given = TensorInfo((program.input,), program.input_shape, program.input_dtype)
        try:  # shapes alone, before any memory is taken
            output = program.to("meta")(torch.empty(given.shape, device="meta"))
        except InputError:
            raise
        except Exception as error:  # arguments that do not fit raise errors of every kind
            raise run_failed(artifact.spec, "torch", error) from error
        described = TensorInfo((), tuple(output.shape), str(output.dtype).removeprefix("torch."))
        check_tensors(artifact.spec, [given], [described])
        if device == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.program = program.to(device)
        images = DeviceImages(torch, artifact.spec, device, self.program)
        self.device_images = images if device != "cpu" else None  # on the CPU, Pillow and OpenCV are faster

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities, back on the CPU."""
        if self.torch.get_num_threads() != self.threads:
            self.torch.set_num_threads(self.threads)
        try:
            with self.torch.inference_mode():
                output = self.program(self.torch.from_numpy(self.encode(image)).to(self.device)).cpu().numpy()
        except RuntimeError as error:
            raise run_failed(self.spec, "torch", error) from error
        return decode_output(output, self.spec.output, *image.shape[:2])
