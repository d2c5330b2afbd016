"""The network as an ONNX graph, with nodes that consumers of ONNX agree on."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import torch

from export.graphs.facts import PRODUCER, facts, sentence
from export.network import Network

if TYPE_CHECKING:
    import onnx

OPSET = 18
TOOLS = ("onnx", "onnxruntime", "onnxscript", "onnxsim")
NO_ROI = "no_roi"


def to_model_proto(network: Network) -> onnx.ModelProto:
    """Return the float32 ONNX model, without the exporter's notes on every node (they hold source lines and paths)."""
    program = torch.onnx.export(
        network.folded,
        (network.example,),
        input_names=["image"],
        output_names=["sky"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None  # only the legacy exporter returns nothing
    model = program.model_proto
    for noted in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del noted.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    model = _simplified(model)
    _name_resize_inputs(model)
    return model


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what onnxsim makes of a model if that has fewer nodes, else the model."""
    import onnxsim

    simpler, same = onnxsim.simplify(model)
    return simpler if same and len(simpler.graph.node) < len(model.graph.node) else model


def _name_resize_inputs(model: onnx.ModelProto) -> None:
    """Give every Resize a `roi`, an empty tensor, and `scales` instead of `sizes`.

    The checker for phones takes an input without a name for one of unknown shape, and keeps the node on the CPU.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in inferred.value_info}
    sizes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {NO_ROI: np.zeros(0, np.float32)}
    for node in model.graph.node:
        if node.op_type == "Resize":
            data, _, *rest = node.input
            if len(rest) == 2 and not rest[0]:  # `sizes` without `scales`
                scales = (sizes[rest[1]] / np.array(shapes[data])).astype(np.float32)
                rest = ["scales_" + "_".join(f"{scale:g}" for scale in scales)]
                found[rest[0]] = scales
            del node.input[:]
            node.input.extend([data, NO_ROI, *rest])
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in found.items())
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def describe(model: onnx.ModelProto, network: Network) -> None:
    """Write into a model what it is, how to feed it, and the terms of its weights."""
    name, terms = network.checkpoint.name, network.checkpoint.weights_license
    model.producer_name, model.producer_version = PRODUCER, importlib.metadata.version(PRODUCER)
    model.graph.name, model.doc_string = name, sentence(name, network.size, terms)
    del model.metadata_props[:]
    for key, value in facts(name, network.size, terms).items():
        model.metadata_props.add(key=key, value=value)


def compact(model: onnx.ModelProto) -> None:
    """Store equal constants once, and give the tensors between the ends short names; nodes keep theirs.

    A quantized network has a zero point for every output channel, all 0, and names each tensor after every module around it,
    wherever it is read: a seventh of a small file.
    """
    graph = model.graph
    first: dict[bytes, str] = {}
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    kept = []
    for tensor in graph.initializer:
        nameless = type(tensor)()
        nameless.CopyFrom(tensor)
        nameless.name = ""
        content = nameless.SerializeToString()
        if content not in first:
            first[content] = f"c{len(first)}"
            kept.append(tensor)
        names[tensor.name] = first[content]
        tensor.name = first[content]
    del graph.value_info[:]
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names[name] if name else ""
        for index, name in enumerate(node.output):
            node.output[index] = names.setdefault(name, f"t{len(names)}")
    kept_copies = [type(tensor).FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(kept_copies)
