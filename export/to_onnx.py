"""Export to ONNX: `python export/to_onnx.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

fp16 stores weights as float16 and casts them back, which onnxruntime does once, when it loads the file: half the size, the
speed of fp32. Half arithmetic would be slower on CPUs, since onnxruntime has few half kernels there and casts around each.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from export.graphs.onnx_graph import TOOLS, describe, to_model_proto
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

if TYPE_CHECKING:
    import onnx


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.onnx: input `image` (1, 3, H, W) float32, output `sky` (1, 1, H, W) float32."""
    import onnx

    model = to_model_proto(network)
    if precision == "fp16":
        halve_weights(model)
    describe(model, network)
    onnx.checker.check_model(model)
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return converted(network, {"model": path}, STORED[precision], TOOLS)


def halve_weights(model: onnx.ModelProto) -> None:
    """Store every float32 weight of two or more dimensions as float16, with a Cast to float32 before its users.

    Biases stay float32: they are small, and their errors would add to every pixel.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) >= 2:
            name = weight.name
            half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name + "_half")
            weight.CopyFrom(half)
            casts.append(helper.make_node("Cast", [half.name], [name], name="cast_" + name, to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


export = partial(run_export, artifact_format="onnx", convert=convert)

if __name__ == "__main__":
    export_command(export)
