"""Make a file for programs that load the public skyseg.onnx, of 168 MB: `skyedge skyseg --out skyseg.onnx`.

Such programs (facebookresearch/vggt and others) stretch the image to 320 x 320, give RGB normalized by ImageNet's mean and
deviation to the first input, stretch the first output from its smallest to its largest value, and take 32 of 255 and more
for sky. The file holds the graph of an ONNX artifact. Nodes before it bring the input to its normalization and size, nodes behind
it bring the probability back to 320 x 320, and raise it to the power that puts 0.5 at 32 of 255: the network's threshold is 0.5,
theirs is not.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.tensors import import_interpreter
from edge_runtime.errors import GateError, InputError
from edge_runtime.files import write_bytes
from edge_runtime.images.resize import resize_probability, resize_rgb
from edge_runtime.models import read_model

SIDE = 320
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of values in 0..1, RGB
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
INPUT, OUTPUT = "input.1", "1959"  # as torch names the ends of U2-Net; the known programs ask the file for its names


@dataclass(frozen=True)
class Skyseg:
    """Write a drop-in for the public skyseg.onnx, after comparing it with the network that it holds."""

    model: str = "unet_lite_s"
    """An ONNX artifact: its folder, or the name of a released network."""
    cut: float = 32 / 255
    """Value, between 0 and 1, from which the program takes the output for sky; 0.5 leaves the probability as it is."""
    out: Path = Path("skyseg.onnx")
    """The file."""
    overwrite: bool = False
    """Replace a file that is there, such as the public one."""


def make(config: Skyseg) -> float:
    """Write the file and return the largest difference to the network; raises `GateError` where it is another one's output."""
    if not 0 < config.cut < 1:
        raise InputError(f"got --cut {config.cut}, expected a number between 0 and 1; the public file's users take 32 / 255")
    artifact = read_model(config.model)
    if artifact.spec.format != "onnx":
        raise InputError(
            f"got an artifact of format {artifact.spec.format}, expected onnx; name one, such as unet_lite/onnx-fp32"
        )
    power = math.log(config.cut) / math.log(0.5)
    content = wrap(artifact, power)
    difference = _difference(artifact, content, power)
    if not difference <= artifact.spec.golden.atol:
        raise GateError(
            f"got a difference of {difference:.1e} to the network, expected {artifact.spec.golden.atol}; nothing written"
        )
    write_bytes(config.out, content, replace=config.overwrite)
    return difference


def wrap(artifact: Artifact, power: float) -> bytes:
    """Return the network between the two ends of skyseg.onnx."""
    onnx = import_interpreter("onnx", "skyseg")
    helper, given, spec = onnx.helper, onnx.load(artifact.file("model")), artifact.spec
    mean, std = (np.array(values, np.float32) for values in (spec.input.mean, spec.input.std))
    height, width = artifact.size
    constants: dict[str, Any] = {
        "skyseg_scale": (255 * IMAGENET_STD / std).reshape(1, 3, 1, 1),
        "skyseg_shift": ((255 * IMAGENET_MEAN - mean) / std).reshape(1, 3, 1, 1),
        "skyseg_inner": np.array([1, 3, height, width], np.int64),
        "skyseg_outer": np.array([1, 1, SIDE, SIDE], np.int64),
        "skyseg_power": np.float32(power),
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    before = [
        helper.make_node("Mul", [INPUT, "skyseg_scale"], ["skyseg_scaled"]),
        helper.make_node("Add", ["skyseg_scaled", "skyseg_shift"], ["skyseg_normalized"]),
        helper.make_node("Resize", ["skyseg_normalized", "", "", "skyseg_inner"], [spec.input.name], **linear),
    ]
    after = [
        helper.make_node("Resize", [spec.output.name, "", "", "skyseg_outer"], ["skyseg_probability"], **linear),
        helper.make_node("Pow", ["skyseg_probability", "skyseg_power"], [OUTPUT]),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, SIDE, SIDE])
        for name, channels in ((INPUT, 3), (OUTPUT, 1))
    ]
    stored = [*given.graph.initializer, *(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())]
    graph = helper.make_graph([*before, *given.graph.node, *after], "skyseg", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=given.opset_import, ir_version=given.ir_version)
    model.producer_name = "skyedge"
    model.doc_string = f"{spec.arch} in place of skyseg.onnx. Terms of the weights: {spec.weights_license}"
    # Mean, std and size of the network hold behind the first nodes alone.
    model.metadata_props.extend(entry for entry in given.metadata_props if entry.key in ("name", "license"))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _difference(artifact: Artifact, content: bytes, power: float) -> float:
    """Return the largest difference between the file and its network, whose ends are computed here, on two images."""
    onnxruntime = import_interpreter("onnxruntime", "onnx")
    inner, outer = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for model in (artifact.file("model").read_bytes(), content)
    )
    noise = np.random.default_rng(17).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    differences = []
    for image in (resize_rgb(artifact.golden().input, SIDE, SIDE), noise):
        pixels, spec = image.astype(np.float32), artifact.spec.input
        planes = ((pixels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)).transpose(2, 0, 1)
        small = np.stack([resize_probability(np.ascontiguousarray(plane), *artifact.size) for plane in planes])[None]
        (sky,) = inner.run([artifact.spec.output.name], {spec.name: small})
        given = ((pixels / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)[None]
        (got,) = outer.run(None, {INPUT: given})
        differences.append(float(np.abs(resize_probability(sky[0, 0], SIDE, SIDE) ** power - got[0, 0]).max()))
    return max(differences)


def main(config: Skyseg) -> None:
    """Write the file and print it."""
    difference = make(config)
    print(f"{config.out}  {config.out.stat().st_size / 1e6:.2f} MB  max-abs {difference:.1e}")


if __name__ == "__main__":
    run_command(main, Skyseg)
