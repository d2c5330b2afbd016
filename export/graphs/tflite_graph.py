"""TFLite files as flatbuffers: short names, aligned weights, the types of the ends, and a look at the operators."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edge_runtime.artifact.artifact import Quant
from edge_runtime.images.network_input import Size
from export.graphs.tflite_blocks import fold_blocks, operator_code
from export.graphs.tflite_metadata import NAME, metadata, with_label_file

FLOAT32, FLOAT16, UINT8, INT8 = 0, 1, 3, 9  # TensorType of the TFLite schema
IoType = Literal["int8", "uint8"]
# What a full-integer network takes and gives, by type. The bytes of an image are the input: int8 q = byte - 128, uint8 q = byte.
# The output's scale is what TFLite demands of a sigmoid.
ENDS: dict[IoType, tuple[Quant, Quant]] = {
    "int8": (Quant(1 / 128, -1), Quant(1 / 256, -128)),
    "uint8": (Quant(1 / 128, 127), Quant(1 / 256, 0)),
}
MOST_CONCATENATED = 5  # tensors: XNNPACK leaves wider CONCATENATIONs, which end its part of the graph
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
    """Return a TFLite model of float32 or int8 with its tensors renamed, weights inside the flatbuffer, and aligned.

    The input becomes `image`, the output `sky`, others `NUMBER_OPERATOR` after the operator that makes or reads them. Converters
    name tensors after every module around them: a tenth of a small file. Quantizers put weights behind the flatbuffer,
    which interpreters from before 2024 cannot read.
    """
    return _pack(_unpack(content))


def finish(content: bytes, name: str, size: Size, weights_license: str, io: IoType = "int8") -> bytes:
    """Return a model as it is released: with metadata, and a full-integer one with ends of type `io`.

    Moves of pixels into channels and back become single operators here, since ai-edge-quantizer does not know those.
    """
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    model = _unpack(content)
    fold_blocks(model, _operator_names(model))
    _split_concatenations(model)
    if io == "uint8":
        _set_uint8_ends(model)
    buffer, entry = BufferT(), MetadataT()
    buffer.data = np.frombuffer(metadata(name, size, weights_license), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = NAME, len(model.buffers) - 1
    model.metadata = [*(each for each in model.metadata or [] if each.name != NAME), entry]
    return with_label_file(_pack(model))


def _split_concatenations(model: Any) -> None:
    """Join at most `MOST_CONCATENATED` tensors at a time; all have one quantization, so that no value changes."""
    (graph,) = model.subgraphs
    operators: list[Any] = []
    for operator, kind in zip(graph.operators, _operator_names(model), strict=True):
        while kind == "CONCATENATION" and len(operator.inputs) > MOST_CONCATENATED:
            head, rest = list(operator.inputs[:MOST_CONCATENATED]), list(operator.inputs[MOST_CONCATENATED:])
            first, joined = copy.deepcopy(operator), copy.deepcopy(graph.tensors[operator.outputs[0]])
            joined.shape[operator.builtinOptions.axis] = sum(
                graph.tensors[each].shape[operator.builtinOptions.axis] for each in head
            )
            graph.tensors.append(joined)
            first.inputs, first.outputs = head, [len(graph.tensors) - 1]
            operators.append(first)
            operator.inputs = [*first.outputs, *rest]
        operators.append(operator)
    graph.operators = operators


def _set_uint8_ends(model: Any) -> None:
    """Put a QUANTIZE before the int8 input and one behind the int8 output: the ends are uint8 with the bits of int8."""
    from ai_edge_litert.schema_py_generated import OperatorT, QuantizationParametersT

    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    inside, ends = (graph.inputs[0], graph.outputs[0]), []
    for index, quant in zip(inside, ENDS["uint8"], strict=True):
        tensor = copy.deepcopy(graph.tensors[index])
        tensor.type, tensor.buffer, tensor.quantization = UINT8, 0, QuantizationParametersT()
        tensor.quantization.scale = np.array([quant.scale], np.float32)
        tensor.quantization.zeroPoint = np.array([quant.zero_point], np.int64)
        graph.tensors.append(tensor)
        ends.append(len(graph.tensors) - 1)
    enter, leave = OperatorT(), OperatorT()
    enter.opcodeIndex = leave.opcodeIndex = operator_code(model, "QUANTIZE", version=2)  # the first version with int8
    enter.inputs, enter.outputs, leave.inputs, leave.outputs = ends[:1], list(inside[:1]), list(inside[1:]), ends[1:]
    graph.operators = [enter, *graph.operators, leave]
    graph.inputs, graph.outputs = ends[:1], ends[1:]
    signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex = ends


def _pack(model: Any) -> bytes:
    import flatbuffers

    _rename(model)
    for code in model.operatorCodes:  # readers such as OpenVINO's look into the old field, which ai-edge-quantizer leaves at 0
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)

    class SharingBuilder(flatbuffers.Builder):
        """Aligns all vectors; the generated code forgets the schema's `force_align` of weights. Equal vectors are stored once.

        The zero points of a convolution are 8 bytes for each output channel, all 0: a sixth of a small file.
        """

        def __init__(self, size: int) -> None:
            super().__init__(size)
            self.stored: dict[tuple[int, bytes], int] = {}
            self.before = self.width = 0

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
            self.before, self.width = self.Offset(), elemSize
            return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))

        def EndVector(self, *counts: int) -> Any:  # noqa: N802
            length = self.vectorNumElems * self.width
            offset = super().EndVector(*counts)
            start = len(self.Bytes) - offset
            content = bytes(self.Bytes[start : start + 4 + length])
            # Vectors of tables hold distances from where they stand: equal bytes are then another thing.
            if self.width != 8:
                return offset
            earlier = self.stored.setdefault((self.width, content), offset)
            if earlier != offset:
                self.head = len(self.Bytes) - self.before
            return earlier

    builder = SharingBuilder(1 << 20)
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
    if tensor.type not in (INT8, UINT8):
        return None
    return Quant(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
