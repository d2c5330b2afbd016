"""Make a sky artifact of a network with many classes: `python export/from_classes.py MODEL.onnx --classes ade20k --out DIR`.

MODEL is an ONNX segmentation network (1, 3, H, W) -> (1, classes, h, w). The artifact holds it with nodes around it: the input
takes (pixel - 127) / 128 and is brought to the network's own normalization and color order, a softmax over the classes is summed
over those that are sky, and the result is resized to (H, W). `export/class_maps.json` says which classes are sky in public data
sets; a file of your own, {"classes": 150, "sky": [2]}, can be named instead.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import onnx
import onnx.compose
import onnx.parser
import onnxruntime
import tyro
from onnx import TensorProto

from edge_runtime.artifact.artifact import Artifact, Quantization
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.network_input import MEAN, STD, Size
from edge_runtime.records import Count, Positive, build, parse_json, read_text
from export import parity
from export.pipeline import Converted, draft, input_spec, output_spec, print_artifact, shown_flags, write_compared

CLASS_MAPS = Path(__file__).with_name("class_maps.json")
OPSET = 13  # from here on Softmax, ReduceSum and Resize are as they are used below


@dataclass(frozen=True)
class FromClassesConfig:
    """Make a sky artifact of an ONNX segmentation network."""

    model: Annotated[Path, tyro.conf.Positional]
    """ONNX file with a fixed input size and one image in a batch."""
    classes: str
    """Data set of export/class_maps.json, or a JSON file {"classes": 150, "sky": [2]}."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Mean that the network wants subtracted from 8-bit pixels, in the order of --color. Default: ImageNet's, RGB."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """What it wants them divided by."""
    color: Literal["RGB", "BGR"] = "RGB"
    """Order of its input channels."""
    output: str | None = None
    """Name of the output with one map for each class. Default: the first output."""
    weights_license: str = "unknown: ask whoever made the network"
    """Terms of the weights."""
    out: Path | None = None
    """The artifact's folder. Default: build/NAME-SIZE-fp32-onnx in the project."""


@dataclass(frozen=True)
class ClassMap:
    """How many classes a network tells apart, and which of them are sky."""

    classes: Positive
    sky: tuple[Count, ...]


def read_class_map(name: str) -> ClassMap:
    """Return a map of `CLASS_MAPS` by its name, or read a file; raises `InputError` for anything else."""
    known = parse_json(read_text(CLASS_MAPS, "the class maps"), "the class maps")
    path = Path(name)
    if name not in known and not path.is_file():
        raise InputError(f"got --classes {name}, expected one of {', '.join(known)}, or a JSON file such as {known['ade20k']}")
    try:
        found = build(ClassMap, known[name] if name in known else parse_json(read_text(path, "a class map"), "a class map"))
        if not 0 < len(set(found.sky)) < found.classes or max(found.sky) >= found.classes:
            raise InputError(f"got sky {found.sky} of {found.classes} classes, expected some of them, counted from 0")
    except InputError as error:
        raise InputError(f"{name}: {error}; write a map such as {known['ade20k']}") from error
    return ClassMap(found.classes, tuple(dict.fromkeys(found.sky)))


def export(config: FromClassesConfig) -> Artifact:
    """Write the artifact; raises `InputError` for a network of another form and `GateError` where parity does not hold."""
    chosen = read_class_map(config.classes)
    if min(config.std) <= 0 or not np.isfinite([*config.mean, *config.std]).all():
        raise InputError(f"got --mean {config.mean} and --std {config.std}, expected numbers, and deviations above 0")
    model = _read_model(config.model)
    size = _input_size(model, config.model)
    wrapped = wrap(model, chosen, config, size)
    images = parity.parity_images(size)
    expected = np.stack([reference(model, image, chosen, config) for image in images])
    command = " ".join(["python export/from_classes.py", *shown_flags(config)])
    facts = {"command": command, "model_sha256": file_sha256(config.model)}
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(wrapped, str(path))
        made = Converted({"model": path}, input_spec("image", size, "NCHW"), output_spec("sky"), "float32", "float32", ("onnx",))
        stored = Quantization("fp32", made.weights, made.activations, None)
        spec = draft(config.model.stem, size, config.weights_license, facts, "onnx", made, stored)
        return write_compared(config.out, spec, made, images, expected, "the network as it was given")


def _read_model(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise many kinds for a damaged file
        raise InputError(f"cannot read {path}: {str(error)[:200]}; expected an ONNX model in one file") from error
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InputError(f"got {path} with weights in other files, expected one file; save it with its weights inside")
    return onnx.version_converter.convert_version(model, OPSET) if _opset(model) < OPSET else model


def _opset(model: onnx.ModelProto) -> int:
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)


def _given(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs without those that are stored weights."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in stored]


def _input_size(model: onnx.ModelProto, path: Path) -> Size:
    inputs = _given(model)
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(sides) != 4 or sides[:2] != [1, 3] or min(sides) < 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        expected = "one of float32 (1, 3, H, W) with fixed sides; export it again"
        raise InputError(f"got inputs of shape {sides} in {path}, expected {expected}")
    return Size(sides[2], sides[3])


# Around the network, in ONNX's own text; see `wrap` for the words in braces.
BEFORE = """<ir_version: {ir}, opset_import: ["": {opset}]>
before (float[1, 3, {height}, {width}] image) => (float[1, 3, {height}, {width}] given)
<int64[3] order = {{{order}}}, float[1, 3, 1, 1] scale = {{{scale}}}, float[1, 3, 1, 1] shift = {{{shift}}}> {{
  ordered = Gather <axis = 1> (image, order)
  scaled = Mul (ordered, scale)
  given = Add (scaled, shift)
}}"""
AFTER = """<ir_version: {ir}, opset_import: ["": {opset}]>
after (float[1, n, h, w] scores) => (float[1, 1, {height}, {width}] sky)
<int64[{count}] chosen = {{{chosen}}}, int64[1] axis = {{1}}, int64[4] sizes = {{1, 1, {height}, {width}}},
 float low = {{0.0}}, float high = {{1.0}}> {{
  shares = Softmax <axis = 1> (scores)
  classes = Gather <axis = 1> (shares, chosen)
  small = ReduceSum <keepdims = 1> (classes, axis)
  large = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (small, , , sizes)
  sky = Clip (large, low, high)
}}"""


def wrap(model: onnx.ModelProto, chosen: ClassMap, config: FromClassesConfig, size: Size) -> onnx.ModelProto:
    """Return a copy of `model` from `image`, (pixel - 127) / 128 RGB, to `sky`, the probability at the size of the input."""
    outputs = [each.name for each in model.graph.output]
    scores = config.output or outputs[0]
    if scores not in outputs:
        raise InputError(f"got --output {scores}, expected one of {', '.join(outputs)}")

    def joined(values: Iterable[float]) -> str:
        return ", ".join(f"{value:.9g}" for value in values)

    std, mean = np.array(config.std), np.array(config.mean)
    words = {
        "ir": model.ir_version, "opset": _opset(model), "height": size.height, "width": size.width,
        "order": "0, 1, 2" if config.color == "RGB" else "2, 1, 0", "scale": joined(STD / std),
        "shift": joined((MEAN - mean) / std), "count": len(chosen.sky), "chosen": joined(chosen.sky),
    }  # fmt: skip
    before, after = (onnx.parser.parse_model(text.format(**words)) for text in (BEFORE, AFTER))
    inner = onnx.compose.add_prefix(model, "network/")  # no name of the network may collide with ours
    fed = onnx.compose.merge_models(before, inner, [("given", f"network/{_given(model)[0].name}")])
    wrapped = onnx.compose.merge_models(fed, after, [(f"network/{scores}", "scores")], outputs=["sky"])
    onnx.checker.check_model(wrapped)
    return wrapped


def reference(model: onnx.ModelProto, image: np.ndarray, chosen: ClassMap, config: FromClassesConfig) -> np.ndarray:
    """Return what `model` itself says of (H, W, 3) uint8 RGB, with normalization, softmax and resize outside: (H, W)."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ordered = image if config.color == "RGB" else image[..., ::-1]
    normalized = (ordered.astype(np.float32) - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])}
    scores = np.asarray(session.run([config.output or session.get_outputs()[0].name], feed)[0])
    if scores.ndim != 4 or scores.shape[:2] != (1, chosen.classes):
        expected = f"(1, {chosen.classes}, h, w) for --classes {config.classes}"
        raise InputError(f"got an output of shape {scores.shape}, expected {expected}")
    powers = np.exp(scores - scores.max(1, keepdims=True))
    small = (powers / powers.sum(1, keepdims=True))[0, list(chosen.sky)].sum(0)
    return np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def main(config: FromClassesConfig) -> None:
    """Write the artifact and print it."""
    print_artifact(export(config))


if __name__ == "__main__":
    run_command(main, FromClassesConfig)
