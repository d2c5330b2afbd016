"""ncnn artifacts on the CPU.

float16 weights are widened when they are loaded, and all arithmetic is float32. On CPUs with half precision (Arm from v8.2
on) ncnn would compute in it, and masks would differ between machines by up to 2e-2. int8 layers compute in int8.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.checks.ncnn_check import check_ncnn
from edge_runtime.backends.tensors import NetworkBackend, TensorInfo, check_tensors, import_interpreter
from edge_runtime.errors import InputError

SAME_EVERYWHERE = (
    "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage",
    "use_vulkan_compute",
)  # fmt: skip


class NcnnBackend(NetworkBackend):
    """An ncnn network; see `Backend`."""

    name = "ncnn"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        self.ncnn = import_interpreter("ncnn", "ncnn")
        super().__init__(artifact)
        _check_spec(artifact)
        check_ncnn(artifact.file("param").read_bytes(), artifact.file("bin").read_bytes(), artifact.size)
        net = self.ncnn.Net()
        net.opt.num_threads = threads
        for option in SAME_EVERYWHERE:
            if hasattr(net.opt, option):  # older releases know fewer
                setattr(net.opt, option, False)
        for load, role in ((net.load_param, "param"), (net.load_model, "bin")):
            code = load(str(artifact.file(role)))
            if code != 0:
                raise InputError(f"ncnn cannot load {artifact.file(role)} (code {code}); export the artifact again")
        self.net, self.process = net, os.getpid() if threads > 1 else None
        _check_names(artifact, net)
        self._lock = threading.Lock()
        # An ncnn network does not tell its shapes: it has to be run.
        output = self._extract(np.zeros(artifact.spec.input.shape, np.float32))
        names, shape = artifact.spec.input.name, artifact.spec.input.shape
        check_tensors(
            artifact.spec,
            [TensorInfo((names,), shape, "float32")],
            [TensorInfo((artifact.spec.output.name,), (1, *output.shape), output.dtype.name)],
        )

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output blob for an input tensor."""
        if self.process not in (None, os.getpid()):  # OpenMP's threads did not come along: the run would wait for them for ever
            raise InputError(
                f"{self.spec.name}: got a process that was forked after ncnn was opened with threads, expected the "
                "one that opened it; open the network here with threads=1, or start processes by spawn"
            )
        with self._lock:  # ncnn promises nothing about extractors of one network on several threads
            return self._extract(tensor)

    def _extract(self, tensor: np.ndarray) -> np.ndarray:
        """Run the network on (1, 3, H, W) float32; return its output blob, copied."""
        planes = tensor[0]  # the Mat borrows this memory, so it must stay referenced until extract has returned
        extractor = self.net.create_extractor()
        code = extractor.input(self.spec.input.name, self.ncnn.Mat(planes))
        if code == 0:
            code, blob = extractor.extract(self.spec.output.name)
        if code != 0:
            raise InputError(f"{self.spec.name}: ncnn cannot run the network (code {code}); export the artifact again")
        output = np.array(blob)
        return output[None] if output.ndim == 2 else output  # one channel may come as a plane without a channel axis


def _check_spec(artifact: Artifact) -> None:
    """Refuse a spec that ncnn cannot serve."""
    spec = artifact.spec
    if spec.input.layout != "NCHW" or spec.input.dtype != "float32" or spec.output.dtype != "float32":
        got = f"{spec.input.layout}, {spec.input.dtype} to {spec.output.dtype}"
        raise InputError(f"{spec.name}: got {got}, expected NCHW, float32 to float32 for ncnn; export it again")


def _check_names(artifact: Artifact, net: Any) -> None:
    """Refuse a network with other blobs before any blob is asked for."""
    spec = artifact.spec
    for role, names, expected in (
        ("inputs", net.input_names(), spec.input.name),
        ("outputs", net.output_names(), spec.output.name),
    ):
        if list(names) != [expected]:
            raise InputError(
                f"{spec.name}: the model's {role} are {list(names)}, expected {[expected]} as model.json says; "
                "model and model.json are not of one artifact: export it again"
            )
