"""Images to input tensors, output tensors to probabilities, and the check that a model is the one its spec describes.

All backends use this module, so normalization and quantization cannot differ between them.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.spec import InputSpec, ModelSpec, OutputSpec, Quant
from edge_runtime.backends import Backend
from edge_runtime.errors import InputError

# A sigmoid in half precision may leave [0, 1] by this much; more means that the output is no probability.
RANGE_SLACK = 1e-3


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as its interpreter describes it.

    `names` are all its names, none where the format has no names of tensors. A side of `shape` that is not fixed is a text or
    None. `dtype` is numpy's name.
    """

    names: tuple[str, ...]
    shape: tuple[int | str | None, ...]
    dtype: str
    quant: Quant | None = None


class InputEncoder:
    """Turns an image into the network's input tensor."""

    def __init__(self, spec: InputSpec) -> None:
        self.channels_first = spec.layout == "NCHW"
        self.shape = spec.shape
        height, width = spec.shape[2:] if self.channels_first else spec.shape[1:3]
        self.image_shape = (height, width, 3)
        # A byte has 256 values: a table per channel is exact, and takes one pass over the image.
        values = (np.arange(256)[:, None] - np.asarray(spec.mean)) / np.asarray(spec.std)
        if spec.quant is None:
            table = values.astype(np.float32)
        else:
            steps = np.rint(values / spec.quant.scale) + spec.quant.zero_point
            limits = np.iinfo(spec.dtype)
            table = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
        self.tables = [np.ascontiguousarray(table[:, channel]) for channel in range(3)]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return `image`, (H, W, 3) uint8 RGB at the input size, as a tensor of the spec's shape and dtype."""
        if image.dtype != np.uint8 or image.shape != self.image_shape:
            raise InputError(f"got {image.dtype} {image.shape}, expected uint8 {self.image_shape} RGB; resize it with resize_rgb")
        tensor = np.empty(self.shape, self.tables[0].dtype)
        planes = tensor[0] if self.channels_first else tensor[0].transpose(2, 0, 1)
        for channel, table in enumerate(self.tables):
            np.take(table, image[..., channel], out=planes[channel], mode="clip")  # a byte is never out of range
        return tensor


def decode_output(tensor: np.ndarray, spec: OutputSpec, height: int, width: int) -> np.ndarray:
    """Return a network's output as (height, width) float32 probabilities in [0, 1], a copy.

    Raises `InputError` where the values are no probabilities: NaN, or logits without a sigmoid.
    """
    sky = np.array(tensor, dtype=np.float32).reshape(height, width)
    if spec.quant is not None:
        sky = (sky - np.float32(spec.quant.zero_point)) * np.float32(spec.quant.scale)
    low, high = float(sky.min()), float(sky.max())
    if not (low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK):  # NaN fails both
        raise InputError(f"got network output from {low:.3g} to {high:.3g}, expected 0 to 1; export the artifact again")
    return np.clip(sky, 0.0, 1.0, out=sky)


def check_tensors(spec: ModelSpec, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> None:
    """Raise `InputError` unless the model has the one input and the one output that `spec` promises."""
    shape = spec.input.shape
    sky_shape = (*shape[:3], 1) if spec.input.layout == "NHWC" else (shape[0], 1, *shape[2:])
    _check_tensor(spec, "input", inputs, spec.input, shape)
    _check_tensor(spec, "output", outputs, spec.output, sky_shape)


def _check_tensor(
    spec: ModelSpec,
    role: str,
    got: Sequence[TensorInfo],
    expected: InputSpec | OutputSpec,
    shape: tuple[int, ...],
) -> None:
    def refuse(what: str, found: object, wanted: object) -> InputError:
        return InputError(
            f"{spec.name}: the model's {role} has {what} {found}, expected {wanted} as model.json says; "
            "model and model.json are not of one artifact: export it again"
        )

    if len(got) != 1:
        raise InputError(f"{spec.name}: got a model with {len(got)} {role}s, expected 1; export the artifact again")
    tensor = got[0]
    if tensor.names and expected.name not in tensor.names:
        raise refuse("the name", " or ".join(map(repr, tensor.names)), repr(expected.name))
    if tensor.shape != shape:
        raise refuse("the shape", list(tensor.shape), list(shape))
    if tensor.dtype != expected.dtype:
        raise refuse("the dtype", tensor.dtype, expected.dtype)
    if not _same_quant(tensor.quant, expected.quant):
        raise refuse("the quantization", tensor.quant, expected.quant)


def _same_quant(got: Quant | None, expected: Quant | None) -> bool:
    if got is None or expected is None:
        return got is expected
    # Interpreters keep the scale as float32, model.json as a decimal.
    return got.zero_point == expected.zero_point and np.float32(got.scale) == np.float32(expected.scale)


@contextlib.contextmanager
def refusing(interpreter: str, what: object, doing: str = "load") -> Iterator[None]:
    """Turn whatever an interpreter raises in the block into `InputError`; their errors share no class.

    A network is given up on where there is no memory, or the file is damaged inside.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{interpreter} cannot {doing} {what}: {reason:.300}; free memory, or export the artifact again"
        ) from error


class NetworkBackend(Backend):
    """What the backends of networks share; `infer` is theirs."""

    def __init__(self, artifact: Artifact) -> None:
        self.spec = artifact.spec
        self.encode = InputEncoder(artifact.spec.input)

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output tensor for an input tensor."""
        raise NotImplementedError

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB at the input size into (H, W) float32 probabilities."""
        tensor = self.encode(image)
        with refusing(self.name, f"the network {self.spec.name}", "run"):
            output = self.infer(tensor)
        return decode_output(output, self.spec.output, *image.shape[:2])


def import_interpreter(module: str, artifact_format: str) -> ModuleType:
    """Import an interpreter; raises `InputError` that names the extra to install where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_interpreter(module, artifact_format, str(error)) from error


def missing_interpreter(module: str, artifact_format: str, reason: str) -> InputError:
    """Return the error for an artifact whose interpreter cannot be imported."""
    return InputError(
        f"got an artifact of format {artifact_format}, but cannot import {module} ({reason}); "
        f"install it: pip install 'skyedge[{artifact_format}]'"
    )
