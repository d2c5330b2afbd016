"""Checks `.param` and `.bin` before ncnn reads them: ncnn trusts both, and crashes on numbers that do not fit together.

Every layer must be of a known kind with known keys, and the shape of every blob is computed and bounded.
`cpp_demo/core/network/net_check.cpp` and `net_shapes.cpp` have the same rules; a test compares the verdicts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from edge_runtime.errors import InputError

MAGIC = "7767517"
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
SAME_SHAPE = ("Clip", "HardSigmoid", "HardSwish", "Noop", "ReLU", "Sigmoid", "Split")
KEYS: dict[str, frozenset[int]] = {  # kind of layer -> keys that it may have; see ncnn's operation list
    **dict.fromkeys(CONVOLUTIONS, frozenset({*range(12), *range(12, 17), 19})),
    **dict.fromkeys(SAME_SHAPE, frozenset({0, 1})),
    "BinaryOp": frozenset({0, 1, 2}),
    "Concat": frozenset({0}),
    "Input": frozenset({0, 1, 2}),
    "Interp": frozenset({0, 1, 2, 3, 4, 5, 6}),
    "Padding": frozenset({0, 1, 2, 3, 4, 5, 7, 8}),
    "PixelShuffle": frozenset({0, 1}),
    "Pooling": frozenset({*range(9), *range(11, 16), 18}),
    "Reorg": frozenset({0, 1}),
    "Slice": frozenset({0, 1}),
}
MOST_LAYERS, MOST_BLOBS_OF_LAYER, MOST_WORD = 4096, 64, 255
MOST_VALUE, MOST_WEIGHTS, MOST_IN_BLOB = 1 << 20, 1 << 28, 1 << 28
COUNT, NUMBER = re.compile(r"[0-9]{1,7}"), re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
BYTES_OF_TAG = {0: 4, 0x01306B47: 2, 0x000D4B38: 1}  # float32, float16, int8
ACTIVATION_VALUES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 0, 5: 0, 6: 2}  # none, ReLU, leaky, clip, sigmoid, mish, hard swish
AGAIN = "; export the artifact again"
Shape = tuple[int, ...]  # (channels, height, width), or (channels,) after global pooling


@dataclass
class Layer:
    """A line of `.param`: single numbers and arrays by key."""

    kind: str
    name: str
    bottoms: list[str]
    tops: list[str]
    numbers: dict[int, float] = field(default_factory=dict)
    arrays: dict[int, list[float]] = field(default_factory=dict)

    def whole(self, key: int, low: int, high: int, otherwise: int) -> int:
        """Return the whole number under `key`, from `low` to `high`; `otherwise` where the layer has no such key."""
        number = self.numbers.get(key, otherwise)
        if key in self.arrays or (key in self.numbers and not (low <= number <= high and number == math.floor(number))):
            raise self.fault()
        return int(number)

    def fault(self) -> InputError:
        """Return the error for numbers that ncnn must not see."""
        what = "a convolution" if self.kind in CONVOLUTIONS else self.kind
        return InputError(f"layer {self.name!r:.40}: got numbers of {what} that do not fit together{AGAIN}")


def check_ncnn(param: bytes, weights: bytes, size: tuple[int, int]) -> None:
    """Raise `InputError` for the first thing in the two files that no network of ours has; `size` is the image's."""
    at = 0
    int8: set[str] = set()  # blobs of convolutions that hand on int8, which only an int8 convolution takes
    shapes: dict[str, Shape] = {}
    borrowed: set[str] = set()  # blobs in the caller's memory, where ncnn crashes when a layer works in place
    for layer in _parse(param):
        if layer.kind in CONVOLUTIONS:
            tag = int.from_bytes(weights[at : at + 4], "little") if len(weights) - at >= 4 else -1
            expected, left = _convolution_bytes(layer, tag), len(weights) - at
            if expected > left:
                raise InputError(f"layer {layer.name!r:.40}: got {left} bytes in .bin, expected {expected}{AGAIN}")
            at += expected
        if layer.kind in ("Input", "Split") and borrowed.issuperset(layer.bottoms):
            borrowed.update(layer.tops)
        elif layer.kind in (*SAME_SHAPE, "BinaryOp") and borrowed.intersection(layer.bottoms):
            raise InputError(f"layer {layer.name!r:.40}: got {layer.kind} on the image itself, expected a convolution{AGAIN}")
        term = layer.whole(8, 0, 102, 0) if layer.kind in CONVOLUTIONS else 0
        if int8.intersection(layer.bottoms) and not term:
            raise InputError(f"layer {layer.name!r:.40}: got int8 from the layer before, expected float{AGAIN}")
        int8.update(layer.tops if term > 100 else ())
        made = [(3, *size)] if layer.kind == "Input" else _shapes(layer, [shapes.pop(blob) for blob in layer.bottoms])
        if len(made) != len(layer.tops) or any(min(shape) < 1 or math.prod(shape) > MOST_IN_BLOB for shape in made):
            raise layer.fault()
        shapes.update(zip(layer.tops, made, strict=True))
    if at != len(weights):
        raise InputError(f"got {len(weights) - at} bytes in .bin beyond what .param describes, expected 0{AGAIN}")


def _shapes(layer: Layer, given: list[Shape]) -> list[Shape]:
    """Return the shapes of the blobs that `layer` makes of blobs with the shapes `given`."""
    first = given[0]
    if layer.kind == "BinaryOp":
        return [_of_pair(layer, given)]
    if layer.kind == "Concat":
        if layer.whole(0, 0, 0, 0) or any(len(shape) != 3 or shape[1:] != first[1:] for shape in given):
            raise layer.fault()
        return [(sum(shape[0] for shape in given), *first[1:])]
    if len(given) != 1:
        raise layer.fault()
    if layer.kind in SAME_SHAPE:
        return [first] * (len(layer.tops) if layer.kind == "Split" else 1)
    if layer.kind in CONVOLUTIONS:
        return [_convolved(layer, first)]
    if len(first) != 3:
        raise layer.fault()
    channels, height, width = first
    if layer.kind == "Slice":
        parts = [int(part) for part in layer.arrays.get(0, []) if part >= 1 and part == math.floor(part)]
        if layer.whole(1, 0, 0, 0) or sum(parts) != channels or len(parts) != len(layer.arrays.get(0, [])):
            raise layer.fault()
        return [(part, height, width) for part in parts]
    if layer.kind == "Padding":
        top, bottom, left, right = (layer.whole(key, 0, 64, 0) for key in range(4))
        if layer.whole(4, 0, 1, 0) or layer.whole(7, 0, 0, 0) or layer.whole(8, 0, 0, 0):
            raise layer.fault()
        return [(channels, top + height + bottom, left + width + right)]
    if layer.kind == "Interp":
        if layer.whole(0, 1, 2, 0) == 0 or layer.whole(5, 0, 0, 0) or layer.whole(6, 0, 0, 0):
            raise layer.fault()
        sides = layer.whole(3, 0, 1 << 14, 0), layer.whole(4, 0, 1 << 14, 0)
        if 0 in sides:
            scales = layer.numbers.get(1, 1.0), layer.numbers.get(2, 1.0)
            sides = math.floor(height * scales[0]), math.floor(width * scales[1])
        return [(channels, *sides)]
    if layer.kind in ("PixelShuffle", "Reorg"):
        side = layer.whole(0, 1, 64, 1)
        layer.whole(1, 0, 1, 0)
        if layer.kind == "Reorg":
            return [(channels * side * side, height // side, width // side)]
        if channels % (side * side):
            raise layer.fault()
        return [(channels // (side * side), height * side, width * side)]
    return [_pooled(layer, channels, height, width)]


def _of_pair(layer: Layer, given: list[Shape]) -> Shape:
    layer.whole(0, 0, 11, 0)
    if len(given) == 1 and layer.whole(1, 0, 1, 0) == 1:
        return given[0]
    if len(given) != 2 or layer.whole(1, 0, 0, 0):
        raise layer.fault()
    large, small = sorted(given, key=math.prod, reverse=True)
    if large != small and small not in ((large[0],), (large[0], 1, 1)):
        raise layer.fault()
    return large


def _convolved(layer: Layer, shape: Shape) -> Shape:
    channels, height, width = shape if len(shape) == 3 else (shape[0], 1, 1)
    columns = layer.whole(1, 1, 64, 0)
    rows = layer.whole(11, 1, 64, columns)
    left = layer.whole(4, 0, 64, 0)
    top, right = layer.whole(14, 0, 64, left), layer.whole(15, 0, 64, left)
    bottom = layer.whole(16, 0, 64, top)
    groups = layer.whole(7, 1, 1 << 14, 1) if layer.kind == "ConvolutionDepthWise" else 1
    outputs = layer.whole(0, 1, 1 << 14, 0)
    values = ACTIVATION_VALUES[layer.whole(9, 0, 6, 0)]
    fits = channels % groups == 0 and layer.whole(6, 1, MOST_WEIGHTS, 0) == channels // groups * outputs * rows * columns
    if not fits or len(layer.arrays.get(10, [])) < values or (len(shape) == 1 and (rows, columns, left, top) != (1, 1, 0, 0)):
        raise layer.fault()
    dilated_rows, dilated_columns = layer.whole(12, 1, 64, layer.whole(2, 1, 64, 1)), layer.whole(2, 1, 64, 1)
    stride_rows, stride_columns = layer.whole(13, 1, 64, layer.whole(3, 1, 64, 1)), layer.whole(3, 1, 64, 1)
    made = (
        (top + height + bottom - dilated_rows * (rows - 1) - 1) // stride_rows + 1,
        (left + width + right - dilated_columns * (columns - 1) - 1) // stride_columns + 1,
    )
    return (outputs,) if len(shape) == 1 else (outputs, *made)


def _pooled(layer: Layer, channels: int, height: int, width: int) -> Shape:
    layer.whole(0, 0, 1, 0), layer.whole(6, 0, 1, 0)
    if layer.whole(4, 0, 1, 0):
        return (channels,)
    if layer.whole(7, 0, 1, 0):
        out_width = layer.whole(8, 1, width, 0)
        return (channels, layer.whole(18, 1, height, out_width), out_width)
    columns = layer.whole(1, 1, 64, 0)
    rows = layer.whole(11, 1, 64, columns)
    strides = layer.whole(12, 1, 64, layer.whole(2, 1, 64, 1)), layer.whole(2, 1, 64, 1)
    left = layer.whole(3, 0, 63, 0)
    top, right = layer.whole(13, 0, 63, left), layer.whole(14, 0, 63, left)
    bottom = layer.whole(15, 0, 63, top)
    if 0 in (rows, columns) or max(left, right) >= columns or max(top, bottom) >= rows:
        raise layer.fault()
    free = top + height + bottom - rows, left + width + right - columns
    rounded = layer.whole(5, 0, 1, 0) == 0  # sides are rounded up
    made = ((-(-room // stride) if rounded else room // stride) + 1 for room, stride in zip(free, strides, strict=True))
    return (channels, *(side if room >= 0 else 0 for side, room in zip(made, free, strict=True)))


def _parse(param: bytes) -> list[Layer]:
    if not all(32 <= byte <= 126 or byte in b"\n\r\t" for byte in param):
        raise InputError(f"got bytes in .param that are not plain text, expected ncnn's text format{AGAIN}")
    lines = [line for line in re.split(r"[\r\n]+", param.decode("ascii")) if line] + ["", ""]
    if lines[0].split() != [MAGIC]:
        raise InputError(f"got {lines[0]!r:.40} on line 1 of .param, expected {MAGIC}{AGAIN}")
    counts, body = lines[1].split(), lines[2:-2]
    fits = len(counts) == 2 and all(COUNT.fullmatch(word) for word in counts)
    if not fits or int(counts[0]) != len(body) or len(body) > MOST_LAYERS:
        expected = f"the numbers of layers, {len(body)}, and blobs"
        raise InputError(f"got {lines[1]!r:.40} on line 2 of .param, expected {expected}{AGAIN}")
    layers = [_parse_line(line, number) for number, line in enumerate(body, 3)]
    made = _check_graph(layers)
    if made != int(counts[1]):
        raise InputError(f"got {made} blobs in .param, expected {counts[1]} as its line 2 says{AGAIN}")
    return layers


def _parse_line(line: str, number: int) -> Layer:
    where, words = f"on line {number} of .param, expected", line.split()
    counts = [int(word) for word in words[2:4] if COUNT.fullmatch(word)]
    names = 4 + sum(counts)
    if len(counts) < 2 or max(counts) > MOST_BLOBS_OF_LAYER or len(words) < names or max(map(len, words[:names])) > MOST_WORD:
        raise InputError(f"got {line!r:.40} {where} type, name, and how many blobs go in and out{AGAIN}")
    layer = Layer(words[0], words[1], words[4 : 4 + counts[0]], words[4 + counts[0] : names])
    if layer.kind not in KEYS:
        raise InputError(f"got a layer of type {layer.kind!r:.40} {where} one that this program knows{AGAIN}")
    if any("=" in word for word in words[4:names]):
        raise InputError(f"got too few names of blobs {where} as many as it says{AGAIN}")
    keys: set[int] = set()
    for word in words[names:]:
        if not _parse_value(word, keys, layer):
            raise InputError(f"got {word!r:.40} {where} KEY=NUMBER, every key once and of this layer{AGAIN}")
    return layer


def _parse_value(word: str, keys: set[int], layer: Layer) -> bool:
    """Read KEY=VALUE, or KEY=COUNT,VALUE,... for an array, into `layer`; returns whether it is well formed."""
    key_text, equals, value = word.partition("=")
    negative = key_text.startswith("-")
    if not equals or not COUNT.fullmatch(key_text.removeprefix("-")):
        return False
    key = int(key_text) if not negative else -23300 - int(key_text)  # the key of an array is -23300 - ID
    if key not in KEYS[layer.kind] or key in keys:
        return False
    keys.add(key)
    most = MOST_WEIGHTS if key == 6 and layer.kind in CONVOLUTIONS else MOST_VALUE
    texts = [text for text in value.split(",") if text]
    if not texts or not all(len(text) <= 24 and NUMBER.fullmatch(text) and abs(float(text)) <= most for text in texts):
        return False
    numbers = [float(text) for text in texts]
    if negative:
        layer.arrays[key] = numbers[1:]
        return numbers[0] == len(numbers) - 1
    if len(numbers) > 1 or "," in value:
        return False  # an array of newer ncnn, which our writers do not use
    layer.numbers[key] = numbers[0]
    return True


def _check_graph(layers: list[Layer]) -> int:
    """Check that every blob is made once, before it is read, and is read once; returns how many there are."""
    made: set[str] = set()
    used: set[str] = set()
    names: set[str] = set()
    for layer in layers:
        source = layer.kind == "Input"
        for blob in layer.bottoms:
            if blob not in made or blob in used:
                expected = "one that a layer before makes and no other reads"
                raise InputError(f"layer {layer.name!r:.40}: got blob {blob!r:.40}, expected {expected}{AGAIN}")
            used.add(blob)
        for blob in layer.tops:
            if blob in made:
                raise InputError(f"layer {layer.name!r:.40}: got blob {blob!r:.40}, expected a new one{AGAIN}")
            made.add(blob)
        if source == bool(layer.bottoms) or not layer.tops or layer.name in names:
            expected = "a name of its own, and blobs that go in (into an Input none) and out"
            raise InputError(f"layer {layer.name!r:.40}: expected {expected}{AGAIN}")
        names.add(layer.name)
    return len(made)


def _convolution_bytes(layer: Layer, tag: int) -> int:
    """Return the bytes of a convolution in `.bin`, of weights with `tag`, after checking that its numbers fit together."""
    depthwise = layer.kind == "ConvolutionDepthWise"
    outputs, columns = layer.whole(0, 1, 1 << 14, 0), layer.whole(1, 1, 64, 0)
    rows, size = layer.whole(11, 1, 64, columns), layer.whole(6, 1, MOST_WEIGHTS, 0)
    bias, term = layer.whole(5, 0, 1, 0), layer.whole(8, 0, 102, 0)
    groups = layer.whole(7, 1, 1 << 14, 1) if depthwise else 1
    for key in (2, 3, 12, 13):  # dilations and strides
        layer.whole(key, 1, 64, 1)
    layer.whole(19, 0, 0, 0)  # weights that another layer computes
    if 0 in (outputs, columns, size) or outputs % groups or size % (outputs * rows * columns):
        raise layer.fault()
    if term not in (0, 2, 102) and not (depthwise and term in (1, 101)):
        raise layer.fault()
    each = BYTES_OF_TAG.get(tag, 0)
    if each == 0 or (each == 1 and term == 0):
        raise InputError(f"layer {layer.name!r:.40}: got weights of an unknown kind in .bin{AGAIN}")
    floats = bias * outputs
    if term:
        floats += outputs if not depthwise else groups if term % 100 == 1 else 1  # scales of the weights
        floats += 2 if term > 100 else 1  # and of the blobs
    return 4 + (size * each + 3) // 4 * 4 + floats * 4
