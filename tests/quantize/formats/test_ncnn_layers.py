"""int8 layers in the stock ncnn runtime, each against its arithmetic in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np
import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.backends.ncnn_net import SAME_EVERYWHERE
from edge_runtime.images.network_input import Size, to_nchw
from export.parity import parity_images
from quantize.calibration.ranges import METHODS, Method
from quantize.formats.ncnn_file import DEPTHWISE, Layer, Net, Weights, format_param, parse_param, read_net, write_net
from quantize.formats.ncnn_int8 import METHOD, find_limits, keep_float, quantize_net, round_to_int8

pytestmark = pytest.mark.slow
# ncnn's x86 kernel of depthwise layers takes the reciprocal of a scale from the CPU's estimate (rcpps), which is good to
# 1.5 * 2^-12 of its value; all others divide. Sums are exact in 32 bits, so that nothing else but float32 rounding differs.
RECIPROCAL = 1.5 * 2.0**-12
ROUNDING = 2.0**-20


def integer_sums(layer: Layer, weights: Weights, blob: np.ndarray) -> np.ndarray:
    """Return the exact sums of a convolution over an int8 blob (C, H, W), as (outputs, rows, columns) int64."""
    pad, stride = layer.integer(4, 0), layer.integer(3, 1)
    padded = np.pad(blob.astype(np.int64), ((0, 0), (pad, pad), (pad, pad)))
    outputs, inputs, rows, columns = weights.values.shape
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), (1, 2))[:, ::stride, ::stride]
    groups = len(blob) // inputs
    windows = windows.reshape(groups, inputs, *windows.shape[1:])
    kernels = weights.values.astype(np.int64).reshape(groups, outputs // groups, inputs, rows, columns)
    return np.einsum("gihwyx,goiyx->gohw", windows, kernels).reshape(outputs, *windows.shape[2:4])


def activated(layer: Layer, values: np.ndarray) -> np.ndarray:
    """Apply the activation that is part of `layer`."""
    kind, numbers = layer.integer(9, 0), [float(word) for word in layer.params.get("-23310", "").split(",")[1:]]
    if kind == 0:
        return values
    if kind == 1:
        return np.maximum(values, 0)
    if kind == 2:
        return np.where(values > 0, values, values * numbers[0])
    assert kind == 3, "an activation that the reference does not know"
    return np.clip(values, *numbers)


def check_layers(net: Net, blobs: dict[str, np.ndarray]) -> dict[str, int]:
    """Compare every int8 layer of `net` with the reference, given ncnn's blobs; return how many layers had each scale term.

    A layer starts from ncnn's own input blob, so that differences do not add up. int8 blobs come as float32 whole numbers.
    """
    terms: dict[str, int] = {}
    requantized: set[str] = set()
    for layer in net.layers:
        term = layer.params.get("8")
        if term is not None:
            weights, blob = net.weights[layer.name], blobs[layer.bottoms[0]]
            assert weights.input_scale is not None
            q = blob if layer.bottoms[0] in requantized else round_to_int8(blob * np.float32(weights.input_scale))
            check_layer(layer, weights, q, blobs[layer.tops[0]])
            requantized |= set(layer.tops) if weights.output_scale is not None else set()
            terms[f"{layer.kind} {term}"] = terms.get(f"{layer.kind} {term}", 0) + 1
    return terms


def check_layer(layer: Layer, weights: Weights, q: np.ndarray, got: np.ndarray) -> None:
    """Compare what ncnn made of an int8 blob with the reference in float64."""
    assert weights.scales is not None and weights.input_scale is not None
    repeats = len(weights.values) // len(weights.scales)
    unit = (1 / (weights.input_scale * weights.scales.astype(np.float64))).repeat(repeats)[:, None, None]
    scaled = integer_sums(layer, weights, q) * unit
    biased = scaled + (0 if weights.bias is None else weights.bias.astype(np.float64)[:, None, None])
    expected = activated(layer, biased)
    error = RECIPROCAL if layer.kind == DEPTHWISE else ROUNDING
    tolerance = np.abs(scaled) * error + np.abs(biased) * ROUNDING + 1e-7
    if layer.kind != DEPTHWISE and weights.values.shape[2:] == (3, 3) and layer.integer(3, 1) == 1:
        # Winograd divides a multiple of 576 in float32 and cuts off: from 1.8 million on, sums may lose 1
        tolerance = tolerance + unit
    if weights.output_scale is not None:
        # q is right where it is what some value within the tolerance rounds to.
        expected = np.clip(expected * weights.output_scale, -127, 127)
        tolerance = 0.5 + tolerance * weights.output_scale
        assert np.array_equal(got, np.rint(got))
    assert got.shape == expected.shape
    assert np.all(np.abs(got - expected) <= tolerance), (layer, float((np.abs(got - expected) / tolerance).max()))


def run_ncnn(files: Sequence[Path], planes: np.ndarray, blobs: Sequence[str]) -> dict[str, np.ndarray]:
    """Return blobs of the network in `files` (.param, .bin) from the stock runtime, as (C, H, W) float32."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    for option in SAME_EVERYWHERE:
        setattr(net.opt, option, False)
    assert net.load_param(str(files[0])) == 0 and net.load_model(str(files[1])) == 0
    extractor = net.create_extractor()
    extractor.set_light_mode(False)
    assert extractor.input("in0", ncnn.Mat(planes)) == 0  # `planes` must live as long as the extractor
    found = {}
    for blob in blobs:
        code, mat = extractor.extract(blob)
        assert code == 0
        values = np.array(mat)
        found[blob] = values[None] if values.ndim == 2 else values
    return found


def all_blobs(net: Net) -> list[str]:
    """Return the names of the blobs of `net`."""
    return [blob for layer in net.layers for blob in layer.tops]


def chain(words: Sequence[str], rng: np.random.Generator) -> Net:
    """Return a float network of random weights; `words` are its layers, type and params, one after another."""
    lines = ["Input in0 0 1 in0"]
    for index, text in enumerate(words):
        kind, _, params = text.partition(" ")
        lines.append(f"{kind} layer{index} 1 1 {index or 'in0'} {index + 1} {params}")
    layers = parse_param("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]))
    weights = {}
    for layer in layers[1:]:
        outputs, side, size = layer.integer(0, 0), layer.integer(1, 0), layer.integer(6, 0)
        values = rng.normal(size=(outputs, size // (outputs * side * side), side, side))
        values *= rng.uniform(0.1, 4, (outputs, 1, 1, 1)) / np.sqrt(values[0].size)  # channels of different ranges
        bias = rng.normal(size=outputs).astype(np.float32) if layer.integer(5, 0) else None
        weights[layer.name] = Weights(values.astype(np.float32), bias)
    return Net(layers, weights)


def convolution(inputs: int, outputs: int, side: int, stride: int, more: str = "", groups: int = 0) -> str:
    """Return a layer of `chain` that keeps the size, or halves it; more than 0 groups make it ConvolutionDepthWise."""
    size = outputs * inputs // max(groups, 1) * side * side
    text = f"0={outputs} 1={side} 3={stride} 4={side // 2} 6={size} {more}"
    return f"{DEPTHWISE} {text} 7={groups}" if groups else f"Convolution {text}"


PLAIN, BIAS, RELU, LEAKY, CLIP = "5=0", "5=1", "5=1 9=1", "5=0 9=2 -23310=1,0.1", "5=1 9=3 -23310=2,0.0,1.5"


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("more", [PLAIN, BIAS, RELU, LEAKY, CLIP])
@pytest.mark.parametrize(
    ("inputs", "outputs", "side", "stride", "groups"),
    [
        (3, 16, 3, 2, 0), (16, 24, 1, 1, 0), (24, 1, 3, 1, 0), (40, 40, 3, 1, 0), (12, 20, 1, 1, 0), (5, 7, 3, 1, 0),
        (16, 16, 3, 1, 16), (16, 16, 3, 2, 16), (24, 24, 5, 1, 24), (40, 40, 5, 2, 40), (12, 12, 3, 1, 12), (7, 7, 5, 2, 7),
    ],
)  # fmt: skip
def test_every_kind_of_layer_computes_what_numpy_does(
    inputs: int, outputs: int, side: int, stride: int, groups: int, more: str, fused: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng([inputs, outputs, side, stride])
    words = [convolution(inputs, outputs, side, stride, more, groups)]
    words += [convolution(outputs, 8, 1, 1, BIAS)] if fused else []
    net = chain(words, rng)
    planes = rng.normal(size=(inputs, 18, 23)).astype(np.float32)
    # The limits are below the largest values, so that some are clipped, and 1.25 is below what CLIP lets through.
    made = quantize_net(net, {"in0": 2.5, "1": 1.25})
    files = tmp_path / "param", tmp_path / "bin"
    write_net(made, *files)
    terms = check_layers(made, run_ncnn(files, planes, all_blobs(made)))
    first = f"{DEPTHWISE} {101 if fused else 1}" if groups else f"Convolution {102 if fused else 2}"
    assert terms == ({first: 1, "Convolution 2": 1} if fused else {first: 1})


def test_weights_get_a_scale_for_every_channel(tmp_path: Path) -> None:
    net = chain([convolution(8, 16, 1, 1, BIAS), convolution(16, 16, 3, 1, BIAS, 16)], np.random.default_rng(1))
    net.weights["layer0"].values[3] = 0  # a channel without weights must not become NaN
    made = quantize_net(net, {"in0": 1.0, "1": 2.0})
    for name in ("layer0", "layer1"):
        before, after = net.weights[name], made.weights[name]
        peaks = np.abs(before.values).reshape(16, -1).max(1)
        assert after.scales is not None and after.values.dtype == np.int8 and after.values.shape == before.values.shape
        np.testing.assert_allclose(after.scales, np.where(peaks > 0, 127 / np.where(peaks > 0, peaks, 1), 1), rtol=1e-6)
        restored = after.values / after.scales[:, None, None, None]
        assert np.all(np.abs(restored - before.values) <= 0.5001 / after.scales[:, None, None, None])
        assert np.array_equal(after.bias, before.bias)
    assert np.all(np.abs(made.weights["layer0"].values.reshape(16, -1)).max(1)[[0, 1, 2, 4]] == 127)
    assert (made.weights["layer0"].input_scale, made.weights["layer0"].output_scale) == (127.0, 63.5)
    assert (made.weights["layer1"].input_scale, made.weights["layer1"].output_scale) == (63.5, None)
    write_net(made, tmp_path / "param", tmp_path / "bin")
    blobs = run_ncnn((tmp_path / "param", tmp_path / "bin"), np.ones((8, 9, 9), np.float32), all_blobs(made))
    check_layers(made, blobs)
    assert all(np.isfinite(values).all() for values in blobs.values())


def test_wide_layers_stay_within_the_sums_of_winograd(tmp_path: Path) -> None:
    net = chain([convolution(64, 16, 3, 1)], np.random.default_rng(2))
    net.weights["layer0"].values[:] = np.random.default_rng(3).uniform(0.8, 1.0, (16, 64, 3, 3))
    made = quantize_net(net, {"in0": 1.0})
    assert 576 * 127 * np.abs(made.weights["layer0"].values.astype(np.int64)).sum((1, 2, 3)).max() < 2**31
    write_net(made, tmp_path / "param", tmp_path / "bin")
    planes = np.ones((64, 16, 16), np.float32)  # all 127: the largest sums that there are
    check_layers(made, run_ncnn((tmp_path / "param", tmp_path / "bin"), planes, all_blobs(made)))


def test_only_an_int8_layer_that_reads_alone_takes_int8() -> None:
    text = (
        "7767517\n7 8\nInput in0 0 1 in0\nConvolution a 1 1 in0 1 0=8 1=1 6=24\nSplit s 1 2 1 2 3\n"
        "Convolution b 1 1 2 4 0=8 1=1 6=64\nConvolution c 1 1 4 5 0=8 1=1 6=64\nBinaryOp d 2 1 3 5 6 0=0\n"
        "Convolution e 1 1 6 7 0=8 1=1 6=64\n"
    )
    layers = parse_param(text)
    weights = {name: Weights(np.ones((8, 3 if name == "a" else 8, 1, 1), np.float32), None) for name in "abce"}
    limits = {"in0": 1.0, "2": 1.0, "4": 1.0, "6": 1.0}
    made = quantize_net(Net(layers, weights), limits)
    terms = {layer.name: layer.params.get("8") for layer in made.layers if layer.is_convolution}
    assert terms == {"a": "2", "b": "102", "c": "2", "e": "2"}  # a: into a Split; c: into an addition; e: out of the network
    made = quantize_net(Net(layers, weights), limits, {"c"})
    terms = {layer.name: layer.params.get("8") for layer in made.layers if layer.is_convolution}
    assert terms == {"a": "2", "b": "2", "c": None, "e": "2"}
    assert made.weights["c"].values.dtype == np.float16 and made.weights["c"].scales is None
    assert format_param(layers) == format_param(parse_param(text)), "the float network is left as it is"


@pytest.mark.parametrize(("method", "all_layers"), [*((method, True) for method in METHODS), (METHOD, False)])
def test_whole_network_layer_by_layer(method: Method, all_layers: bool, artifacts: dict[str, Path], tmp_path: Path) -> None:
    exported = read_artifact(artifacts["ncnn-fp32"])
    sources = {role: exported.file(role) for role in ("param", "bin")}
    net = read_net(sources["param"], sources["bin"])
    images = parity_images(Size.square(192))[:6]
    limits = find_limits(net, sources, images, method)
    assert limits["1"] <= 1.0 and all(0 < most < 100 for most in limits.values())
    made = quantize_net(net, limits, () if all_layers else keep_float(net))
    files = tmp_path / "param", tmp_path / "bin"
    write_net(made, *files)
    blobs = run_ncnn(files, to_nchw(images[0])[0], all_blobs(made))
    terms = {f"{DEPTHWISE} 101": 13, "Convolution 102": 14, "Convolution 2": 14}
    assert check_layers(made, blobs) == (terms if all_layers else {"Convolution 2": 23, "Convolution 102": 4})
    wanted = open_backend(exported).run(images[0])
    assert np.mean((blobs["out0"][0] >= 0.5) == (wanted >= 0.5)) > 0.99 and 0.1 < np.mean(wanted >= 0.5) < 0.9


def test_limits_are_of_the_blob_that_each_layer_reads(artifacts: dict[str, Path]) -> None:
    exported = read_artifact(artifacts["ncnn-fp32"])
    files = {role: exported.file(role) for role in ("param", "bin")}
    net = read_net(files["param"], files["bin"])
    images = parity_images(Size.square(192))[:2]
    limits = find_limits(net, files, images, "minmax")
    readers = {layer.bottoms[0] for layer in net.layers if layer.is_convolution}
    assert set(limits) == readers
    found = [run_ncnn((files["param"], files["bin"]), to_nchw(image)[0], sorted(readers)) for image in images]
    for blob in readers - {"in0"}:
        assert limits[blob] == pytest.approx(max(np.abs(blobs[blob]).max() for blobs in found), rel=1e-6)
