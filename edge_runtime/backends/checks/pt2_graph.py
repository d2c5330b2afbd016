"""A reader of `torch.export` archives (.pt2) that runs nothing but the tensor operations listed here.

`torch.export.load` unpickles members of the archive, evaluates expressions in it and looks up operators by any dotted
name, so a foreign archive can run code through it. This reader takes the graph (JSON) and the raw weights, and refuses the rest.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError

# Pure functions of tensors and numbers: none opens a file, or reads memory that is not a tensor's.
NAMES = """
    _adaptive_avg_pool2d.default adaptive_avg_pool2d.default add.Scalar add.Tensor add_.Tensor avg_pool2d.default
    batch_norm.default cat.default clamp.default clamp_min.default constant_pad_nd.default conv2d.default
    conv_transpose2d.input div.Scalar div.Tensor flatten.using_ints gelu.default hardsigmoid.default hardsigmoid_.default
    hardswish.default hardswish_.default hardtanh.default hardtanh_.default leaky_relu.default leaky_relu_.default
    linear.default max_pool2d.default mean.dim mul.Scalar mul.Tensor mul_.Tensor pad.default permute.default
    pixel_shuffle.default pixel_unshuffle.default prelu.default relu.default relu6.default relu_.default reshape.default
    sigmoid.default sigmoid_.default silu.default silu_.default slice.Tensor softmax.int squeeze.dim sub.Tensor tanh.default
    to.dtype unsqueeze.default upsample_bilinear2d.vec upsample_nearest2d.vec view.default
"""
OPERATIONS = frozenset("torch.ops.aten." + name for name in NAMES.split())
CHECKS_ONLY = "torch.ops.aten._assert_tensor_metadata.default"  # export writes it before a conversion; it computes nothing
PLAIN_ARGUMENTS = ("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string")
DTYPES = {5: "int64", 6: "float16", 7: "float32"}  # torch's numbers of scalar types, as far as networks store them
MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|models/model\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|model_(weights|constants)_config\.json)|data/sample_inputs/model\.pt"
)
DAMAGE = (  # what a damaged archive raises: zip, JSON, and values of other types than expected
    zipfile.BadZipFile, OSError, EOFError, struct.error, zlib.error, KeyError, TypeError, ValueError, AttributeError, IndexError,
    OverflowError, RuntimeError,
)  # fmt: skip
MOST_NODES, MOST_VALUES = 20_000, 2**31  # of a graph; of one tensor


@dataclass(frozen=True)
class Step:
    """One operation: which function, its arguments, the name of its result, and which tensors nobody needs afterwards."""

    run: Callable[..., Any]
    arguments: Mapping[str, Any]
    result: str
    done: tuple[str, ...]


@dataclass(frozen=True)
class TensorName:
    """An argument that stands for a tensor of the graph."""

    name: str


@dataclass(frozen=True)
class Program:
    """A network of tensor operations; call it with its input tensor."""

    input: str
    input_shape: tuple[int, ...]
    input_dtype: str
    output: str
    weights: Mapping[str, Any]
    steps: tuple[Step, ...]

    def __call__(self, image: Any) -> Any:
        """Return the output tensor; `image` is on the device of the weights."""
        values = {**self.weights, self.input: image}
        for step in self.steps:
            arguments = {name: _filled(value, values) for name, value in step.arguments.items()}
            result = values[step.result] = step.run(**arguments)
            if result.numel() > MOST_VALUES:
                raise InputError(f"got a tensor of {result.numel()} values out of {step.run}, expected at most {MOST_VALUES}")
            for name in step.done:
                del values[name]
        return values[self.output]

    def to(self, device: str) -> Program:
        """Return the program with its weights on `device`: `cuda`, or `meta`, where tensors have a shape and no values."""
        return dataclasses.replace(self, weights={name: weight.to(device) for name, weight in self.weights.items()})


def read_program(path: Path, torch: Any) -> Program:
    """Read an archive; raises `InputError` where it holds anything but a graph of known operations and raw weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            graph_module = json.loads(archive.read(members["models/model.json"]))["graph_module"]
            stored = {
                **_read_tensors(archive, members, "weights", torch),
                **_read_tensors(archive, members, "constants", torch),
            }
        return _build(graph_module, stored, torch)
    except InputError as error:
        raise InputError(f"{path}: {error}; export the artifact again") from error
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: got no torch.export archive ({reason:.200}); export the artifact again") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their path below the archive's own folder; refuse whatever a network does not need."""
    members = {}
    for info in archive.infolist():
        name = info.filename.partition("/")[2]
        known = MEMBERS.fullmatch(name) is not None and name not in members
        pickled = name.endswith(".pt") and info.file_size > 0
        if not known or pickled or info.compress_type != zipfile.ZIP_STORED:
            raise InputError(f"got the member {info.filename!r:.80}, expected a graph and uncompressed raw weights only")
        members[name] = info
    if archive.read(members["byteorder"]) != b"little":
        raise InputError("got weights that are not little-endian, expected little-endian ones")
    return members


def _read_tensors(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], kind: str, torch: Any) -> dict[str, Any]:
    """Read the raw tensors of `kind` (weights or constants), by their name in the network."""
    tensors = {}
    for name, entry in json.loads(archive.read(members[f"data/{kind}/model_{kind}_config.json"]))["config"].items():
        if entry["use_pickle"] is not False:
            raise InputError(f"got pickled {kind} ({name!r:.80}), expected raw ones")
        meta = entry["tensor_meta"]
        sizes, strides = ([_whole(side["as_int"]) for side in meta[key]] for key in ("sizes", "strides"))
        offset = _whole(meta["storage_offset"]["as_int"])
        dtype = getattr(torch, _known(DTYPES, meta["dtype"], "type of weights"))
        content = archive.read(members[f"data/{kind}/{entry['path_name']}"])
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if min(sizes, default=1) < 1 or len(content) % dtype.itemsize or (last + 1) * dtype.itemsize > len(content):
            raise InputError(f"got {len(content)} bytes for {name!r:.80}, expected more for its shape {sizes}")
        flat = torch.frombuffer(bytearray(content), dtype=dtype)
        tensors[name] = torch.as_strided(flat, sizes, strides, offset)
    return tensors


def _build(graph_module: Mapping[str, Any], stored: Mapping[str, Any], torch: Any) -> Program:
    graph, signature = graph_module["graph"], graph_module["signature"]
    weights, inputs = {}, []
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_input":
            inputs.append(content["arg"]["as_tensor"]["name"])
        else:
            key = _known(
                {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}, kind, "input"
            )
            weights[content["arg"]["name"]] = stored[content[key]]
    outputs = [spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"]]
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"got {len(inputs)} inputs and {len(outputs)} outputs, expected one each")
    nodes = [node for node in graph["nodes"] if node["target"] != CHECKS_ONLY]
    if len(nodes) > MOST_NODES:
        raise InputError(f"got {len(nodes)} operations, expected at most {MOST_NODES}")
    known, calls = {inputs[0], *weights}, []
    for node in nodes:
        if node["target"] not in OPERATIONS:
            raise InputError(
                f"got the operation {node['target']!r:.80}, expected one of edge_runtime.backends.checks.pt2_graph.OPERATIONS"
            )
        arguments = {str(each["name"]): _argument(each["arg"], known, torch) for each in node["inputs"]}
        (result,) = (each["as_tensor"]["name"] for each in node["outputs"])
        if result in known:
            raise InputError(f"got two tensors with the name {result!r:.80}, expected one")
        known.add(result)
        calls.append((node["target"], arguments, result))
    if outputs[0] not in known:
        raise InputError(f"got the output {outputs[0]!r:.80}, expected a tensor of the graph")
    last_use = {name: number for number, (_, arguments, result) in enumerate(calls) for name in [result, *_tensors_in(arguments)]}
    steps = []
    for number, (target, arguments, result) in enumerate(calls):
        done = tuple(
            name
            for name in {result, *_tensors_in(arguments)}
            if last_use[name] == number and name not in weights and name != outputs[0]
        )
        steps.append(Step(_operation(target, torch), arguments, result, done))
    meta = graph["tensor_values"][inputs[0]]
    shape = tuple(_whole(side["as_int"]) for side in meta["sizes"])
    return Program(inputs[0], shape, _known(DTYPES, meta["dtype"], "type of input"), outputs[0], weights, tuple(steps))


def _operation(target: str, torch: Any) -> Callable[..., Any]:
    name, overload = target.removeprefix("torch.ops.aten.").split(".")
    operation: Callable[..., Any] = getattr(getattr(torch.ops.aten, name), overload)
    return operation


def _argument(value: Mapping[str, Any], known: set[str], torch: Any) -> Any:
    """Return an argument of the graph as a value, a dtype, or the names of tensors that exist by then."""
    ((kind, content),) = value.items()
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_tensors"):
        names = [each["name"] for each in (content if kind == "as_tensors" else [content])]
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(f"got the tensor {missing[0]!r:.80} before it is computed, expected it after")
        return [TensorName(name) for name in names] if kind == "as_tensors" else TensorName(names[0])
    if kind == "as_optional_tensor":
        return _argument({"as_none": True} if "as_none" in content else content, known, torch)
    if kind == "as_scalar_type":
        return getattr(torch, _known(DTYPES, content, "type of numbers"))
    if kind not in PLAIN_ARGUMENTS:
        raise InputError(f"got an argument of kind {kind!r:.80}, expected a tensor, a number, a text or a list of them")
    numbers = content if isinstance(content, list) else [content]
    if not all(isinstance(each, str) or (isinstance(each, bool | int | float) and math.isfinite(each)) for each in numbers):
        raise InputError(f"got {content!r:.80} as {kind}, expected finite numbers")
    return content


def _filled(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, TensorName):
        return values[argument.name]
    if isinstance(argument, list) and argument and isinstance(argument[0], TensorName):
        return [values[each.name] for each in argument]
    return argument


def _tensors_in(arguments: Mapping[str, Any]) -> list[str]:
    every = [each for value in arguments.values() for each in (value if isinstance(value, list) else [value])]
    return [each.name for each in every if isinstance(each, TensorName)]


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_VALUES:
        raise InputError(f"got {value!r:.80} as a size of a tensor, expected 0 to {MOST_VALUES}")
    return value


def _known(table: Mapping[Any, str], key: Any, what: str) -> str:
    if key not in table:
        raise InputError(f"got {what} {key!r:.80}, expected one of {', '.join(map(str, table))}")
    return table[key]
