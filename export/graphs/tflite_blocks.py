"""SPACE_TO_DEPTH and DEPTH_TO_SPACE in TFLite graphs, in place of the chains of RESHAPE and TRANSPOSE that the converter makes.

XNNPACK and most accelerators have kernels for the two; a TRANSPOSE of five or six dimensions would end their part of the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 9: np.dtype("i1")}  # by TensorType of the schema
_MOVES = ("RESHAPE", "TRANSPOSE")


def fold_blocks(model: Any, kinds: list[str]) -> None:
    """Replace the chains in an unpacked model; `kinds` names the operator of each of its operators, and is kept in step.

    torch puts the color first within a block, TFLite the pixel: the convolution that reads a SPACE_TO_DEPTH gets its weights in
    TFLite's order.
    """
    (graph,) = model.subgraphs
    at = 0
    while at < len(graph.operators):
        chain = _chain(graph, kinds, at)
        if chain:
            _replace(
                model, graph.operators[chain[0]], _positions(model, [graph.operators[index] for index in chain]), chain, kinds
            )
        at += 1
    _drop_unused_tensors(model)
    _drop_unused_codes(model)


def _chain(graph: Any, kinds: list[str], start: int) -> list[int]:
    """Return the indices of the moves that follow one another from `start` on, each read by the next alone."""
    chain: list[int] = []
    following: int | None = start
    while following is not None and kinds[following] in _MOVES:
        chain.append(following)
        readers = _readers(graph, graph.operators[following].outputs[0])
        following = readers[0] if len(readers) == 1 else None
    return chain


def _readers(graph: Any, tensor: int) -> list[int]:
    return [index for index, operator in enumerate(graph.operators) if tensor in operator.inputs]


def _positions(model: Any, chain: list[Any]) -> np.ndarray:
    """Return the output of the chain for an input that holds its own positions, in the output's shape."""
    (graph,) = model.subgraphs
    shape = graph.tensors[chain[0].inputs[0]].shape
    places = np.arange(np.prod(shape)).reshape(shape)
    for operator in chain:
        out = graph.tensors[operator.outputs[0]]
        values = _constant(model, operator.inputs[1]) if len(operator.inputs) > 1 else None
        # Both have the shape that they make, or the order of axes, as a constant; only a TRANSPOSE keeps the number of axes.
        transposes = values is not None and sorted(values.tolist()) == list(range(places.ndim))
        places = places.transpose(values) if transposes else places.reshape(out.shape)
    return places


def _constant(model: Any, tensor: int) -> np.ndarray:
    (graph,) = model.subgraphs
    return np.asarray(model.buffers[graph.tensors[tensor].buffer].data, np.uint8).view(np.int32)


def _replace(model: Any, operator: Any, places: np.ndarray, chain: list[int], kinds: list[str]) -> None:
    """Make one operator of a chain that moves blocks of pixels; any other chain stays."""
    from ai_edge_litert import schema_py_generated as schema

    (graph,) = model.subgraphs
    first, last = operator.inputs[0], graph.operators[chain[-1]].outputs[0]
    before = tuple(graph.tensors[first].shape)
    if len(before) != 4 or places.ndim != 4 or before[1] == places.shape[1]:
        return
    up = places.shape[1] > before[1]
    side = max(before[1], places.shape[1]) // min(before[1], places.shape[1])
    low, high = (before, places.shape) if up else (places.shape, before)
    blocks = (1, low[1], low[2], side, side, high[3])
    if int(np.prod(blocks)) != places.size:
        return
    positions = np.arange(places.size)
    if up:
        plain = positions.reshape(blocks).transpose(0, 1, 3, 2, 4, 5).reshape(places.shape)
        options: Any = schema.DepthToSpaceOptionsT()
        order = np.arange(places.shape[3])
    else:
        plain = positions.reshape(1, low[1], side, low[2], side, high[3]).transpose(0, 1, 3, 2, 4, 5).reshape(places.shape)
        options = schema.SpaceToDepthOptionsT()
        # The channel of `plain` that each channel of `places` is: their ranks match.
        order = np.argsort(plain[0, 0, 0])[np.argsort(np.argsort(places[0, 0, 0]))]
    readers = [kinds[reader] for reader in _readers(graph, last)]
    if (plain[..., order] != places).any() or (not up and readers != ["CONV_2D"]):
        return
    if not up:
        _reorder(model, _readers(graph, last)[0], order, kinds)
    name = type(options).__name__.removesuffix("T")
    kinds[chain[0]] = "DEPTH_TO_SPACE" if up else "SPACE_TO_DEPTH"
    options.blockSize = side
    operator.opcodeIndex = operator_code(model, kinds[chain[0]])
    operator.inputs, operator.outputs = [first], [last]
    operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, name), options
    for index in reversed(chain[1:]):
        del graph.operators[index], kinds[index]


def _reorder(model: Any, reader: int, order: np.ndarray, kinds: list[str]) -> None:
    """Give a convolution its weights for input channels in TFLite's order."""
    (graph,) = model.subgraphs
    weights = graph.operators[reader].inputs[1]
    for operator, kind in zip(graph.operators, kinds, strict=True):
        if kind == "DEQUANTIZE" and weights in operator.outputs:  # float16 weights
            weights = operator.inputs[0]
    stored = graph.tensors[weights]
    values = np.frombuffer(bytes(bytearray(model.buffers[stored.buffer].data)), _DTYPES[stored.type]).reshape(stored.shape)
    moved = np.empty_like(values)
    moved[..., order] = values
    model.buffers[stored.buffer].data = np.frombuffer(moved.tobytes(), np.uint8)


def operator_code(model: Any, kind: str, version: int = 1) -> int:
    """Return the place of a new code of an unpacked model, of the BuiltinOperator `kind`."""
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _drop_unused_tensors(model: Any) -> None:
    """Remove the tensors of replaced operators: nothing computes them, and tools that read every tensor stop there."""
    (graph,) = model.subgraphs
    ends = [*graph.inputs, *graph.outputs]
    used = sorted(
        {index for operator in graph.operators for index in (*operator.inputs, *operator.outputs) if index >= 0} | set(ends)
    )
    place = {index: new for new, index in enumerate(used)} | {-1: -1}  # -1 is an input that is left out
    for holder in (graph, *graph.operators):
        holder.inputs = [place[index] for index in holder.inputs]
        holder.outputs = [place[index] for index in holder.outputs]
    for signature in model.signatureDefs or []:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = place[end.tensorIndex]
    graph.tensors = [graph.tensors[index] for index in used]


def _drop_unused_codes(model: Any) -> None:
    (graph,) = model.subgraphs
    used = sorted({operator.opcodeIndex for operator in graph.operators})
    for operator in graph.operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in used]
