"""Make a sky artifact of a network with many classes: `python export/from_classes.py MODEL.onnx --classes ade20k --out DIR`.

MODEL is an ONNX segmentation network (1, 3, H, W) -> (1, classes, h, w). The artifact holds it with nodes around it: the input
takes (pixel - 127) / 128 and is brought to the network's own normalization and color order, a softmax over the classes is summed
over those that are sky, and the result is resized to (H, W). `export/class_maps.json` says which classes are sky in public data
sets; a file of your own, {"classes": 150, "sky": [2]}, can be named instead.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import onnx
import onnxruntime
import tyro
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.artifact.artifact import Artifact, Quantization
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.network_input import MEAN, STD, Size
from edge_runtime.records import parse_json, read_text
from export import parity
from export.pipeline import Converted, Origin, draft, input_spec, output_spec, print_artifact, shown_flags, write_compared

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

    classes: int
    sky: tuple[int, ...]


def read_class_map(name: str) -> ClassMap:
    """Return a map of `CLASS_MAPS` by its name, or read a file; raises `InputError` for anything else."""
    known = parse_json(read_text(CLASS_MAPS, "the class maps"), "the class maps")
    path = Path(name)
    if name not in known and not path.is_file():
        raise InputError(f"got --classes {name}, expected one of {', '.join(known)}, or a JSON file such as {known['ade20k']}")
    values = known[name] if name in known else parse_json(read_text(path, "a class map"), f"a class map in {path}")
    count, sky = (values.get("classes"), values.get("sky")) if isinstance(values, dict) else (None, None)
    whole = isinstance(sky, list) and all(type(each) is int for each in sky)
    if isinstance(count, int) and isinstance(sky, list) and whole and 0 < len(sky) < count and 0 <= min(sky) <= max(sky) < count:
        return ClassMap(count, tuple(dict.fromkeys(sky)))
    expected = f"the number of classes and which are sky, such as {known['ade20k']}"
    raise InputError(f"got {values!r:.80} in {name}, expected {expected}")


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
        origin = Origin(config.model.stem, size, config.weights_license, facts)
        spec = draft(origin, "onnx", made, Quantization("fp32", made.weights, made.activations, None))
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


def _input_size(model: onnx.ModelProto, path: Path) -> Size:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in stored]
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(sides) != 4 or sides[:2] != [1, 3] or min(sides) < 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        expected = "one of float32 (1, 3, H, W) with fixed sides; export it again"
        raise InputError(f"got inputs of shape {sides} in {path}, expected {expected}")
    return Size(sides[2], sides[3])


def wrap(model: onnx.ModelProto, chosen: ClassMap, config: FromClassesConfig, size: Size) -> onnx.ModelProto:
    """Return a copy of `model` from `image`, (pixel - 127) / 128 RGB, to `sky`, the probability at the size of the input."""
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    for node in graph.node:  # no name of the network may collide with ours
        if {"image", "sky"} & {*node.output}:
            raise InputError("got a network with a tensor named image or sky, expected other names; rename it")
    stored = {tensor.name for tensor in graph.initializer}
    given = next(each.name for each in graph.input if each.name not in stored)
    scores = config.output or graph.output[0].name
    if scores not in {each.name for each in graph.output}:
        raise InputError(f"got --output {scores}, expected one of {', '.join(each.name for each in graph.output)}")
    std = np.array(config.std, np.float32)
    constants: dict[str, Any] = {
        "skyedge_order": np.array([0, 1, 2] if config.color == "RGB" else [2, 1, 0], np.int64),
        "skyedge_scale": (STD / std).reshape(1, 3, 1, 1).astype(np.float32),
        "skyedge_shift": ((MEAN - np.array(config.mean, np.float32)) / std).reshape(1, 3, 1, 1).astype(np.float32),
        "skyedge_sky": np.array(chosen.sky, np.int64),
        "skyedge_axis": np.array([1], np.int64),
        "skyedge_sizes": np.array([1, 1, size.height, size.width], np.int64),
        "skyedge_low": np.array(0.0, np.float32),
        "skyedge_high": np.array(1.0, np.float32),
    }
    before = [
        helper.make_node("Gather", ["image", "skyedge_order"], ["skyedge_ordered"], axis=1),
        helper.make_node("Mul", ["skyedge_ordered", "skyedge_scale"], ["skyedge_scaled"]),
        helper.make_node("Add", ["skyedge_scaled", "skyedge_shift"], ["skyedge_given" if given == "image" else given]),
    ]
    if given == "image":
        for node in graph.node:
            node.input[:] = ["skyedge_given" if name == "image" else name for name in node.input]
    after = [
        helper.make_node("Softmax", [scores], ["skyedge_shares"], axis=1),
        helper.make_node("Gather", ["skyedge_shares", "skyedge_sky"], ["skyedge_classes"], axis=1),
        helper.make_node("ReduceSum", ["skyedge_classes", "skyedge_axis"], ["skyedge_small"], keepdims=1),
        helper.make_node("Resize", ["skyedge_small", "", "", "skyedge_sizes"], ["skyedge_large"], mode="linear",
                         coordinate_transformation_mode="half_pixel"),
        helper.make_node("Clip", ["skyedge_large", "skyedge_low", "skyedge_high"], ["sky"]),
    ]  # fmt: skip
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size.height, size.width]))
    graph.output.append(helper.make_tensor_value_info("sky", TensorProto.FLOAT, [1, 1, size.height, size.width]))
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
