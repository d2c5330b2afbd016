"""ncnn's two files: `.param`, the graph as text, and `.bin`, the weights of its layers one after another.

Facts are from ncnn's loaders (src/net.cpp, paramdict.cpp, modelbin.cpp, layer/convolution*.cpp of release 20261020). What pnnx
has just written is read here. `edge_runtime.backends.checks.ncnn_check` checks every artifact, those of strangers too.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import GateError

MAGIC = "7767517"
CONVOLUTION, DEPTHWISE = "Convolution", "ConvolutionDepthWise"
# Tag of a weight blob -> the numbers in it
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 0x01306B47: np.dtype("<f2"), 0x000D4B38: np.dtype("i1")}
TAGS = {dtype: tag for tag, dtype in DTYPES.items()}

# Keys of Convolution and ConvolutionDepthWise that are needed here
OUTPUTS, KERNEL_W, KERNEL_H, BIAS, WEIGHTS, GROUPS, INT8_SCALES = 0, 1, 11, 5, 6, 7, 8
REQUANTIZED = 100  # added to INT8_SCALES where the output leaves as int8


@dataclass(frozen=True)
class Layer:
    """A line of `.param`.

    Attributes
    ----------
    kind, name
        Such as `Convolution` and `conv_7`.
    bottoms, tops
        Names of the blobs that it reads and makes.
    params
        Key -> value as text, in the file's order.
    """

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: Mapping[str, str]

    @property
    def is_convolution(self) -> bool:
        """Whether it has weights."""
        return self.kind in (CONVOLUTION, DEPTHWISE)

    def integer(self, key: int, default: int) -> int:
        """Return the whole number under `key`; `default`, ncnn's, where there is none."""
        return int(self.params.get(str(key), default))

    def with_params(self, changes: Mapping[str, str]) -> Layer:
        """Return the layer with other or more values; those that it had keep their places."""
        return dataclasses.replace(self, params={**self.params, **changes})


@dataclass(frozen=True, eq=False)
class Weights:
    """What `.bin` holds for one convolution.

    Attributes
    ----------
    values
        (outputs, inputs of a group, kernel rows, kernel columns), float32, float16 or int8.
    bias
        (outputs,) float32, or None.
    scales
        float32 factors that made int8 of float weights: (outputs,), for ConvolutionDepthWise (groups,). None in a float layer.
    input_scale, output_scale
        Factors that make int8 of the blobs; the output's only where the layer requantizes it.
    """

    values: np.ndarray
    bias: np.ndarray | None
    scales: np.ndarray | None = None
    input_scale: float | None = None
    output_scale: float | None = None


@dataclass(frozen=True, eq=False)
class Net:
    """A network: its layers in order, and the weights of its convolutions by name of layer."""

    layers: tuple[Layer, ...]
    weights: Mapping[str, Weights]


def read_net(param: Path, weights: Path) -> Net:
    """Read `.param` and `.bin` of a float network; raises `GateError` where pnnx wrote what is not known here."""
    layers = parse_param(param.read_text(encoding="ascii"))
    return Net(layers, parse_bin(weights.read_bytes(), layers))


def write_net(net: Net, param: Path, weights: Path) -> None:
    """Write `.param` and `.bin`."""
    param.write_text(format_param(net.layers), encoding="ascii", newline="\n")
    weights.write_bytes(format_bin(net))


def parse_param(text: str) -> tuple[Layer, ...]:
    """Return the layers of a `.param` text."""
    magic, _, *lines = text.splitlines()
    if magic != MAGIC:
        raise GateError(f"got {magic!r:.40} on line 1 of .param, expected {MAGIC}; nothing was written. Use the pinned pnnx")
    layers = []
    for line in lines:
        kind, name, ins, outs, *words = line.split()
        first, after = int(ins), int(ins) + int(outs)
        params = dict(word.split("=", 1) for word in words[after:])
        layers.append(Layer(kind, name, tuple(words[:first]), tuple(words[first:after]), params))
    return tuple(layers)


def format_param(layers: Sequence[Layer]) -> str:
    """Return the text of `.param`, in pnnx's columns."""
    lines = [MAGIC, f"{len(layers)} {sum(len(layer.tops) for layer in layers)}"]
    for layer in layers:
        words = [str(len(layer.bottoms)), str(len(layer.tops)), *layer.bottoms, *layer.tops]
        words += [f"{key}={value}" for key, value in layer.params.items()]
        lines.append(f"{layer.kind:<24} {layer.name:<24} {' '.join(words)}")
    return "\n".join(lines) + "\n"


def parse_bin(content: bytes, layers: Sequence[Layer]) -> dict[str, Weights]:
    """Return the weights of every convolution of `layers`; raises `GateError` where `content` is not exactly those."""
    at, found = 0, {}
    for layer in layers:
        if layer.is_convolution:
            found[layer.name], at = _parse_weights(content, at, layer)
    if at != len(content):
        raise GateError(
            f"got {len(content)} bytes in .bin, expected {at} as .param says; nothing was written. Use pnnx as pinned"
        )
    return found


def group_count(layer: Layer) -> int:
    """Return in how many groups of channels a convolution works; 1 is an ordinary one."""
    return layer.integer(GROUPS, 1) if layer.kind == DEPTHWISE else 1


def _parse_weights(content: bytes, at: int, layer: Layer) -> tuple[Weights, int]:
    """Return the float weights of `layer`, which start at byte `at`, and where the next ones start."""
    outputs, columns = layer.integer(OUTPUTS, 0), layer.integer(KERNEL_W, 0)
    shape = (outputs, -1, layer.integer(KERNEL_H, columns), columns)
    dtype, number = DTYPES[struct.unpack_from("<I", content, at)[0]], layer.integer(WEIGHTS, 0)
    values = np.frombuffer(content, dtype, number, at + 4).reshape(shape)
    at += 4 + _padded(number * dtype.itemsize)
    if not layer.integer(BIAS, 0):
        return Weights(values, None), at
    return Weights(values, np.frombuffer(content, "<f4", outputs, at)), at + 4 * outputs


def format_bin(net: Net) -> bytes:
    """Return the bytes of `.bin`."""
    parts = []
    for layer in net.layers:
        if layer.is_convolution:
            weights = net.weights[layer.name]
            stored = weights.values.tobytes()
            padding = bytes(_padded(len(stored)) - len(stored))
            parts += [struct.pack("<I", TAGS[weights.values.dtype]), stored, padding]
            parts += [array.astype("<f4").tobytes() for array in (weights.bias, weights.scales) if array is not None]
            blobs = (weights.input_scale, weights.output_scale)
            parts += [struct.pack("<f", scale) for scale in blobs if scale is not None]
    return b"".join(parts)


def _padded(size: int) -> int:
    return -(-size // 4) * 4
