"""Export to OpenVINO: `python export/to_openvino.py [--checkpoint FILE] [--size WxH] [--precision fp32|fp16] [--out DIR]`.

The IR is made from the ONNX graph. fp16 stores weights as float16, which OpenVINO widens once, when it compiles the model.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from export.graphs.onnx_graph import TOOLS as ONNX_TOOLS
from export.graphs.onnx_graph import to_model_proto
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export

TOOLS = (*ONNX_TOOLS, "openvino")


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.xml and model.bin: input `image` (1, 3, H, W) float32, output `sky` (1, 1, H, W) float32."""
    files = save(to_model(network), folder, halve=precision == "fp16")
    return converted(network, files, STORED[precision], TOOLS)


def to_model(network: Network) -> Any:
    """Return the float32 network as an `openvino.Model`."""
    import openvino

    # Not openvino.convert_model, which reports its use over the network.
    return openvino.Core().read_model(to_model_proto(network).SerializeToString())


def save(model: Any, folder: Path, halve: bool) -> dict[str, Path]:
    """Write the IR of an `openvino.Model` into `folder` and return its files by role."""
    import openvino

    path = folder / "model.xml"
    openvino.save_model(model, path, compress_to_fp16=halve)
    return {"xml": path, "bin": path.with_suffix(".bin")}


export = partial(run_export, artifact_format="openvino", convert=convert)

if __name__ == "__main__":
    export_command(export)
