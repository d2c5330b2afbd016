"""ncnn's two files: `.param`, the graph as text, and `.bin`, the weights of its layers one after another.

Facts are from ncnn's loaders (src/net.cpp, paramdict.cpp, modelbin.cpp, layer/convolution*.cpp of release 20261020). ncnn
believes both files: to it an unknown blob is one more input, and bytes that are left over are no fault. Here both are refused.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import InputError

MAGIC = "7767517"
AGAIN = "export it again with export/to_ncnn.py"
CONVOLUTION, DEPTHWISE = "Convolution", "ConvolutionDepthWise"
# Layers without weights. Any other may have some, and then nobody could say where the next layer's begin.
PLAIN = frozenset({
    "BinaryOp", "Clip", "Concat", "Crop", "Flatten", "HardSigmoid", "HardSwish", "Input", "Interp", "Mish", "Noop", "Padding",
    "Permute", "PixelShuffle", "Pooling", "ReLU", "Reorg", "Reshape", "Sigmoid", "Slice", "Softmax", "Split", "Swish", "TanH",
    "UnaryOp",
})  # fmt: skip
# Tag of a weight blob -> the numbers in it
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 0x01306B47: np.dtype("<f2"), 0x000D4B38: np.dtype("i1")}
TAGS = {dtype: tag for tag, dtype in DTYPES.items()}
OLD_ARRAY = -23300  # the key of an array is -23300 - ID, its value starts with the length

# Keys of Convolution and ConvolutionDepthWise that are needed here
OUTPUTS, KERNEL_W, KERNEL_H, BIAS, WEIGHTS, GROUPS, INT8_SCALES = 0, 1, 11, 5, 6, 7, 8
ACTIVATION, ACTIVATION_VALUES, DYNAMIC_WEIGHTS, SWITCHED_OFF = 9, 10, 19, 31
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
        text = self.params.get(str(key))
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise InputError(f"layer {self.name}: got {key}={text}, expected a whole number; {AGAIN}") from None

    def floats(self, key: int) -> tuple[float, ...]:
        """Return the numbers of the array under `key`, in either notation; none where it is absent."""
        old, new = self.params.get(str(OLD_ARRAY - key)), self.params.get(str(key))
        text = old if old is not None else new
        try:
            values = tuple(float(word) for word in (text or "").split(",") if word)
        except ValueError:
            raise InputError(f"layer {self.name}: got {key}={text}, expected numbers with commas between; {AGAIN}") from None
        if old is None:
            return values
        if not values or values[0] != len(values) - 1:
            raise InputError(f"layer {self.name}: got {OLD_ARRAY - key}={text}, expected a count and so many numbers; {AGAIN}")
        return values[1:]

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
    """Read `.param` and `.bin`; raises `InputError` where either is malformed or they are of two networks."""
    try:
        text, content = param.read_text(encoding="ascii"), weights.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read an ncnn network: {error}; {AGAIN}") from error
    try:
        layers = parse_param(text)
    except InputError as error:
        raise InputError(f"{param}: {error}") from error
    try:
        return Net(layers, parse_bin(content, layers))
    except InputError as error:
        raise InputError(f"{weights}: {error}") from error


def write_net(net: Net, param: Path, weights: Path) -> None:
    """Write `.param` and `.bin`, as `read_net` reads them."""
    param.write_text(format_param(net.layers), encoding="ascii", newline="\n")
    weights.write_bytes(format_bin(net))


def parse_param(text: str) -> tuple[Layer, ...]:
    """Return the layers of a `.param` text, checked as a graph; raises `InputError` naming the line that is wrong."""
    lines = [line.split() for line in text.splitlines()]
    if lines[:1] != [[MAGIC]]:
        got = " ".join(lines[0])[:40] if lines else "no line"
        raise InputError(f"got {got!r} on line 1, expected ncnn's magic number {MAGIC}; {AGAIN}")
    counts = lines[1] if len(lines) > 1 else []
    if len(counts) != 2 or not all(word.isdecimal() for word in counts):
        raise InputError(f"got {' '.join(counts)!r} on line 2, expected the numbers of layers and blobs; {AGAIN}")
    layers = tuple(_parse_line(words, number) for number, words in enumerate(lines[2:], start=3))
    if len(layers) != int(counts[0]):
        raise InputError(f"got {len(layers)} layers, expected {counts[0]} as line 2 says; {AGAIN}")
    blobs = _check_graph(layers)
    if blobs != int(counts[1]):
        raise InputError(f"got {blobs} blobs, expected {counts[1]} as line 2 says; {AGAIN}")
    return layers


def format_param(layers: Sequence[Layer]) -> str:
    """Return the text of `.param`, in pnnx's columns."""
    lines = [MAGIC, f"{len(layers)} {sum(len(layer.tops) for layer in layers)}"]
    for layer in layers:
        words = [str(len(layer.bottoms)), str(len(layer.tops)), *layer.bottoms, *layer.tops]
        words += [f"{key}={value}" for key, value in layer.params.items()]
        lines.append(f"{layer.kind:<24} {layer.name:<24} {' '.join(words)}")
    return "\n".join(lines) + "\n"


def _parse_line(words: list[str], number: int) -> Layer:
    line = f"line {number}"
    if len(words) < 4 or not words[2].isdecimal() or not words[3].isdecimal():
        got = " ".join(words)[:60]
        raise InputError(f"got {got!r} on {line}, expected type, name, and how many blobs go in and out; {AGAIN}")
    first, after = 4 + int(words[2]), 4 + int(words[2]) + int(words[3])
    blobs, params = words[4:after], {}
    if len(words) < after or any("=" in name for name in blobs):
        raise InputError(f"got too few names of blobs on {line}, expected {words[2]} in and {words[3]} out; {AGAIN}")
    for word in words[after:]:
        key, equals, value = word.partition("=")
        if not equals or not value or not key.removeprefix("-").isdecimal() or key in params:
            raise InputError(f"got {word!r} on {line}, expected KEY=VALUE with a whole number, every key once; {AGAIN}")
        params[key] = value
    return Layer(words[0], words[1], tuple(words[4:first]), tuple(blobs[first - 4 :]), params)


def _check_graph(layers: Sequence[Layer]) -> int:
    """Return the number of blobs; every one is made once, before it is read, and read once (else ncnn wants a Split)."""
    made: set[str] = set()
    used: set[str] = set()
    names: set[str] = set()
    for layer in layers:
        for blob in layer.bottoms:
            if blob not in made:
                raise InputError(f"layer {layer.name}: got the unknown blob {blob!r}, expected one of a layer before; {AGAIN}")
            if blob in used:
                raise InputError(f"layer {layer.name}: got blob {blob!r} a second time, expected a Split before; {AGAIN}")
            used.add(blob)
        for blob in layer.tops:
            if blob in made:
                raise InputError(f"layer {layer.name}: got blob {blob!r}, which is made already, expected a new one; {AGAIN}")
            made.add(blob)
        if layer.name in names:
            raise InputError(f"got two layers {layer.name!r}, expected a name for each; {AGAIN}")
        names.add(layer.name)
    return len(made)


class _Cursor:
    """Hands out the bytes of `.bin` in order."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, size: int, what: str) -> bytes:
        left = len(self.content) - self.at
        if size > left:
            raise InputError(f"got {left} bytes for {what}, expected {size}: the file is truncated or of another .param; {AGAIN}")
        self.at += size
        return self.content[self.at - size : self.at]

    def floats(self, count: int, what: str) -> np.ndarray:
        return np.frombuffer(self.take(4 * count, what), "<f4")


def parse_bin(content: bytes, layers: Sequence[Layer]) -> dict[str, Weights]:
    """Return the weights of every convolution of `layers`; raises `InputError` where `content` is not exactly those."""
    cursor, found = _Cursor(content), {}
    for layer in layers:
        if layer.is_convolution:
            found[layer.name] = _parse_weights(cursor, layer)
        elif layer.kind not in PLAIN:
            kinds = ", ".join(sorted({CONVOLUTION, DEPTHWISE} | PLAIN))
            raise InputError(f"layer {layer.name}: got type {layer.kind}, whose weights are not known here, expected {kinds}")
    left = len(content) - cursor.at
    if left:
        raise InputError(f"got {left} bytes beyond the {cursor.at} that .param describes, expected none; {AGAIN}")
    return found


def weight_shape(layer: Layer) -> tuple[int, int, int, int]:
    """Return (outputs, inputs of a group, kernel rows, kernel columns) of a convolution; `InputError` where they do not fit."""
    outputs, columns, size = (layer.integer(key, 0) for key in (OUTPUTS, KERNEL_W, WEIGHTS))
    rows, groups = layer.integer(KERNEL_H, columns), group_count(layer)
    if min(outputs, columns, rows, size, groups) < 1 or outputs % groups or size % (outputs * rows * columns):
        got = f"{size} weights for {outputs} outputs of {rows} x {columns} in {groups} groups"
        raise InputError(f"layer {layer.name}: got {got}, expected numbers above 0 that divide; {AGAIN}")
    if layer.integer(DYNAMIC_WEIGHTS, 0):
        raise InputError(f"layer {layer.name}: got weights that come as a blob, expected weights in .bin; {AGAIN}")
    return outputs, size // (outputs * rows * columns), rows, columns


def group_count(layer: Layer) -> int:
    """Return in how many groups of channels a convolution works; 1 is an ordinary one."""
    return layer.integer(GROUPS, 1) if layer.kind == DEPTHWISE else 1


def _scale_count(layer: Layer) -> int:
    """Return how many weight scales `.bin` holds for `layer`: 0 in a float one."""
    term = layer.integer(INT8_SCALES, 0)
    good = (0, 1, 2, 101, 102) if layer.kind == DEPTHWISE else (0, 2, 102)
    if term not in good:
        raise InputError(f"layer {layer.name}: got {INT8_SCALES}={term}, expected one of {', '.join(map(str, good))}; {AGAIN}")
    if term == 0:
        return 0
    if layer.kind == CONVOLUTION:
        return layer.integer(OUTPUTS, 0)
    return group_count(layer) if term % REQUANTIZED == 1 else 1


def _parse_weights(cursor: _Cursor, layer: Layer) -> Weights:
    shape, count = weight_shape(layer), _scale_count(layer)
    of = f"of layer {layer.name}"
    (tag,) = struct.unpack("<I", cursor.take(4, f"the tag {of}"))
    if tag not in DTYPES:
        known = ", ".join(f"{known:#x}" for known in DTYPES)
        raise InputError(f"layer {layer.name}: got tag {tag:#x}, expected one of {known} (float32, float16, int8); {AGAIN}")
    dtype, number = DTYPES[tag], int(np.prod(shape))
    stored = cursor.take(_padded(number * dtype.itemsize), f"the weights {of}")
    values = np.frombuffer(stored, dtype, number).reshape(shape)
    bias = cursor.floats(shape[0], f"the bias {of}") if layer.integer(BIAS, 0) else None
    if not count:
        return Weights(values, bias)
    scales = cursor.floats(count, f"the weight scales {of}")
    into = float(cursor.floats(1, f"the input scale {of}")[0])
    fused = layer.integer(INT8_SCALES, 0) > REQUANTIZED
    return Weights(values, bias, scales, into, float(cursor.floats(1, f"the output scale {of}")[0]) if fused else None)


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
