"""TFLite files as flatbuffers: short names, aligned weights, and a look at the operators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.artifact.artifact import Quant

FLOAT32, FLOAT16, INT8 = 0, 1, 9  # TensorType of the TFLite schema
ALIGNMENT = 16  # bytes, for weights: kernels read them with vector instructions


@dataclass(frozen=True)
class Graph:
    """What a TFLite model is made of.

    Attributes
    ----------
    operators
        Name of the schema's BuiltinOperator -> how many.
    float_tensors
        Tensors of floating point, weights included.
    input, output
        Quantization of the one input and the one output; None for float32.
    """

    operators: dict[str, int]
    float_tensors: int
    input: Quant | None
    output: Quant | None


def read_graph(content: bytes) -> Graph:
    """Return the operators of a TFLite model and how its ends are quantized."""
    model = _unpack(content)
    (graph,) = model.subgraphs
    (first,), (last,) = graph.inputs, graph.outputs
    return Graph(
        operators=dict(Counter(_operator_names(model))),
        float_tensors=sum(tensor.type in (FLOAT32, FLOAT16) for tensor in graph.tensors),
        input=_quant(graph.tensors[first]),
        output=_quant(graph.tensors[last]),
    )


def convolutions(content: bytes) -> dict[str, np.ndarray]:
    """Return (outputs, inputs / groups, rows, columns) weights of a float32 model's convolutions, by the name of their output."""
    model = _unpack(content)
    (graph,) = model.subgraphs
    found = {}
    for operator, kind in zip(graph.operators, _operator_names(model), strict=True):
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            tensor = graph.tensors[operator.inputs[1]]
            values = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.float32).reshape(tensor.shape)
            # Stored are (outputs, rows, columns, inputs), and of a depthwise one (1, rows, columns, channels).
            axes = (0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2)
            found[graph.tensors[operator.outputs[0]].name.decode()] = values.transpose(axes)
    return found


def tidy(content: bytes) -> bytes:
    """Return a TFLite model with its tensors renamed, weights inside the flatbuffer, and aligned.

    The input becomes `image`, the output `sky`, others `NUMBER_OPERATOR` after the operator that makes or reads them. Converters
    name tensors after every module around them: a tenth of a small file. Quantizers put weights behind the flatbuffer,
    which interpreters from before 2024 cannot read.
    """
    import flatbuffers

    model = _unpack(content)
    _rename(model)

    class AlignedBuilder(flatbuffers.Builder):
        """Aligns all vectors; the generated code forgets the schema's `force_align` of weights."""

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
            return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))

    builder = AlignedBuilder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _unpack(content: bytes) -> Any:
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def _operator_names(model: Any) -> list[str]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def _rename(model: Any) -> None:
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    names: dict[int, str] = {}
    for number, (operator, kind) in enumerate(zip(graph.operators, _operator_names(model), strict=True)):
        label = f"{number:03d}_{kind.lower()}"
        for index in operator.outputs:
            names.setdefault(index, label)
        for place, index in enumerate(operator.inputs):
            if index >= 0:  # -1: an optional input that is not there
                names.setdefault(index, f"{label}_in{place}")
    names[graph.inputs[0]], names[graph.outputs[0]] = "image", "sky"
    for index, tensor in enumerate(graph.tensors):
        tensor.name = names.get(index, f"unused_{index}").encode()
    signature.inputs[0].name, signature.outputs[0].name = b"image", b"sky"


def _quant(tensor: Any) -> Quant | None:
    return Quant(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])) if tensor.type == INT8 else None
