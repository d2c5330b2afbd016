"""ncnn in int8, for the stock runtime.

No public Python package offers this: ncnn's own tools are C++ programs that no wheel carries. The arithmetic follows
forward_int8 in ncnn's layer/convolution.cpp and convolutiondepthwise.cpp: q = clamp(round(x * scale), -127, 127) for blobs and
weights, sums in 32 bits, sum / (input scale * weight scale) + bias, the activation, and either float32 or, fused, the next
layer's q.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.ncnn_net import SAME_EVERYWHERE
from edge_runtime.errors import GateError
from edge_runtime.images.network_input import MEAN, STD, to_nchw
from export.network import Network
from export.pipeline import Converted, Write
from export.to_ncnn import INPUT_BLOB
from export.to_ncnn import convert as convert_float
from quantize.calibration.layers import layers_of
from quantize.calibration.observe import observe
from quantize.calibration.ranges import Method
from quantize.formats import ncnn_file
from quantize.formats.ncnn_file import CONVOLUTION, DEPTHWISE, Layer, Net, Weights

# Agreement with fp32 of minmax, percentile and entropy, depthwise layers in float: unet_lite 0.9962, 0.9964, 0.9963, unet_lite_s
# 0.9936, 0.9934, 0.9935 (calibrated on 100 images, compared on 378), u2netp 0.9968, 0.9951, 0.9955 (40, 25). Calibrated on the
# usual 200, minmax suffers where one of them is unlike the others: unet_lite 0.9958 and, with entropy, 0.9954, unet_lite_s 0.9875
# and 0.9930 (compared on 78).
METHOD: Method = "entropy"
MOST = 127  # -128 is not used, so that every q has its -q
INPUT_LIMIT = max(MEAN, 255.0 - MEAN) / STD  # every byte of an image must fit, whatever the calibration images hold
# ncnn computes 3 x 3 convolutions of stride 1 by Winograd's F(4, 3), whose 32-bit sums hold 576 times the result.
WINOGRAD_MOST = (2**31 - 1) // 576


def calibrate(network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None = None) -> Write:
    """Export into `folder`, and find limits on (H, W, 3) uint8 RGB images by `method`, entropy without one."""
    exported = convert_float(network, "fp32", folder)
    net = ncnn_file.read_net(exported.files["param"], exported.files["bin"])
    return partial(_write, network, exported, net, find_limits(net, exported.files, images, method or METHOD))


def _write(
    network: Network, exported: Converted, net: Net, limits: Mapping[str, float], keep: frozenset[str], folder: Path
) -> Converted:
    """Write `folder`/int8.param and int8.bin, in which the convolutions of `keep` and of `keep_float` stay float."""
    shapes = {layer.name: net.weights[layer.name].values for layer in net.layers if layer.is_convolution}
    chosen = frozenset(layers_of(network, keep, shapes).values())
    files = {"param": folder / "int8.param", "bin": folder / "int8.bin"}
    ncnn_file.write_net(quantize_net(net, limits, keep_float(net) | chosen), files["param"], files["bin"])
    stored = "per_channel_symmetric, first and depthwise layers float16"
    stored += f", {len(keep)} more chosen" if keep else ""
    return dataclasses.replace(exported, files=files, weights=stored, activations="per_tensor")


def keep_float(net: Net) -> frozenset[str]:
    """Return the names of the layers that stay float, with float16 weights: the first convolution and depthwise ones.

    Depthwise: ncnn's int8 kernels for them are plain loops, but for 3 x 3 with ReLU on Arm. unet_lite at 256, all layers int8
    against depthwise in float: agreement with fp32 0.9946 and 0.9963 on 378 images; latency 1.34 and 0.89 times that of fp32
    on x86 with AVX-512 VNNI; by qemu's count of instructions 1.08 and 0.62 times fp32 on a Cortex-A76, 1.50 and 1.04 on a
    Cortex-A53, which has no int8 dot product. Size 1.10 and 1.18 MB (fp32 4.08).

    First: agreement 0.9961 without and 0.9964 with it (unet_lite), 0.9926 and 0.9931 (unet_lite_s) on 278 images, for 0.7 kB
    and no time. The last in float would change nothing.
    """
    kept = [layer.name for layer in net.layers if layer.is_convolution][:1]
    return frozenset(kept + [layer.name for layer in net.layers if layer.kind == DEPTHWISE])


def find_limits(net: Net, files: Mapping[str, Path], images: Sequence[np.ndarray], method: Method = METHOD) -> dict[str, float]:
    """Return the magnitude that is to become 127 in the input blob of every convolution.

    `net` is the float network that `files` hold; `images` are (H, W, 3) uint8 RGB at the input size.
    """
    origins = blob_origins(net)
    readers = [layer for layer in net.layers if layer.is_convolution]
    runner = _Runner(files, sorted({origins[layer.bottoms[0]] for layer in readers}))
    ranges = observe(runner.run, images, method)
    limits = {blob: max(-found.low, found.high) for blob, found in ranges.items()} | {INPUT_BLOB: INPUT_LIMIT}
    return {layer.bottoms[0]: limits[origins[layer.bottoms[0]]] for layer in readers}


class _Runner:
    """The float network in ncnn, asked for blobs inside it."""

    def __init__(self, files: Mapping[str, Path], blobs: Sequence[str]) -> None:
        import ncnn

        self.ncnn, self.blobs, self.net = ncnn, blobs, ncnn.Net()
        self.net.opt.num_threads = 1
        for option in SAME_EVERYWHERE:
            setattr(self.net.opt, option, False)
        if self.net.load_param(str(files["param"])) != 0 or self.net.load_model(str(files["bin"])) != 0:
            raise GateError("ncnn cannot load the float network; nothing was written. Use the pinned pnnx and ncnn")

    def run(self, image: np.ndarray) -> list[tuple[str, np.ndarray]]:
        # The Mat borrows this memory, so the variable must live until the last extract.
        planes = to_nchw(image)[0]
        extractor: Any = self.net.create_extractor()
        extractor.set_light_mode(False)  # keeps every blob, so that all are computed once
        code, found = extractor.input(INPUT_BLOB, self.ncnn.Mat(planes)), {}
        for blob in self.blobs:
            failed, values = extractor.extract(blob)
            code, found[blob] = code or failed, np.array(values)
        if code != 0:
            raise GateError(f"ncnn cannot run the float network (code {code}); nothing was written. Use the pinned pnnx and ncnn")
        return list(found.items())


def blob_origins(net: Net) -> dict[str, str]:
    """Return for every blob the one that holds the same values before all Splits."""
    origins: dict[str, str] = {}
    for layer in net.layers:
        for blob in layer.tops:
            origins[blob] = origins[layer.bottoms[0]] if layer.kind == "Split" else blob
    return origins


def quantize_net(net: Net, limits: Mapping[str, float], keep: Collection[str] = ()) -> Net:
    """Return a float32 network with its convolutions in int8; layers of `keep` get float16 weights instead.

    `limits` gives the magnitude that becomes 127, by input blob of a convolution.
    """
    quantized = {layer.name for layer in net.layers if layer.is_convolution and layer.name not in keep}
    scales = {blob: MOST / most if most > 0 else 1.0 for blob, most in limits.items()}  # a blob of zeros has no scale of its own
    # A blob that only one int8 layer reads leaves the layer before it as int8. Where there are more readers, a Split reads it.
    into_int8 = {layer.bottoms[0] for layer in net.layers if layer.name in quantized}
    layers, weights = list(net.layers), dict(net.weights)
    for index, layer in enumerate(net.layers):
        if layer.name in quantized:
            fused = layer.tops[0] in into_int8
            term = (1 if layer.kind == DEPTHWISE else 2) + (ncnn_file.REQUANTIZED if fused else 0)
            layers[index] = layer.with_params({str(ncnn_file.INT8_SCALES): str(term)})
            into, out = scales[layer.bottoms[0]], scales[layer.tops[0]] if fused else None
            weights[layer.name] = quantize_weights(layer, net.weights[layer.name], into, out)
        elif layer.is_convolution:
            half = net.weights[layer.name].values.astype(np.float16)
            weights[layer.name] = dataclasses.replace(net.weights[layer.name], values=half)
    return Net(tuple(layers), weights)


def quantize_weights(layer: Layer, weights: Weights, input_scale: float, output_scale: float | None) -> Weights:
    """Return the weights as int8, with a scale for every output channel, or in ConvolutionDepthWise for every group."""
    rows = weights.values.astype(np.float32)
    rows = rows.reshape(ncnn_file.group_count(layer) if layer.kind == DEPTHWISE else len(rows), -1)
    peaks = np.abs(rows).max(1)
    if layer.kind == CONVOLUTION and weights.values.shape[2:] == (3, 3):
        # Only wide layers get there: from 26 input channels on, were all weights equal. Rounding adds half a step to each.
        steps = WINOGRAD_MOST / MOST - 0.5 * rows.shape[1]
        peaks = np.maximum(peaks, np.abs(rows).sum(1) * (MOST / steps))
    # A channel of zeros has no scale of its own. ncnn takes 0 for that in one place and divides by it in another.
    scales = np.where(peaks > 0, MOST / np.where(peaks > 0, peaks, 1.0), 1.0).astype(np.float32)
    values = round_to_int8(rows * scales[:, None]).reshape(weights.values.shape)
    return dataclasses.replace(weights, values=values, scales=scales, input_scale=input_scale, output_scale=output_scale)


def round_to_int8(values: np.ndarray) -> np.ndarray:
    """Round as ncnn does, halves away from zero, and clip to -127 to 127."""
    return np.clip(np.trunc(values + np.copysign(np.float32(0.5), values)), -MOST, MOST).astype(np.int8)
