"""Export to torch: `python export/to_torch.py [--checkpoint FILE] [--size WxH] [--out DIR]`.

The file is a `torch.export` program (.pt2), which runs without our code: the full-precision reference. On a GPU, run it under
`torch.autocast` to compute in half.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from edge_runtime.errors import InputError
from export.network import Network
from export.pipeline import STORED, Converted, converted, export_command, run_export


def convert(network: Network, precision: str, folder: Path) -> Converted:
    """Write `folder`/model.pt2: input `image` (1, 3, H, W) float32, output (1, 1, H, W) float32."""
    if precision != "fp32":
        raise InputError(f"got --precision {precision} for torch, the reference, expected fp32; export to onnx, tflite or ncnn")
    program = torch.export.export(network.folded, (network.example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds the folders of the machine that exports
    program.example_inputs = None  # else the tensor of zeros that it was traced with is saved too
    path = folder / "model.pt2"
    torch.export.save(program, path)
    return converted(network, {"model": path}, STORED[precision], ("torch",))


export = partial(run_export, artifact_format="torch", convert=convert)

if __name__ == "__main__":
    export_command(export)
